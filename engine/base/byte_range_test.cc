// SPDX-License-Identifier: BSD-3-Clause
#include "engine/base/byte_range.h"

#include <gtest/gtest.h>

namespace nbdspec::engine {
namespace {

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();

TEST(ByteRange, FromAcceptsEveryRangeBelowTwoTo64) {
  EXPECT_EQ(ByteRange::From({.offset = 0, .length = 0})->length(), 0U);
  EXPECT_EQ(ByteRange::From({.offset = kMax, .length = 0})->end, kMax);
  EXPECT_EQ(ByteRange::From({.offset = 1, .length = kMax - 1})->end, kMax);
}

TEST(ByteRange, FromRefusesToWrap) {
  EXPECT_EQ(ByteRange::From({.offset = 1, .length = kMax}).error(), ErrorCode::kOutOfRange);
  EXPECT_EQ(ByteRange::From({.offset = kMax, .length = 1}).error(), ErrorCode::kOutOfRange);
}

TEST(ByteRange, EndIsNotContained) {
  const ByteRange range{.begin = 4, .end = 8};
  EXPECT_TRUE(range.Contains(4));
  EXPECT_TRUE(range.Contains(7));
  EXPECT_FALSE(range.Contains(8));
  EXPECT_TRUE(range.Contains(ByteRange{.begin = 100, .end = 100}));
  EXPECT_FALSE(range.Contains(ByteRange{.begin = 7, .end = 9}));
}

TEST(ByteRange, RangesThatOnlyTouchShareNothing) {
  EXPECT_TRUE(Intersect({.begin = 0, .end = 4}, {.begin = 4, .end = 8}).empty());
  EXPECT_TRUE(Intersect({.begin = 8, .end = 9}, {.begin = 0, .end = 4}).empty());
  EXPECT_EQ(Intersect({.begin = 0, .end = 6}, {.begin = 4, .end = 8}), (ByteRange{.begin = 4, .end = 6}));
}

}  // namespace
}  // namespace nbdspec::engine
