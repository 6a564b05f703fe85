// SPDX-License-Identifier: BSD-3-Clause
#include "engine/nbdkit/script_disk.h"

#include <gtest/gtest.h>

#include <random>
#include <string_view>
#include <vector>

namespace nbdspec::engine {
namespace {

ScriptDisk DiskOf(std::string_view text) { return ScriptDisk::From(ParseScript(text).value()).value(); }

Bytes ReadBytes(const ScriptDisk& disk, std::uint64_t offset, std::uint64_t length) {
  Bytes bytes(length, 0xaa);
  disk.Read(offset, bytes);
  return bytes;
}

std::uint8_t ByteAt(const ScriptDisk& disk, std::uint64_t offset) { return ReadBytes(disk, offset, 1)[0]; }

TEST(ScriptDisk, HasWhatTheStepsLeave) {
  const ScriptDisk disk =
      DiskOf("size 64\ninitial zero\nadd 0 +64 hole\nclear\nadd 8 +8 data\nforeach 0 +64\nlookup 3");
  EXPECT_EQ(disk.size(), 64U);
  EXPECT_EQ(disk.extents().extent_count(), 3U);
  EXPECT_EQ(disk.extents().Lookup(8), (Extent{.range = {.begin = 8, .end = 16}, .type = ExtentType::kData}));
}

TEST(ScriptDisk, LeavesOutStepsThatTheMapRefuses) {
  const ScriptDisk disk = DiskOf("size 64\ninitial zero\nadd 0 +8 0x84\nadd 16E-1 +2 data\nadd 8 +8 data");
  EXPECT_EQ(disk.extents().extent_count(), 3U);
}

TEST(ScriptDisk, ReadsZeroExactlyWhereAnExtentIsZero) {
  const ScriptDisk disk = DiskOf("size 16K\ninitial hole,zero\nadd 1 +4095 data\nadd 8K +10 hole\nadd 8202 +1 zero");
  for (std::uint64_t offset = 0; offset < disk.size(); ++offset) {
    const bool is_zero = IsZero(disk.extents().Lookup(offset).type);
    ASSERT_EQ(ByteAt(disk, offset), is_zero ? 0 : ScriptDisk::PatternByteAt(offset)) << offset;
  }
}

TEST(ScriptDisk, PatternIsNeverZero) {
  for (std::uint64_t offset = kExportBytesMax - 1000; offset < kExportBytesMax; ++offset) {
    ASSERT_NE(ScriptDisk::PatternByteAt(offset), 0);
  }
}

TEST(ScriptDisk, WriteBecomesDataAndLeavesItsNeighbours) {
  ScriptDisk disk = DiskOf("size 16K\ninitial hole,zero");
  const Bytes written(4097, 7);
  ASSERT_TRUE(disk.Write(4095, written));
  EXPECT_EQ(ReadBytes(disk, 4095, 4097), written);
  EXPECT_EQ(ByteAt(disk, 4094), 0);
  EXPECT_EQ(ByteAt(disk, 8192), 0);
  EXPECT_EQ(disk.extents().Lookup(5000), (Extent{.range = {.begin = 4095, .end = 8192}, .type = ExtentType::kData}));
}

TEST(ScriptDisk, WriteInsideDataLeavesThePatternAroundIt) {
  ScriptDisk disk = DiskOf("size 8K\ninitial data");
  ASSERT_TRUE(disk.Write(100, Bytes(3, 0)));
  EXPECT_EQ(ByteAt(disk, 99), ScriptDisk::PatternByteAt(99));
  EXPECT_EQ(ReadBytes(disk, 100, 3), Bytes(3, 0));
  EXPECT_EQ(ByteAt(disk, 103), ScriptDisk::PatternByteAt(103));
}

TEST(ScriptDisk, ZeroesKeepOrPunchAsTheyMay) {
  ScriptDisk disk = DiskOf("size 16K\ninitial data");
  ASSERT_TRUE(disk.WriteZeroes({.begin = 10, .end = 20}, /*may_punch_hole=*/false));
  ASSERT_TRUE(disk.WriteZeroes({.begin = 20, .end = 30}, /*may_punch_hole=*/true));
  ASSERT_TRUE(disk.Trim({.begin = 40, .end = 50}));
  EXPECT_EQ(disk.extents().Lookup(10).type, ExtentType::kZero);
  EXPECT_EQ(disk.extents().Lookup(20).type, ExtentType::kHoleZero);
  EXPECT_EQ(disk.extents().Lookup(40).type, ExtentType::kHoleZero);
  EXPECT_EQ(ReadBytes(disk, 10, 20), Bytes(20, 0));
}

TEST(ScriptDisk, WhatWasZeroedDoesNotComeBackWithALaterWrite) {
  ScriptDisk disk = DiskOf("size 16K\ninitial data");
  ASSERT_TRUE(disk.Write(0, Bytes(12000, 9)));
  ASSERT_TRUE(disk.WriteZeroes({.begin = 1, .end = 11000}, /*may_punch_hole=*/false));
  ASSERT_TRUE(disk.Write(5000, Bytes(1, 3)));
  EXPECT_EQ(ByteAt(disk, 0), 9);
  EXPECT_EQ(ReadBytes(disk, 1, 4999), Bytes(4999, 0));
  EXPECT_EQ(ByteAt(disk, 5000), 3);
  EXPECT_EQ(ByteAt(disk, 5001), 0);
  EXPECT_EQ(ByteAt(disk, 11000), 9);
}

TEST(ScriptDisk, WorksAtTheEndOfTheLargestDisk) {
  ScriptDisk disk = DiskOf("size 8E-1\ninitial hole,zero");
  ASSERT_TRUE(disk.Write(kExportBytesMax - 2, Bytes{5, 6}));
  EXPECT_EQ(ReadBytes(disk, kExportBytesMax - 3, 3), (Bytes{0, 5, 6}));
  ASSERT_TRUE(disk.Trim({.begin = 0, .end = kExportBytesMax}));
  EXPECT_EQ(disk.extents().extent_count(), 1U);
  EXPECT_EQ(ReadBytes(disk, kExportBytesMax - 3, 3), Bytes(3, 0));
}

// The model: one byte and one type for each byte of the disk.
TEST(ScriptDisk, AgreesWithOneByteAndOneTypePerByte) {
  constexpr std::uint64_t kSize = 20000;
  ScriptDisk disk = DiskOf("size 20000\ninitial data");
  Bytes bytes(kSize);
  for (std::uint64_t i = 0; i < kSize; ++i) {
    bytes[i] = ScriptDisk::PatternByteAt(i);
  }
  std::vector<ExtentType> types(kSize, ExtentType::kData);
  std::mt19937_64 random(1);
  for (int round = 0; round < 300; ++round) {
    const std::uint64_t begin = random() % kSize;
    const std::uint64_t end = begin + random() % std::min<std::uint64_t>(kSize - begin + 1, 9000);
    const auto kind = random() % 3;
    const auto value = static_cast<std::uint8_t>(random());
    const auto type = kind == 0 ? ExtentType::kData : kind == 1 ? ExtentType::kZero : ExtentType::kHoleZero;
    ASSERT_TRUE(kind == 0 ? disk.Write(begin, Bytes(end - begin, value))
                          : disk.WriteZeroes({.begin = begin, .end = end}, kind == 2));
    for (std::uint64_t i = begin; i < end; ++i) {
      bytes[i] = kind == 0 ? value : 0;
      types[i] = type;
    }
    ASSERT_EQ(ReadBytes(disk, 0, kSize), bytes) << round;
    const std::uint64_t probe = random() % kSize;
    ASSERT_EQ(disk.extents().Lookup(probe).type, types[probe]) << round;
  }
}

}  // namespace
}  // namespace nbdspec::engine
