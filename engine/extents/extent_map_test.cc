// SPDX-License-Identifier: BSD-3-Clause
#include "engine/extents/extent_map.h"

#include <gtest/gtest.h>

#include <limits>
#include <ostream>
#include <vector>

namespace nbdspec::engine {

static void PrintTo(const Extent& extent, std::ostream* out) {
  *out << "[" << extent.range.begin << ", " << extent.range.end << ") type " << static_cast<int>(extent.type);
}

namespace {

constexpr std::uint64_t kTwoTo32 = std::uint64_t{1} << 32;
constexpr std::uint64_t kTwoTo62 = std::uint64_t{1} << 62;
constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();

using Extents = std::vector<Extent>;
using enum ExtentType;

Extent Make(std::uint64_t begin, std::uint64_t end, ExtentType type) {
  return {.range = {.begin = begin, .end = end}, .type = type};
}

Extents ExtentsIn(const ExtentMap& map, ByteRange bounds) {
  Extents extents;
  EXPECT_TRUE(map.ForEach(bounds, [&](Extent extent) {
    extents.push_back(extent);
    return true;
  }));
  return extents;
}

Extents ExtentsOf(const ExtentMap& map) {
  map.CheckInvariants();
  const Extents extents = ExtentsIn(map, map.range());
  EXPECT_EQ(extents.size(), map.extent_count());
  EXPECT_EQ(ExtentsIn(map, {.begin = 0, .end = kMax}), extents);
  for (const Extent& extent : extents) {
    EXPECT_EQ(map.Lookup(extent.range.begin), extent);
    EXPECT_EQ(map.Lookup(extent.range.end - 1), extent);
  }
  return extents;
}

TEST(ExtentMap, StartsAsOneExtentOfTheInitialType) {
  EXPECT_EQ(ExtentsOf(ExtentMap(10)), (Extents{Make(0, 10, kHole)}));
  EXPECT_EQ(ExtentsOf(ExtentMap(10, kData)), (Extents{Make(0, 10, kData)}));
  EXPECT_EQ(ExtentsOf(ExtentMap(10, kHoleZero)), (Extents{Make(0, 10, kHoleZero)}));
}

TEST(ExtentMap, AnEmptyExportHasNoExtents) {
  ExtentMap map(0);
  EXPECT_EQ(map.extent_count(), 0U);
  EXPECT_TRUE(map.Add(0, 1, kData));
  EXPECT_TRUE(map.Add(0, kMax, kData));
  EXPECT_TRUE(map.Add(kMax, 0, kData));
  EXPECT_EQ(ExtentsOf(map), Extents{});
  map.Clear();
  EXPECT_EQ(map.extent_count(), 0U);
}

TEST(ExtentMap, AnExportOfOneByteIsEitherOrOther) {
  ExtentMap map(1);
  EXPECT_TRUE(map.Add(0, 1, kZero));
  EXPECT_EQ(ExtentsOf(map), (Extents{Make(0, 1, kZero)}));
  EXPECT_TRUE(map.Add(1, 1, kData));
  EXPECT_EQ(ExtentsOf(map), (Extents{Make(0, 1, kZero)}));
  EXPECT_TRUE(map.Add(0, kMax, kHole));
  EXPECT_EQ(ExtentsOf(map), (Extents{Make(0, 1, kHole)}));
}

TEST(ExtentMap, AddInsideSplits) {
  ExtentMap map(10);
  EXPECT_TRUE(map.Add(4, 2, kData));
  EXPECT_EQ(ExtentsOf(map), (Extents{Make(0, 4, kHole), Make(4, 6, kData), Make(6, 10, kHole)}));
}

TEST(ExtentMap, AddOverwritesInAnyOrder) {
  ExtentMap map(10);
  EXPECT_TRUE(map.Add(6, 4, kZero));
  EXPECT_TRUE(map.Add(0, 3, kData));
  EXPECT_TRUE(map.Add(2, 6, kHoleZero));
  EXPECT_EQ(ExtentsOf(map), (Extents{Make(0, 2, kData), Make(2, 8, kHoleZero), Make(8, 10, kZero)}));
}

TEST(ExtentMap, NeighboursOfOneTypeBecomeOneExtent) {
  ExtentMap map(12);
  EXPECT_TRUE(map.Add(0, 3, kData));
  EXPECT_TRUE(map.Add(6, 3, kData));
  EXPECT_EQ(map.extent_count(), 4U);
  EXPECT_TRUE(map.Add(3, 3, kData));  // Touches both.
  EXPECT_EQ(ExtentsOf(map), (Extents{Make(0, 9, kData), Make(9, 12, kHole)}));
  EXPECT_TRUE(map.Add(0, 9, kHole));  // Back to what it was at first.
  EXPECT_EQ(ExtentsOf(map), (Extents{Make(0, 12, kHole)}));
}

TEST(ExtentMap, AppendingInOrderGivesOneExtentPerChange) {
  ExtentMap map(1000, kData);
  for (std::uint64_t offset = 0; offset < 1000; offset += 10) {
    EXPECT_TRUE(map.Add(offset, 10, offset % 20 == 0 ? kHole : kZero));
  }
  EXPECT_EQ(map.extent_count(), 100U);
  EXPECT_EQ(map.Lookup(505), Make(500, 510, kHole));
  map.CheckInvariants();
}

TEST(ExtentMap, LengthZeroChangesNothingAnywhere) {
  ExtentMap map(10);
  for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{5}, std::uint64_t{10}, std::uint64_t{11}, kMax}) {
    EXPECT_TRUE(map.Add(offset, 0, kData)) << offset;
  }
  EXPECT_EQ(ExtentsOf(map), (Extents{Make(0, 10, kHole)}));
}

