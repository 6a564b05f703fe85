// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/learn/storage_kinds.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <vector>

#include "engine/base/byte_range.h"
#include "fuzz/live/learn/answer_kinds.h"

namespace nbdspec::fuzz {
namespace {

using engine::DiskOperation;
using Operations = std::vector<DiskOperation>;
using Kind = DiskOperation::Kind;

DiskOperation Op(Kind kind, std::uint64_t offset, std::uint64_t length) {
  return {.kind = kind, .range = {.begin = offset, .end = offset + length}};
}

const DiskOperation kFlush = Op(Kind::kFlush, 0, 8 << 20);

TEST(StorageKinds, OfNothingThereAreNone) { EXPECT_TRUE(SignaturesOf(Operations{}).empty()); }

TEST(StorageKinds, WhatDiffersIsOfAnotherKind) {
  const Operations first = {Op(Kind::kWrite, 4096, 4096), Op(Kind::kRead, 0, 512)};
  const Operations others[] = {
      {Op(Kind::kZero, 4096, 4096), Op(Kind::kRead, 0, 512)},         // What it does,
      {Op(Kind::kWrite, 4096, 65536), Op(Kind::kRead, 0, 512)},       // how long it is,
      {Op(Kind::kWrite, 4096 + 512, 4096), Op(Kind::kRead, 0, 512)},  // how it is aligned,
      {Op(Kind::kWrite, 4096, 4096), Op(Kind::kRead, 8192, 512)},     // where it is,
      {Op(Kind::kRead, 0, 512), Op(Kind::kWrite, 4096, 4096)},        // and which comes first.
      {Op(Kind::kWrite, 4096, 4096), kFlush, Op(Kind::kRead, 0, 512)},
  };
  for (const Operations& other : others) {
    EXPECT_NE(SignaturesOf(first), SignaturesOf(other)) << &other - others;
  }
}

TEST(StorageKinds, WhatIsAlikeIsOfOneKind) {
  EXPECT_EQ(SignaturesOf(Operations{Op(Kind::kWrite, 4096, 4096)}),
            SignaturesOf(Operations{Op(Kind::kWrite, 12288, 4096)}));
  EXPECT_EQ(SignaturesOf(Operations{Op(Kind::kWrite, 1, 600)}), SignaturesOf(Operations{Op(Kind::kWrite, 77, 700)}));
}

TEST(StorageKinds, AFlushIsOfTheKindOfWhatItMakesDurable) {
  std::set<std::vector<std::uint32_t>> all;
  for (const Kind before : {Kind::kRead, Kind::kWrite, Kind::kZero, Kind::kPunch, Kind::kTrim}) {
    all.insert(SignaturesOf(Operations{Op(before, 0, 512), Op(Kind::kRead, 0, 512), kFlush}));
  }
  EXPECT_EQ(all.size(), 5U);
}

TEST(StorageKinds, SignaturesAreSortedEachOnceAndBounded) {
  Operations many;
  for (std::uint64_t i = 0; i < engine::VolatileDisk::kOperationsMax; ++i) {
    many.push_back(Op(static_cast<Kind>(i % 7), i * i * 311, i * i));
  }
  const std::vector<std::uint32_t> found = SignaturesOf(many);
  EXPECT_TRUE(std::ranges::is_sorted(found));
  EXPECT_EQ(std::ranges::adjacent_find(found), found.end());
  EXPECT_LT(found.back(), kSignatureLimit);
}

}  // namespace
}  // namespace nbdspec::fuzz
