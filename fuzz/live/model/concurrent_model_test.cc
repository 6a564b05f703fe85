// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/model/concurrent_model.h"

#include <gtest/gtest.h>

#include "engine/script/script.h"

namespace nbdspec::fuzz {
namespace {

using engine::ByteRange;
using engine::Bytes;

constexpr ByteRange kAll = {.begin = 0, .end = 64};
constexpr Effect kOnes = {.kind = Effect::Kind::kPattern, .pattern = 1};
constexpr Effect kTwos = {.kind = Effect::Kind::kPattern, .pattern = 2};
constexpr Effect kZeroes = {.kind = Effect::Kind::kZeroes};

Access Look(ByteRange range, std::uint8_t connection = 1) {
  return {.kind = Access::Kind::kLooks, .range = range, .connection = connection};
}
Access Write(ByteRange range, Effect effect, std::uint8_t connection = 1, bool is_durable = false) {
  return {.kind = Access::Kind::kWrites,
          .range = range,
          .effect = effect,
          .is_durable = is_durable,
          .connection = connection};
}

Bytes BytesOf(Effect effect, ByteRange range) {
  Bytes bytes;
  for (std::uint64_t offset = range.begin; offset < range.end; ++offset) {
    bytes.push_back(*effect.ByteAt(offset));
  }
  return bytes;
}

// A model of 64 bytes that were read as zeroes.
ConcurrentModel Model(bool may_cache = false) {
  KnownBytes bytes({kAll});
  bytes.Learn(0, Bytes(64));
  return {std::move(bytes), may_cache};
}

void WriteAlone(ConcurrentModel& model, const Access& access, bool succeeded = true) {
  model.Begin(90, access);
  model.End(90, succeeded);
}

// Whether a read of `range` begun and ended now may show `data`.
bool MayRead(ConcurrentModel& model, ByteRange range, const Bytes& data, std::uint8_t connection = 1) {
  model.Begin(91, Look(range, connection));
  const bool may = !model.Refute(91, range.begin, data);
  model.End(91, true);
  return may;
}

bool MayClaimZeroes(ConcurrentModel& model, ByteRange range, std::uint8_t connection = 1) {
  model.Begin(91, Look(range, connection));
  const bool may = !model.RefuteZeroes(91, range);
  model.End(91, true);
  return may;
}

constexpr ByteRange kPart = {.begin = 8, .end = 16};

TEST(ConcurrentModel, WhatWasReadStaysUntilItIsWritten) {
  ConcurrentModel model = Model();
  EXPECT_TRUE(MayRead(model, kPart, Bytes(8)));
  EXPECT_FALSE(MayRead(model, kPart, BytesOf(kOnes, kPart)));
  WriteAlone(model, Write(kPart, kOnes));
  EXPECT_TRUE(MayRead(model, kPart, BytesOf(kOnes, kPart)));
  EXPECT_FALSE(MayRead(model, kPart, Bytes(8)));
}

TEST(ConcurrentModel, ARefutedReadNamesTheFirstWrongByte) {
  ConcurrentModel model = Model();
  Bytes data(16);
  data[5] = 1;
  data[9] = 1;
  model.Begin(1, Look({.begin = 16, .end = 32}));
  EXPECT_EQ(model.Refute(1, 16, data), 21U);
}

TEST(ConcurrentModel, AReadInFlightWithAWriteMayShowEitherByteByByte) {
  for (const bool read_first : {true, false}) {
    ConcurrentModel model = Model();
    model.Begin(read_first ? 1U : 2U, read_first ? Look(kAll) : Write(kPart, kOnes));
    model.Begin(read_first ? 2U : 1U, read_first ? Write(kPart, kOnes) : Look(kAll));
    Bytes mixed(64);
    mixed[9] = *kOnes.ByteAt(9);
    mixed[15] = *kOnes.ByteAt(15);
    EXPECT_FALSE(model.Refute(1, 0, mixed));
    mixed[10] = static_cast<std::uint8_t>(*kOnes.ByteAt(10) + 1);  // Neither.
    EXPECT_EQ(model.Refute(1, 0, mixed), 10U);
    mixed[10] = 0;
    mixed[16] = *kOnes.ByteAt(16);  // The write does not reach it.
    EXPECT_EQ(model.Refute(1, 0, mixed), 16U);
  }
}

TEST(ConcurrentModel, TheReadMayStillShowWhatWasThereWhenTheWriteHasEnded) {
  ConcurrentModel model = Model();
  model.Begin(1, Look(kAll));
  WriteAlone(model, Write(kPart, kOnes));
  EXPECT_FALSE(model.Refute(1, 0, Bytes(64)));
  model.End(1, true);
  EXPECT_FALSE(MayRead(model, kAll, Bytes(64)));  // But not one that is sent now.
}

TEST(ConcurrentModel, OfTwoWritesInFlightAReadMayShowAny) {
  ConcurrentModel model = Model();
  model.Begin(1, Look(kPart));
  WriteAlone(model, Write(kPart, kOnes));
  WriteAlone(model, Write(kPart, kTwos));
  for (const Bytes& data : {Bytes(8), BytesOf(kOnes, kPart), BytesOf(kTwos, kPart)}) {
    EXPECT_FALSE(model.Refute(1, kPart.begin, data));
  }
}

TEST(ConcurrentModel, WhatTwoWritesInFlightShareIsUnknown) {
  ConcurrentModel model = Model();
  model.Begin(1, Write({.begin = 0, .end = 16}, kOnes));
  model.Begin(2, Write({.begin = 8, .end = 24}, kTwos));
  model.End(1, true);
  model.End(2, true);
  EXPECT_FALSE(model.bytes().At(8));
  EXPECT_FALSE(model.bytes().At(15));
  EXPECT_EQ(model.bytes().At(7), kOnes.ByteAt(7));
  EXPECT_EQ(model.bytes().At(16), kTwos.ByteAt(16));
}

TEST(ConcurrentModel, AFailedWriteAndATrimLeaveNothingKnown) {
  ConcurrentModel model = Model();
  WriteAlone(model, Write(kPart, kOnes), /*succeeded=*/false);
  EXPECT_TRUE(MayRead(model, kPart, Bytes(8, 77)));
  EXPECT_TRUE(MayClaimZeroes(model, kPart));
  WriteAlone(model, Write(kPart, kOnes));
  WriteAlone(model, Write({.begin = 8, .end = 12}, Effect{}));
  EXPECT_TRUE(MayRead(model, {.begin = 8, .end = 12}, Bytes(4, 77)));
  EXPECT_FALSE(MayRead(model, {.begin = 12, .end = 16}, Bytes(4, 77)));
}

TEST(ConcurrentModel, ZeroesMayBeClaimedOnlyWhereNoByteIsKnownOtherwise) {
  ConcurrentModel model = Model();
  EXPECT_TRUE(MayClaimZeroes(model, kAll));
  WriteAlone(model, Write(kPart, kOnes));
  EXPECT_FALSE(MayClaimZeroes(model, kAll));
  EXPECT_TRUE(MayClaimZeroes(model, {.begin = 16, .end = 64}));
  WriteAlone(model, Write(kPart, kZeroes));
  EXPECT_TRUE(MayClaimZeroes(model, kAll));
}

TEST(ConcurrentModel, AClaimInFlightWithAWriteIsJudgedBesideItOnly) {
  ConcurrentModel model = Model();
  WriteAlone(model, Write({.begin = 40, .end = 48}, kOnes));
  model.Begin(1, Look(kAll));
  WriteAlone(model, Write(kPart, kOnes));
  EXPECT_EQ(model.RefuteZeroes(1, kAll), 40U);
  EXPECT_FALSE(model.RefuteZeroes(1, {.begin = 0, .end = 40}));
}

TEST(ConcurrentModel, AnotherConnectionMaySeeAWriteOnlyAfterAFlush) {
  ConcurrentModel model = Model(/*may_cache=*/true);
  WriteAlone(model, Write(kPart, kOnes, 1));
  EXPECT_FALSE(MayRead(model, kPart, Bytes(8), 1));
  EXPECT_TRUE(MayRead(model, kPart, Bytes(8), 2));
  EXPECT_TRUE(MayClaimZeroes(model, kPart, 2));
  WriteAlone(model, {.kind = Access::Kind::kFlushes, .connection = 2});
  EXPECT_FALSE(MayRead(model, kPart, Bytes(8), 2));
  EXPECT_FALSE(MayClaimZeroes(model, kPart, 2));
}

TEST(ConcurrentModel, AFlushThatBeganBeforeTheWriteEndedPromisesNothing) {
  ConcurrentModel model = Model(/*may_cache=*/true);
  model.Begin(1, Write(kPart, kOnes, 1));
  model.Begin(2, {.kind = Access::Kind::kFlushes});
  model.End(1, true);
  model.End(2, true);
  EXPECT_TRUE(MayRead(model, kPart, Bytes(8), 2));
}

TEST(ConcurrentModel, FuaIsSeenByAllAtOnce) {
  ConcurrentModel model = Model(/*may_cache=*/true);
  WriteAlone(model, Write(kPart, kOnes, 1, /*is_durable=*/true));
  EXPECT_FALSE(MayRead(model, kPart, Bytes(8), 2));
}

TEST(ConcurrentModel, WithoutACacheAllConnectionsSeeTheSame) {
  ConcurrentModel model = Model();
  WriteAlone(model, Write(kPart, kOnes, 1));
  EXPECT_FALSE(MayRead(model, kPart, Bytes(8), 2));
}

TEST(KnownBytes, NothingIsKnownOutsideOfTheWindows) {
  KnownBytes bytes({{.begin = 0, .end = 8}, {.begin = 100, .end = 108}});
  bytes.Apply({.begin = 4, .end = 104}, kOnes);
  EXPECT_EQ(bytes.At(7), kOnes.ByteAt(7));
  EXPECT_FALSE(bytes.At(8));
  EXPECT_FALSE(bytes.At(99));
  EXPECT_EQ(bytes.At(100), kOnes.ByteAt(100));
  EXPECT_FALSE(bytes.At(104));
  const Bytes data(108, 0xee);
  EXPECT_EQ(bytes.FirstDifference(0, data, 0), 4U);
  EXPECT_EQ(bytes.FirstDifference(0, data, 8), 100U);
  EXPECT_FALSE(bytes.FirstDifference(0, data, 104));
}

TEST(KnownBytes, OnlyWhatWasReadIsForgottenWithAHole) {
  KnownBytes bytes({kAll});
  bytes.Learn(0, Bytes(64, 5));
  bytes.Apply(kPart, kOnes);
  bytes.ForgetRead(kAll);
  EXPECT_FALSE(bytes.At(7));
  EXPECT_EQ(bytes.At(8), kOnes.ByteAt(8));
  EXPECT_FALSE(bytes.At(16));
}

TEST(KnownBytes, FirstNonZeroIsExactAtBothEnds) {
  KnownBytes bytes({kAll});
  bytes.Learn(0, Bytes(64));
  for (const std::uint64_t offset : {0U, 31U, 63U}) {
    bytes.Learn(offset, Bytes(1, 9));
    EXPECT_EQ(bytes.FirstNonZero(kAll), offset);
    EXPECT_EQ(bytes.FirstNonZero({.begin = offset, .end = offset + 1}), offset);
    EXPECT_FALSE(bytes.FirstNonZero({.begin = 0, .end = offset}));
    EXPECT_FALSE(bytes.FirstNonZero({.begin = offset + 1, .end = 64}));
    bytes.Learn(offset, Bytes(1));
  }
}

// Against the plainest model there is: what each request wrote, one after the other.
TEST(ConcurrentModel, OneAtATimeItIsAnArrayOfBytes) {
  ConcurrentModel model = Model(/*may_cache=*/true);
  Bytes naive(64);
  std::uint32_t random = 1;
  const auto below = [&](std::uint32_t bound) {
    random = random * 1664525 + 1013904223;
    return (random >> 8) % bound;
  };
  for (int i = 0; i < 5000; ++i) {
    const std::uint64_t begin = below(64);
    const ByteRange range = {.begin = begin, .end = begin + 1 + below(static_cast<std::uint32_t>(64 - begin))};
    const Effect effect =
        below(3) == 0 ? kZeroes : Effect{Effect::Kind::kPattern, static_cast<std::uint8_t>(below(256))};
    WriteAlone(model, Write(range, effect));
    for (std::uint64_t offset = range.begin; offset < range.end; ++offset) {
      naive[offset] = *effect.ByteAt(offset);
    }
    ASSERT_TRUE(MayRead(model, kAll, naive));
    Bytes wrong = naive;
    wrong[below(64)] ^= 0x10;
    ASSERT_FALSE(MayRead(model, kAll, wrong));
  }
}

}  // namespace
}  // namespace nbdspec::fuzz
