// SPDX-License-Identifier: BSD-3-Clause
// The oracles against answers worked out by hand, and against each other.

#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "engine/oracle/oracles.h"

namespace nbdspec::engine {
namespace {

using Extents = std::vector<Extent>;
using enum ExtentType;

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();

Extent Make(std::uint64_t begin, std::uint64_t end, ExtentType type) {
  return {.range = {.begin = begin, .end = end}, .type = type};
}

Extents ExtentsOf(const auto& oracle, ByteRange bounds) {
  const auto extents = oracle.Extents(bounds);
  return {extents.begin(), extents.end()};
}

template <typename Oracle>
class OracleTest : public testing::Test {};

using Oracles = testing::Types<BitmapOracle, LastWriterOracle>;
TYPED_TEST_SUITE(OracleTest, Oracles);

TYPED_TEST(OracleTest, LaterAddsOverwriteEarlierOnes) {
  TypeParam oracle(10);
  EXPECT_TRUE(oracle.Add(2, 6, kData));
  EXPECT_TRUE(oracle.Add(4, 2, kZero));
  EXPECT_TRUE(oracle.Add(9, 5, kHoleZero));
  EXPECT_EQ(ExtentsOf(oracle, {.begin = 0, .end = 10}),
            (Extents{Make(0, 2, kHole), Make(2, 4, kData), Make(4, 6, kZero), Make(6, 8, kData), Make(8, 9, kHole),
                     Make(9, 10, kHoleZero)}));
  EXPECT_EQ(ExtentsOf(oracle, {.begin = 5, .end = 7}), (Extents{Make(5, 6, kZero), Make(6, 7, kData)}));
  EXPECT_EQ(oracle.TypeAt(5), kZero);
  EXPECT_EQ(oracle.TypeAt(8), kHole);
}

TYPED_TEST(OracleTest, NeighboursOfOneTypeAreOneExtent) {
  TypeParam oracle(10);
  EXPECT_TRUE(oracle.Add(2, 2, kData));
  EXPECT_TRUE(oracle.Add(4, 2, kData));
  EXPECT_TRUE(oracle.Add(6, 2, kHole));
  EXPECT_EQ(ExtentsOf(oracle, {.begin = 0, .end = 10}),
            (Extents{Make(0, 2, kHole), Make(2, 6, kData), Make(6, 10, kHole)}));
}

TYPED_TEST(OracleTest, OutsideAndEmptyRangesChangeAndShowNothing) {
  TypeParam oracle(10, kZero);
  EXPECT_TRUE(oracle.Add(10, 5, kData));
  EXPECT_TRUE(oracle.Add(5, 0, kData));
  EXPECT_TRUE(oracle.Add(kMax, 0, kData));
  EXPECT_EQ(ExtentsOf(oracle, {.begin = 0, .end = kMax}), (Extents{Make(0, 10, kZero)}));
  EXPECT_EQ(ExtentsOf(oracle, {.begin = 10, .end = 20}), Extents{});
  EXPECT_EQ(ExtentsOf(oracle, {.begin = 5, .end = 5}), Extents{});
  EXPECT_EQ(ExtentsOf(TypeParam(0), {.begin = 0, .end = 5}), Extents{});
}

TYPED_TEST(OracleTest, RefusedAddsChangeNothing) {
  TypeParam oracle(10);
  EXPECT_EQ(oracle.Add(1, kMax, kData).error(), ErrorCode::kOutOfRange);
  EXPECT_EQ(oracle.Add(1, 1, static_cast<ExtentType>(4)).error(), ErrorCode::kInvalidType);
  EXPECT_EQ(ExtentsOf(oracle, {.begin = 0, .end = 10}), (Extents{Make(0, 10, kHole)}));
}

TYPED_TEST(OracleTest, ClearRestoresTheInitialType) {
  TypeParam oracle(10, kHoleZero);
  EXPECT_TRUE(oracle.Add(0, 10, kData));
  oracle.Clear();
  EXPECT_EQ(ExtentsOf(oracle, {.begin = 0, .end = 10}), (Extents{Make(0, 10, kHoleZero)}));
}

TEST(LastWriterOracle, IsRightAtTheEdgesOf64Bits) {
  LastWriterOracle oracle(kExportBytesMax);
  EXPECT_TRUE(oracle.Add(kExportBytesMax - 1, 100, kData));
  EXPECT_TRUE(oracle.Add(1, kMax - 1, kZero));
  EXPECT_TRUE(oracle.Add(std::uint64_t{1} << 62, std::uint64_t{1} << 32, kHole));
  EXPECT_EQ(oracle.TypeAt(0), kHole);
  EXPECT_EQ(oracle.TypeAt(kExportBytesMax - 1), kZero);
  EXPECT_EQ(oracle.TypeAt((std::uint64_t{1} << 62) + 5), kHole);
  EXPECT_EQ(oracle.Extents({.begin = 0, .end = kMax}).size(), 4U);
}

TEST(Oracles, AgreeOnRandomScripts) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 500; ++round) {
    const std::uint64_t size = random() % 40;
    const auto initial = static_cast<ExtentType>(random() % 4);
    BitmapOracle bitmap(size, initial);
    LastWriterOracle last_writer(size, initial);
    for (int step = 0; step < 20; ++step) {
      const std::uint64_t offset = random() % 44;
      const std::uint64_t length = random() % 44;
      const auto type = static_cast<ExtentType>(random() % 5);
      EXPECT_EQ(bitmap.Add(offset, length, type), last_writer.Add(offset, length, type));
      if (random() % 16 == 0) {
        bitmap.Clear();
        last_writer.Clear();
      }
      const ByteRange bounds{.begin = offset, .end = offset + random() % 44};
      ASSERT_EQ(ExtentsOf(bitmap, bounds), ExtentsOf(last_writer, bounds));
      for (std::uint64_t byte = 0; byte < size; ++byte) {
        ASSERT_EQ(bitmap.TypeAt(byte), last_writer.TypeAt(byte));
      }
    }
  }
}

}  // namespace
}  // namespace nbdspec::engine
