// SPDX-License-Identifier: BSD-3-Clause
// What is known of each byte, beside a model that has nothing but a cell for each.
#include "fuzz/live/model/known_bytes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>
#include <vector>

namespace nbdspec::fuzz {
namespace {

using engine::ByteRange;

constexpr std::uint64_t kFirstEnd = 50'001;  // Ends inside a page.
constexpr std::uint64_t kSecondBegin = 100'003;
constexpr std::uint64_t kEnd = 200'000;

bool IsInWindow(std::uint64_t offset) { return offset < kFirstEnd || (offset >= kSecondBegin && offset < kEnd); }

// The byte and how it came to be known; nothing when it is not.
struct Cell {
  std::optional<std::uint8_t> byte = {};
  Knowledge knowledge = Knowledge::kNone;
};

class KnownBytesBesideCells : public testing::Test {
 protected:
  void Apply(ByteRange range, Effect effect) {
    known_.Apply(range, effect);
    for (std::uint64_t at = range.begin; at < range.end; ++at) {
      const auto byte = effect.ByteAt(at);
      Set(at, {.byte = byte,
               .knowledge = !byte                                  ? Knowledge::kNone
                            : effect.kind == Effect::Kind::kZeroes ? Knowledge::kZeroed
                                                                   : Knowledge::kWritten});
    }
  }
  void Learn(std::uint64_t offset, const engine::Bytes& bytes) {
    known_.Learn(offset, bytes);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      Set(offset + i, {.byte = bytes[i], .knowledge = Knowledge::kRead});
    }
  }
  void ForgetRead(ByteRange range) {
    known_.ForgetRead(range);
    for (std::uint64_t at = range.begin; at < range.end; ++at) {
      if (cells_[at].knowledge == Knowledge::kRead) {
        cells_[at] = {};
      }
    }
  }

  void ExpectEqual(ByteRange range) {
    EXPECT_EQ(known_.FirstNonZero(range), FirstIn(range, [](std::uint64_t, std::uint8_t byte) { return byte != 0; }));
    EXPECT_EQ(known_.At(range.begin), cells_[range.begin].byte);
    EXPECT_EQ(known_.IsZeroed(range.begin), cells_[range.begin].knowledge == Knowledge::kZeroed);
    const engine::Bytes seen(range.length(), 7);
    EXPECT_EQ(known_.FirstDifference(range.begin, seen, range.begin),
              FirstIn(range, [](std::uint64_t, std::uint8_t byte) { return byte != 7; }));
    engine::Bytes bytes;
    std::vector<Knowledge> knowledge;
    known_.Copy(range, bytes, knowledge);
    for (std::uint64_t at = range.begin; at < range.end; ++at) {
      ASSERT_EQ(bytes[at - range.begin], cells_[at].byte.value_or(0)) << at;
      ASSERT_EQ(knowledge[at - range.begin], cells_[at].knowledge) << at;
    }
  }

  ByteRange RandomRange() {
    const std::uint64_t begin = random_() % kEnd;
    const std::uint64_t length = random_() % 3 == 0 ? random_() % 100 : random_() % kEnd;
    const std::uint64_t unit = random_() % 2 == 0 ? 1 : 16 << 10;  // Whole pages too.
    const std::uint64_t rounded = begin / unit * unit;
    return {.begin = rounded, .end = std::min(kEnd, rounded + std::max<std::uint64_t>(length / unit * unit, 1))};
  }

  std::mt19937_64 random_{1};

 private:
  void Set(std::uint64_t at, Cell cell) {
    if (IsInWindow(at)) {
      cells_[at] = cell;
    }
  }
  template <typename Is>
  std::optional<std::uint64_t> FirstIn(ByteRange range, Is is) const {
    for (std::uint64_t at = range.begin; at < range.end; ++at) {
      if (cells_[at].byte && is(at, *cells_[at].byte)) {
        return at;
      }
    }
    return {};
  }

  KnownBytes known_{{{.begin = 0, .end = kFirstEnd}, {.begin = kSecondBegin, .end = kEnd}}};
  std::vector<Cell> cells_{kEnd};
};

TEST_F(KnownBytesBesideCells, WhateverHappensAndIsLookedAt) {
  for (int i = 0; i < 600; ++i) {
    const ByteRange range = RandomRange();
    switch (random_() % 6) {
      case 0:
        Apply(range, {.kind = Effect::Kind::kPattern, .pattern = static_cast<std::uint8_t>(random_())});
        break;
      case 1:
      case 2:
        Apply(range, {.kind = Effect::Kind::kZeroes});
        break;
      case 3:
        Apply(range, {});
        break;
      case 4:
        Learn(range.begin, engine::Bytes(range.length(), static_cast<std::uint8_t>(random_() % 2)));
        break;
      default:
        ForgetRead(range);
        break;
    }
    if (random_() % 3 == 0) {  // Not always: what is not looked at may stay as it was noted.
      ASSERT_NO_FATAL_FAILURE(ExpectEqual(RandomRange())) << i;
    }
  }
  ExpectEqual({.begin = 0, .end = kEnd});
}

}  // namespace
}  // namespace nbdspec::fuzz