TEST(ExtentMap, ThePartOutsideIsIgnored) {
  ExtentMap map(10);
  EXPECT_TRUE(map.Add(8, 100, kData));
  EXPECT_TRUE(map.Add(10, 1, kZero));
  EXPECT_TRUE(map.Add(kMax - 1, 1, kZero));
  EXPECT_EQ(ExtentsOf(map), (Extents{Make(0, 8, kHole), Make(8, 10, kData)}));
  EXPECT_TRUE(map.Add(0, kMax, kZero));
  EXPECT_EQ(ExtentsOf(map), (Extents{Make(0, 10, kZero)}));
}

TEST(ExtentMap, AWrappingRangeIsAnErrorAndChangesNothing) {
  ExtentMap map(10);
  EXPECT_EQ(map.Add(1, kMax, kData).error(), ErrorCode::kOutOfRange);
  EXPECT_EQ(map.Add(kMax, 1, kData).error(), ErrorCode::kOutOfRange);
  EXPECT_EQ(map.Add(kMax, kMax, kData).error(), ErrorCode::kOutOfRange);
  EXPECT_EQ(ExtentsOf(map), (Extents{Make(0, 10, kHole)}));
}

TEST(ExtentMap, UnknownTypeBitsAreAnErrorEvenWhenNothingWouldChange) {
  ExtentMap map(10);
  for (const int bits : {4, 5, 7, 8, 128, 255}) {
    EXPECT_EQ(map.Add(0, 10, static_cast<ExtentType>(bits)).error(), ErrorCode::kInvalidType) << bits;
    EXPECT_EQ(map.Add(0, 0, static_cast<ExtentType>(bits)).error(), ErrorCode::kInvalidType) << bits;
    EXPECT_EQ(map.Add(20, 1, static_cast<ExtentType>(bits)).error(), ErrorCode::kInvalidType) << bits;
  }
  EXPECT_EQ(ExtentsOf(map), (Extents{Make(0, 10, kHole)}));
}

TEST(ExtentMap, EdgesAreExactAtEverySizeUpTo63Bits) {
  for (const std::uint64_t size : {kTwoTo32 - 1, kTwoTo32, kTwoTo32 + 1, kTwoTo62, kExportBytesMax}) {
    ExtentMap map(size);
    EXPECT_TRUE(map.Add(size - 1, 1, kData)) << size;
    EXPECT_TRUE(map.Add(size, 1, kZero)) << size;
    EXPECT_EQ(ExtentsOf(map), (Extents{Make(0, size - 1, kHole), Make(size - 1, size, kData)}));
    EXPECT_TRUE(map.Add(0, size - 1, kZero)) << size;
    EXPECT_EQ(ExtentsOf(map), (Extents{Make(0, size - 1, kZero), Make(size - 1, size, kData)}));
    EXPECT_TRUE(map.Add(1, kMax - 1, kHoleZero)) << size;
    EXPECT_EQ(ExtentsOf(map), (Extents{Make(0, 1, kZero), Make(1, size, kHoleZero)}));
    map.Clear();
    EXPECT_EQ(ExtentsOf(map), (Extents{Make(0, size, kHole)}));
  }
}

