// SPDX-License-Identifier: BSD-3-Clause
// Lets the n-th allocation fail, for every n until the operation succeeds: a failed operation leaves no trace.

#include <gtest/gtest.h>

#include <vector>

#include "engine/extents/extent_map.h"
#include "engine/extents/failing_new.h"

namespace nbdspec::engine {
namespace {

std::vector<Extent> ExtentsOf(const ExtentMap& map) {
  std::vector<Extent> extents;
  map.ForEach(map.range(), [&](Extent extent) {
    extents.push_back(extent);
    return true;
  });
  return extents;
}

// Runs `operation` with 0, 1, ... allocations until it succeeds; returns how many it needed.
template <typename Operation>
int AllocationsNeeded(const ExtentMap& map, const Operation& operation) {
  const std::vector<Extent> before = ExtentsOf(map);
  for (int allowed = 0; allowed < 1000; ++allowed) {
    AllowAllocations(allowed);
    const std::expected<void, ErrorCode> result = operation();
    AllowAllocations(kUnlimited);
    map.CheckInvariants();
    if (result) {
      return allowed;
    }
    EXPECT_EQ(result.error(), ErrorCode::kOutOfMemory);
    EXPECT_EQ(ExtentsOf(map), before) << "after failing allocation " << allowed + 1;
  }
  ADD_FAILURE() << "1000 allocations were not enough";
  return -1;
}

TEST(ExtentMapOutOfMemory, EveryFailedAddLeavesTheMapUnchanged) {
  // Each pair is an Add whose failure matters in another way: from the initial state, splitting, covering many,
  // touching the begin or the end, coalescing on one side.
  const std::vector<ByteRange> ranges = {{.begin = 40, .end = 60}, {.begin = 0, .end = 10}, {.begin = 90, .end = 100},
                                         {.begin = 5, .end = 95},  {.begin = 0, .end = 99}, {.begin = 45, .end = 46}};
  int most_needed = 0;
  for (const bool crowded : {false, true}) {
    for (const ByteRange range : ranges) {
      for (std::uint8_t type = 0; type < kExtentTypeCount; ++type) {
        ExtentMap map(100);
        for (std::uint64_t offset = 1; crowded && offset < 100; offset += 7) {
          ASSERT_TRUE(map.Add(offset, 3, static_cast<ExtentType>(offset % kExtentTypeCount)));
        }
        const int needed =
            AllocationsNeeded(map, [&] { return map.Add(range.begin, range.length(), static_cast<ExtentType>(type)); });
        most_needed = std::max(most_needed, needed);
        EXPECT_EQ(map.Lookup(range.begin).type, static_cast<ExtentType>(type));
      }
    }
  }
  EXPECT_EQ(most_needed, 3) << "a split of the initial extent makes three boundaries";
}

TEST(ExtentMapOutOfMemory, AnAddThatChangesNothingAllocatesNothing) {
  ExtentMap map(100);
  EXPECT_EQ(AllocationsNeeded(map, [&] { return map.Add(10, 10, ExtentType::kHole); }), 0);
  EXPECT_EQ(AllocationsNeeded(map, [&] { return map.Add(200, 10, ExtentType::kData); }), 0);
  EXPECT_EQ(AllocationsNeeded(map, [&] { return map.Add(10, 0, ExtentType::kData); }), 0);
}

TEST(ExtentMapOutOfMemory, ConstructionClearForEachAndLookupNeedNoMemory) {
  ExtentMap filled(100);
  ASSERT_TRUE(filled.Add(10, 10, ExtentType::kData));
  std::uint64_t visited = 0;
  AllowAllocations(0);
  ExtentMap map(kExportBytesMax, ExtentType::kZero);
  filled.ForEach(filled.range(), [&visited](Extent extent) {
    visited += extent.range.length();
    return true;
  });
  const Extent found = filled.Lookup(15);
  filled.Clear();
  const ExtentMap moved(std::move(filled));
  AllowAllocations(kUnlimited);
  EXPECT_EQ(visited, 100U);
  EXPECT_EQ(found, (Extent{.range = {.begin = 10, .end = 20}, .type = ExtentType::kData}));
  EXPECT_EQ(moved.extent_count(), 1U);
  EXPECT_EQ(map.extent_count(), 1U);
}

TEST(ExtentMapOutOfMemory, AFailedCloneIsAnErrorAndHurtsNeither) {
  ExtentMap map(100);
  for (std::uint64_t offset = 0; offset < 100; offset += 10) {
    ASSERT_TRUE(map.Add(offset, 5, ExtentType::kData));
  }
  const int needed = AllocationsNeeded(map, [&]() -> std::expected<void, ErrorCode> {
    const auto copy = map.Clone();
    if (!copy) {
      return std::unexpected(copy.error());
    }
    return {};
  });
  EXPECT_EQ(needed, static_cast<int>(map.extent_count()));
}

}  // namespace
}  // namespace nbdspec::engine
