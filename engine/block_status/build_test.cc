// SPDX-License-Identifier: BSD-3-Clause
#include "engine/block_status/build.h"

#include <gtest/gtest.h>

#include <limits>
#include <utility>
#include <vector>

namespace nbdspec::engine {
namespace {

constexpr std::uint32_t kHole = AllocationFlag::kHole;
constexpr std::uint32_t kZero = AllocationFlag::kZero;
constexpr std::uint64_t kGib = std::uint64_t{1} << 30;

using Descriptors = std::vector<Descriptor>;

// A map of adjoining extents from 0 on, one of each length and type.
ExtentMap MapOf(const std::vector<std::pair<std::uint64_t, ExtentType>>& extents) {
  std::uint64_t size = 0;
  for (const auto& [length, type] : extents) {
    size += length;
  }
  ExtentMap map(size);
  std::uint64_t offset = 0;
  for (const auto& [length, type] : extents) {
    EXPECT_TRUE(map.Add(offset, length, type));
    offset += length;
  }
  return map;
}

TEST(BuildDescriptors, FlagsAreTheBitsOfTheType) {
  EXPECT_EQ(AllocationFlagsOf(ExtentType::kData), 0U);
  EXPECT_EQ(AllocationFlagsOf(ExtentType::kHole), kHole);
  EXPECT_EQ(AllocationFlagsOf(ExtentType::kZero), kZero);
  EXPECT_EQ(AllocationFlagsOf(ExtentType::kHoleZero), kHole | kZero);
}

TEST(BuildDescriptors, OneForEachExtentClippedToTheRequest) {
  const ExtentMap map = MapOf(
      {{512, ExtentType::kData}, {1024, ExtentType::kHoleZero}, {512, ExtentType::kZero}, {1, ExtentType::kHole}});
  EXPECT_EQ(BuildDescriptors(map, map.range(), {}),
            (Descriptors{{512, 0}, {1024, kHole | kZero}, {512, kZero}, {1, kHole}}));
  EXPECT_EQ(BuildDescriptors(map, {.begin = 511, .end = 513}, {}), (Descriptors{{1, 0}, {1, kHole | kZero}}));
  EXPECT_EQ(BuildDescriptors(map, {.begin = 512, .end = 1536}, {}), (Descriptors{{1024, kHole | kZero}}));
  EXPECT_EQ(BuildDescriptors(map, {.begin = 2048, .end = 2049}, {}), (Descriptors{{1, kHole}}));
}

TEST(BuildDescriptors, ReqOneGivesTheFirstWithinTheRequest) {
  const ExtentMap map = MapOf({{512, ExtentType::kData}, {1024, ExtentType::kHole}});
  EXPECT_EQ(BuildDescriptors(map, map.range(), {.req_one = true}), (Descriptors{{512, 0}}));
  EXPECT_EQ(BuildDescriptors(map, {.begin = 512, .end = 612}, {.req_one = true}), (Descriptors{{100, kHole}}));
}

TEST(BuildDescriptors, StopsAtTheLargestCount) {
  const ExtentMap map = MapOf({{1, ExtentType::kData}, {2, ExtentType::kHole}, {3, ExtentType::kZero}});
  EXPECT_EQ(BuildDescriptors(map, map.range(), {.descriptor_count_max = 3}).size(), 3U);
  EXPECT_EQ(BuildDescriptors(map, map.range(), {.descriptor_count_max = 2}), (Descriptors{{1, 0}, {2, kHole}}));
  EXPECT_EQ(BuildDescriptors(map, map.range(), {.descriptor_count_max = 1}), (Descriptors{{1, 0}}));
}

TEST(BuildDescriptors, BlockClaimsOnlyWhatIsTrueOfAllOfIt) {
  const ExtentMap map = MapOf(
      {{512, ExtentType::kHoleZero}, {100, ExtentType::kHole}, {412, ExtentType::kZero}, {512, ExtentType::kHole}});
  // The second block is partly a hole and partly zero: neither is true of all of it.
  EXPECT_EQ(BuildDescriptors(map, map.range(), {.alignment = 512}),
            (Descriptors{{512, kHole | kZero}, {512, 0}, {512, kHole}}));
}

TEST(BuildDescriptors, BitThatIsTrueOfAllPartsOfABlockStays) {
  const ExtentMap map = MapOf({{300, ExtentType::kHoleZero}, {212, ExtentType::kZero}, {512, ExtentType::kZero}});
  EXPECT_EQ(BuildDescriptors(map, map.range(), {.alignment = 512}), (Descriptors{{1024, kZero}}));
}

TEST(BuildDescriptors, ManyExtentsInOneBlockAreOneClaim) {
  const ExtentMap map = MapOf({{1, ExtentType::kZero},
                               {1, ExtentType::kHoleZero},
                               {1, ExtentType::kZero},
                               {1, ExtentType::kHoleZero},
                               {4, ExtentType::kHole}});
  EXPECT_EQ(BuildDescriptors(map, map.range(), {.alignment = 4}), (Descriptors{{4, kZero}, {4, kHole}}));
  EXPECT_EQ(BuildDescriptors(map, map.range(), {.alignment = 8}), (Descriptors{{8, 0}}));
}

TEST(BuildDescriptors, TailOfTheExportIsExemptFromAlignment) {
  const ExtentMap map = MapOf({{512, ExtentType::kData}, {100, ExtentType::kHole}, {1, ExtentType::kHoleZero}});
  EXPECT_EQ(BuildDescriptors(map, map.range(), {.alignment = 512}), (Descriptors{{512, 0}, {101, kHole}}));
  EXPECT_EQ(BuildDescriptors(map, {.begin = 512, .end = 613}, {.alignment = 512}), (Descriptors{{101, kHole}}));
  EXPECT_EQ(BuildDescriptors(map, map.range(), {.alignment = 4096}), (Descriptors{{613, 0}}));
}

TEST(BuildDescriptors, BlockCutByTheRequestIsLookedAtAsAWhole) {
  const ExtentMap map = MapOf({{512, ExtentType::kData}, {100, ExtentType::kZero}, {412, ExtentType::kHoleZero}});
  EXPECT_EQ(BuildDescriptors(map, {.begin = 512, .end = 520}, {.alignment = 512}), (Descriptors{{8, kZero}}));
  EXPECT_EQ(BuildDescriptors(map, {.begin = 0, .end = 520}, {.alignment = 1024}), (Descriptors{{520, 0}}));
}

TEST(BuildDescriptors, LengthsAbove32BitsAreSplitIntoMultiplesOf512) {
  const ExtentMap map(10 * kGib, ExtentType::kHoleZero);
  const std::uint32_t piece = std::numeric_limits<std::uint32_t>::max() - 511;
  EXPECT_EQ(BuildDescriptors(map, map.range(), {}),
            (Descriptors{{piece, kHole | kZero},
                         {piece, kHole | kZero},
                         {static_cast<std::uint32_t>(2 * kGib + 1024), kHole | kZero}}));
  EXPECT_EQ(BuildDescriptors(map, map.range(), {.req_one = true}), (Descriptors{{piece, kHole | kZero}}));
  EXPECT_EQ(BuildDescriptors(map, map.range(), {.descriptor_count_max = 2}).size(), 2U);
}

TEST(BuildDescriptors, LengthsAbove32BitsAreSplitIntoMultiplesOfTheAlignment) {
  const ExtentMap map(5 * kGib, ExtentType::kZero);
  EXPECT_EQ(BuildDescriptors(map, map.range(), {.alignment = 1U << 31}),
            (Descriptors{{1U << 31, kZero}, {3U << 30, kZero}}));
}

TEST(BuildDescriptors, LongestLengthOf32BitsIsNotSplit) {
  const ExtentMap map(4 * kGib, ExtentType::kData);
  EXPECT_EQ(BuildDescriptors(map, {.begin = 1, .end = 4 * kGib}, {}),
            (Descriptors{{std::numeric_limits<std::uint32_t>::max(), 0}}));
  EXPECT_EQ(BuildDescriptors(map, map.range(), {}),
            (Descriptors{{std::numeric_limits<std::uint32_t>::max() - 511, 0}, {512, 0}}));
}

TEST(BuildDescriptors, EndOfTheLargestExportDoesNotWrap) {
  const ExtentMap map(kExportBytesMax, ExtentType::kZero);
  EXPECT_EQ(BuildDescriptors(map, {.begin = kExportBytesMax - 511, .end = kExportBytesMax}, {.alignment = 512}),
            (Descriptors{{511, kZero}}));
  EXPECT_EQ(BuildDescriptors(map, {.begin = kExportBytesMax - 1, .end = kExportBytesMax}, {.req_one = true}),
            (Descriptors{{1, kZero}}));
}

TEST(BuildDescriptorsDeathTest, WrongUseAborts) {
  const ExtentMap map(1024);
  EXPECT_DEATH(BuildDescriptors(map, {.begin = 0, .end = 0}, {}), "asked");
  EXPECT_DEATH(BuildDescriptors(map, {.begin = 0, .end = 1025}, {}), "asked");
  EXPECT_DEATH(BuildDescriptors(map, {.begin = 1, .end = 512}, {.alignment = 512}), "alignment");
  EXPECT_DEATH(BuildDescriptors(map, {.begin = 0, .end = 512}, {.alignment = 3}), "alignment");
  EXPECT_DEATH(BuildDescriptors(map, {.begin = 0, .end = 512}, {.descriptor_count_max = 0}), "count_max");
}

}  // namespace
}  // namespace nbdspec::engine