TEST(ExtentMap, LengthsAreNotCutTo32Bits) {
  ExtentMap map(kExportBytesMax);
  EXPECT_TRUE(map.Add(1, kTwoTo32, kData));
  EXPECT_EQ(map.Lookup(kTwoTo32), Make(1, kTwoTo32 + 1, kData));
  EXPECT_EQ(map.Lookup(kTwoTo32 + 1), Make(kTwoTo32 + 1, kExportBytesMax, kHole));
}

TEST(ExtentMap, ClearGoesBackToTheInitialType) {
  for (const ExtentType initial : {kData, kHole, kZero, kHoleZero}) {
    ExtentMap map(10, initial);
    EXPECT_TRUE(map.Add(2, 3, kData));
    EXPECT_TRUE(map.Add(9, 1, kZero));
    map.Clear();
    EXPECT_EQ(ExtentsOf(map), (Extents{Make(0, 10, initial)}));
  }
}

TEST(ExtentMap, ForEachClipsToItsBounds) {
  ExtentMap map(10);
  EXPECT_TRUE(map.Add(4, 2, kData));
  EXPECT_EQ(ExtentsIn(map, {.begin = 5, .end = 7}), (Extents{Make(5, 6, kData), Make(6, 7, kHole)}));
  EXPECT_EQ(ExtentsIn(map, {.begin = 4, .end = 6}), (Extents{Make(4, 6, kData)}));
  EXPECT_EQ(ExtentsIn(map, {.begin = 1, .end = 2}), (Extents{Make(1, 2, kHole)}));
  EXPECT_EQ(ExtentsIn(map, {.begin = 9, .end = kMax}), (Extents{Make(9, 10, kHole)}));
}

TEST(ExtentMap, ForEachOfEmptyOrOutsideBoundsVisitsNothing) {
  ExtentMap map(10);
  for (const bool changed : {false, true}) {
    if (changed) {
      EXPECT_TRUE(map.Add(4, 2, kData));
    }
    for (const std::uint64_t at : {std::uint64_t{0}, std::uint64_t{4}, std::uint64_t{5}, std::uint64_t{10}, kMax}) {
      EXPECT_EQ(ExtentsIn(map, {.begin = at, .end = at}), Extents{}) << at;
    }
    EXPECT_EQ(ExtentsIn(map, {.begin = 10, .end = 20}), Extents{});
    EXPECT_EQ(ExtentsIn(map, {.begin = kMax - 1, .end = kMax}), Extents{});
  }
}

TEST(ExtentMap, ForEachStopsAtTheFirstRefusal) {
  ExtentMap map(10);
  EXPECT_TRUE(map.Add(4, 2, kData));
  for (int refused_at = 1; refused_at <= 3; ++refused_at) {
    int calls = 0;
    EXPECT_FALSE(map.ForEach(map.range(), [&](Extent) { return ++calls < refused_at; }));
    EXPECT_EQ(calls, refused_at);
  }
  int calls = 0;
  EXPECT_TRUE(map.ForEach(map.range(), [&](Extent) { return ++calls < 4; }));
  EXPECT_EQ(calls, 3);
}

TEST(ExtentMap, ForEachOfAnUnchangedMapCanBeRefusedToo) {
  const ExtentMap map(10);
  EXPECT_FALSE(map.ForEach(map.range(), [](Extent) { return false; }));
}

TEST(ExtentMap, ACloneIsEqualAndIndependent) {
  ExtentMap map(10, kZero);
  EXPECT_TRUE(map.Add(4, 2, kData));
  auto copy = map.Clone();
  ASSERT_TRUE(copy);
  EXPECT_EQ(ExtentsOf(*copy), ExtentsOf(map));
  EXPECT_TRUE(copy->Add(0, 10, kHole));
  EXPECT_EQ(map.extent_count(), 3U);
  copy->Clear();
  EXPECT_EQ(ExtentsOf(*copy), (Extents{Make(0, 10, kZero)}));
}

TEST(ExtentMapDeathTest, LookupOutsideAndTooLargeSizesAreOurBugs) {
  const ExtentMap map(10);
  EXPECT_DEATH((void)map.Lookup(10), "CHECK failed");
  EXPECT_DEATH((void)ExtentMap(0).Lookup(0), "CHECK failed");
  EXPECT_DEATH(ExtentMap(kExportBytesMax + 1), "CHECK failed");
  EXPECT_DEATH(ExtentMap(1, static_cast<ExtentType>(4)), "CHECK failed");
}

}  // namespace
}  // namespace nbdspec::engine
