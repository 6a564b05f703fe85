// SPDX-License-Identifier: BSD-3-Clause
// Lets the n-th allocation fail, for every n until the operation succeeds: a failed operation leaves no trace.

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <expected>
#include <random>
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
  // Overwrites of all sizes, in a map that grows and shrinks: most need no memory, some a slab of leaves, some one of
  // inner nodes, some both. Unaligned offsets far apart make leaves wide.
  std::minstd_rand random(1);
  std::array<int, 3> operations_by_need = {};
  for (const std::uint64_t unit : {std::uint64_t{1}, std::uint64_t{4096}, (std::uint64_t{1} << 33) + 1}) {
    ExtentMap map(5000 * unit);
    for (int i = 0; i < 4000; ++i) {
      if (i % 400 == 0) {
        map.Clear();  // Gives the memory back, so that it is needed again.
      }
      const std::uint64_t begin = random() % 5000 * unit;
      const std::uint64_t length = (i % 300 == 299 ? random() % 5000 : 1 + random() % 3) * unit;
      const auto type = static_cast<ExtentType>(random() % kExtentTypeCount);
      const int needed = AllocationsNeeded(map, [&] { return map.Add(begin, length, type); });
      ASSERT_GE(needed, 0);
      ASSERT_LT(needed, 3);
      ++operations_by_need[static_cast<std::size_t>(needed)];
      ASSERT_EQ(map.Lookup(begin).type, length > 0 ? type : map.Lookup(begin).type);
    }
  }
  EXPECT_GT(operations_by_need[0], 10'000);
  EXPECT_GT(operations_by_need[1], 20);
  EXPECT_GT(operations_by_need[2], 2);
}

TEST(ExtentMapOutOfMemory, ASmallMapNeverAllocates) {
  ExtentMap map(100);
  for (std::uint64_t offset = 1; offset < 95; offset += 3) {
    const auto type = static_cast<ExtentType>(offset % kExtentTypeCount);
    EXPECT_EQ(AllocationsNeeded(map, [&] { return map.Add(offset, 2, type); }), 0);
  }
  EXPECT_GT(map.extent_count(), 30U);
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
  ExtentMap map(10'000);
  for (std::uint64_t offset = 0; offset < map.size(); offset += 10) {
    ASSERT_TRUE(map.Add(offset, 5, ExtentType::kData));
  }
  const int needed = AllocationsNeeded(map, [&]() -> std::expected<void, ErrorCode> {
    const auto copy = map.Clone();
    if (!copy) {
      return std::unexpected(copy.error());
    }
    return {};
  });
  EXPECT_EQ(needed, 2) << "one slab of leaves, one of inner nodes";
}

}  // namespace
}  // namespace nbdspec::engine
