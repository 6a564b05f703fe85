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
  return {.kind = Access::Kind::kLooks, .range = range, .connection = connection, .request = {}};
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

// A model of 64 bytes that were read as zeroes, with three connections.
ConcurrentModel Model(Sharing sharing = Sharing::kAtOnce) {
  KnownBytes bytes({kAll});
  bytes.Learn(0, Bytes(64));
  ConcurrentModel model(std::move(bytes), sharing);
  model.Connect(3);
  return model;
}

void WriteAlone(ConcurrentModel& model, const Access& access, bool succeeded = true) {
  model.Begin(90, access);
  model.End(90, succeeded);
}

// Whether a read of `range` begun and ended now may show `data`.
bool MayRead(ConcurrentModel& model, ByteRange range, const Bytes& data, std::uint8_t connection = 1) {
  model.Begin(91, Look(range, connection));
  const bool may = !model.Refute(91, range.begin, data).wrong_at;
  model.End(91, true);
  return may;
}

TEST(ConcurrentModel, ANewConnectionInAnOldOnesPlaceNeedNotSeeWhatWasNotFlushed) {
  ConcurrentModel model = Model(Sharing::kAtFlush);
  WriteAlone(model, Write(kAll, kOnes));
  EXPECT_FALSE(MayRead(model, kAll, Bytes(64)));
  model.Reconnect();
  EXPECT_TRUE(MayRead(model, kAll, Bytes(64)));
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
  EXPECT_EQ(model.Refute(1, 16, data).wrong_at, 21U);
}

TEST(ConcurrentModel, AReadInFlightWithAWriteShowsEitherByteByByteAndNothingElseIsForbidden) {
  for (const bool read_first : {true, false}) {
    ConcurrentModel model = Model();
    model.Begin(read_first ? 1U : 2U, read_first ? Look(kAll) : Write(kPart, kOnes));
    model.Begin(read_first ? 2U : 1U, read_first ? Write(kPart, kOnes) : Look(kAll));
    Bytes mixed(64);
    mixed[9] = *kOnes.ByteAt(9);
    mixed[15] = *kOnes.ByteAt(15);
    EXPECT_FALSE(model.Refute(1, 0, mixed).wrong_at);
    mixed[10] = static_cast<std::uint8_t>(*kOnes.ByteAt(10) + 1);  // Neither.
    EXPECT_FALSE(model.Refute(1, 0, mixed).wrong_at);
    EXPECT_EQ(model.Refute(1, 0, mixed).open_at, 10U);
    mixed[16] = *kOnes.ByteAt(16);  // The write does not reach it.
    EXPECT_EQ(model.Refute(1, 0, mixed).wrong_at, 16U);
    EXPECT_EQ(model.Refute(1, 0, mixed).open_at, 10U);
  }
}

TEST(ConcurrentModel, TheReadMayStillShowWhatWasThereWhenTheWriteHasEnded) {
  ConcurrentModel model = Model();
  model.Begin(1, Look(kAll));
  WriteAlone(model, Write(kPart, kOnes));
  EXPECT_FALSE(model.Refute(1, 0, Bytes(64)).wrong_at);
  model.End(1, true);
  EXPECT_FALSE(MayRead(model, kAll, Bytes(64)));  // But not one that is sent now.
}

// Not even when the answers have come, as long as the READ was sent before.
TEST(ConcurrentModel, BesideAWriteAReadMayShowWhatWasThereLongBefore) {
  ConcurrentModel model = Model();
  WriteAlone(model, Write(kPart, kOnes));
  model.Begin(1, Look(kPart));
  WriteAlone(model, Write(kPart, kTwos));
  EXPECT_FALSE(model.Refute(1, kPart.begin, Bytes(8)).wrong_at);
  EXPECT_EQ(model.Refute(1, kPart.begin, Bytes(8)).open_at, kPart.begin);
  model.End(1, true);
  EXPECT_FALSE(MayRead(model, kPart, Bytes(8)));
}

TEST(ConcurrentModel, OfTwoWritesInFlightAReadMayShowAny) {
  ConcurrentModel model = Model();
  model.Begin(1, Look(kPart));
  WriteAlone(model, Write(kPart, kOnes));
  WriteAlone(model, Write(kPart, kTwos));
  for (const Bytes& data : {Bytes(8), BytesOf(kOnes, kPart), BytesOf(kTwos, kPart)}) {
    EXPECT_FALSE(model.Refute(1, kPart.begin, data).wrong_at);
  }
}

TEST(ConcurrentModel, WhatTwoWritesInFlightShareIsWhatOneOfThemWrote) {
  constexpr ByteRange kShared = {.begin = 8, .end = 16};
  const auto after_both = [] {
    ConcurrentModel model = Model();
    model.Begin(1, Write({.begin = 0, .end = 16}, kOnes));
    model.Begin(2, Write({.begin = 8, .end = 24}, kTwos));
    model.End(1, true);
    model.End(2, true);
    return model;
  };
  for (const Effect effect : {kOnes, kTwos}) {
    ConcurrentModel model = after_both();
    EXPECT_FALSE(MayRead(model, kShared, Bytes(8)));
    EXPECT_FALSE(MayRead(model, kShared, Bytes(8, 77)));
    EXPECT_TRUE(MayRead(model, {.begin = 10, .end = 12}, BytesOf(effect, {.begin = 10, .end = 12})));
    // It stays where it was seen; elsewhere it is open.
    const Effect other = effect == kOnes ? kTwos : kOnes;
    EXPECT_FALSE(MayRead(model, {.begin = 10, .end = 11}, BytesOf(other, {.begin = 10, .end = 11})));
    EXPECT_TRUE(MayRead(model, {.begin = 12, .end = 16}, BytesOf(other, {.begin = 12, .end = 16})));
    EXPECT_EQ(model.bytes().At(7), kOnes.ByteAt(7));
    EXPECT_EQ(model.bytes().At(16), kTwos.ByteAt(16));
  }
}

TEST(ConcurrentModel, AnEmptyWriteReplacesNothing) {
  ConcurrentModel model = Model();
  model.Begin(1, Write(kPart, kOnes));
  WriteAlone(model, Write({.begin = 12, .end = 12}, kTwos));
  EXPECT_TRUE(MayRead(model, kPart, Bytes(8)));
  model.End(1, true);
  EXPECT_TRUE(MayRead(model, kPart, BytesOf(kOnes, kPart)));
}

TEST(ConcurrentModel, WhatIsSettledTakesNoRoom) {
  ConcurrentModel model = Model();
  model.Begin(1, Write({.begin = 0, .end = 16}, kOnes));
  model.Begin(2, Write({.begin = 8, .end = 24}, kTwos));
  EXPECT_EQ(model.disputed().region_count(), 3U);
  model.End(1, true);
  model.End(2, true);
  EXPECT_EQ(model.disputed().region_count(), 1U);
  EXPECT_TRUE(MayRead(model, {.begin = 8, .end = 16}, BytesOf(kTwos, {.begin = 8, .end = 16})));
  EXPECT_EQ(model.disputed().region_count(), 0U);
  EXPECT_EQ(model.bytes().At(8), kTwos.ByteAt(8));
}

TEST(ConcurrentModel, AnUpdateIsNotLostByAReadInFlightWithIt) {
  ConcurrentModel model = Model();
  model.Begin(1, Write(kPart, kOnes));
  EXPECT_TRUE(MayRead(model, kPart, Bytes(8)));
  model.End(1, true);
  EXPECT_FALSE(MayRead(model, kPart, Bytes(8)));
  EXPECT_TRUE(MayRead(model, kPart, BytesOf(kOnes, kPart)));
}

TEST(ConcurrentModel, WhatAFailedReadShowedProvesNothing) {
  ConcurrentModel model = Model();
  model.Begin(1, Write(kPart, kOnes));
  model.Begin(2, Write(kPart, kTwos));
  model.End(1, true);
  model.End(2, true);
  model.Begin(3, Look(kPart));
  EXPECT_FALSE(model.Refute(3, kPart.begin, BytesOf(kOnes, kPart)).wrong_at);
  model.End(3, /*succeeded=*/false);
  EXPECT_TRUE(MayRead(model, kPart, BytesOf(kTwos, kPart)));
}

TEST(ConcurrentModel, WhatIsUnflushedFromTwoConnectionsIsOneOfTheirs) {
  ConcurrentModel model = Model(Sharing::kAtFlush);
  WriteAlone(model, Write(kPart, kOnes, 1));
  WriteAlone(model, Write(kPart, kTwos, 2));
  WriteAlone(model, {.kind = Access::Kind::kFlushes, .connection = 1});
  EXPECT_FALSE(MayRead(model, kPart, Bytes(8), 3));
  EXPECT_TRUE(MayRead(model, kPart, BytesOf(kOnes, kPart), 3));  // Its cache was written back last.
  EXPECT_FALSE(MayRead(model, kPart, BytesOf(kTwos, kPart), 1));
}

TEST(ConcurrentModel, AConnectionThatIsNewMaySeeWhatIsFlushedOnly) {
  ConcurrentModel model = Model(Sharing::kAtFlush);
  WriteAlone(model, Write(kPart, kOnes));
  WriteAlone(model, {.kind = Access::Kind::kFlushes});
  WriteAlone(model, Write({.begin = 8, .end = 12}, kTwos));
  EXPECT_TRUE(MayRead(model, {.begin = 8, .end = 12}, BytesOf(kOnes, {.begin = 8, .end = 12}), 4));
  EXPECT_FALSE(MayRead(model, {.begin = 12, .end = 16}, Bytes(4), 4));
}

TEST(ConcurrentModel, WithoutMultiConnNoFlushReachesAnotherConnection) {
  ConcurrentModel model = Model(Sharing::kNever);
  WriteAlone(model, Write(kPart, kOnes, 1, /*is_durable=*/true));
  WriteAlone(model, {.kind = Access::Kind::kFlushes});
  EXPECT_TRUE(MayRead(model, kPart, Bytes(8), 2));
  EXPECT_FALSE(MayRead(model, kPart, Bytes(8), 1));
}

// More writes than are kept apart: then anything may be there, and no memory is used for more.
TEST(ConcurrentModel, ManyWritesInFlightAreForgottenNotConfused) {
  ConcurrentModel model = Model();
  for (Ticket ticket = 1; ticket <= 100; ++ticket) {
    model.Begin(ticket, Write(kPart, {.kind = Effect::Kind::kPattern, .pattern = static_cast<std::uint8_t>(ticket)}));
  }
  for (Ticket ticket = 1; ticket <= 100; ++ticket) {
    model.End(ticket, true);
  }
  EXPECT_TRUE(MayRead(model, kPart, BytesOf(kOnes, kPart)));
  WriteAlone(model, Write(kPart, kTwos));
  EXPECT_FALSE(MayRead(model, kPart, BytesOf(kOnes, kPart)));
}

// As many disputes as there may be, then some are given up: what is in flight stays judged.
TEST(ConcurrentModel, DisputesHaveABound) {
  constexpr ByteRange kLarge = {.begin = 0, .end = 1 << 16};
  KnownBytes bytes({kLarge});
  bytes.Learn(0, Bytes(kLarge.length()));
  ConcurrentModel model(std::move(bytes), Sharing::kAtFlush);
  model.Connect(2);
  model.Begin(1, Write({.begin = 1, .end = 2}, kOnes));
  for (std::uint64_t at = 2; at < 20000; at += 2) {
    WriteAlone(model, Write({.begin = at, .end = at + 1}, kOnes));
    ASSERT_LE(model.disputed().region_count(), 5000U);
  }
  EXPECT_TRUE(MayRead(model, {.begin = 2, .end = 3}, Bytes(1, 77), 1));
  model.End(1, true);
  EXPECT_FALSE(MayRead(model, {.begin = 1, .end = 2}, Bytes(1, 77), 1));
  EXPECT_FALSE(MayRead(model, {.begin = 19998, .end = 19999}, Bytes(1), 1));
}

TEST(ConcurrentModel, ARefutationShowsTheRequestsThatMatter) {
  ConcurrentModel model = Model();
  const auto step = [](engine::Command command, std::uint8_t pattern = 0) {
    return engine::RequestStep{.command = command, .offset = 8, .length = 8, .pattern = pattern};
  };
  const auto begin = [&](Ticket ticket, Access access, const engine::RequestStep& request) {
    access.request = request;
    model.Begin(ticket, access);
  };
  WriteAlone(model, Write(kPart, kZeroes));  // Long over, and of no interest.
  begin(1, Write(kPart, kOnes), step(engine::Command::kWrite, 1));
  begin(2, Write(kPart, kTwos), step(engine::Command::kWrite, 2));
  model.End(2, true);
  model.End(1, true);
  begin(3, Look(kPart), step(engine::Command::kRead));
  ASSERT_FALSE(model.Refute(3, kPart.begin, BytesOf(kOnes, kPart)).wrong_at);
  model.End(3, true);
  begin(4, Look(kPart), step(engine::Command::kRead));
  const Bytes flipped = BytesOf(kTwos, kPart);
  ASSERT_EQ(model.Refute(4, kPart.begin, flipped).wrong_at, 8U);
  const Refutation refutation = model.Explain(4, 8, flipped[0]);
  EXPECT_EQ(refutation.possible, std::vector<std::uint8_t>{*kOnes.ByteAt(8)});
  EXPECT_EQ(refutation.broken, Refutation::Promise::kWriteThenReply);
  EXPECT_EQ(refutation.timeline, (std::vector<std::string>{
                                     "write 8 +8 pattern 1  |--|      leaves byte 249",
                                     "write 8 +8 pattern 2   ||       leaves byte 250",
                                     "read 8 +8                 ||    showed byte 249",
                                     "read 8 +8                   |-  shows byte 250",
                                 }));
}

TEST(ConcurrentModel, WhereOnlyZeroesMayBeTheirPromiseIsBroken) {
  ConcurrentModel model = Model();
  const auto broken_at = [&](std::uint64_t offset) {
    model.Begin(5, Look(kAll));
    const Refutation::Promise broken = model.Explain(5, offset, 77).broken;
    model.End(5, true);
    return broken;
  };
  WriteAlone(model, Write({.begin = 8, .end = 24}, kOnes));
  WriteAlone(model, Write(kPart, kZeroes));
  EXPECT_EQ(broken_at(8), Refutation::Promise::kZeroesThenReply);
  EXPECT_EQ(broken_at(16), Refutation::Promise::kWriteThenReply);
  EXPECT_EQ(broken_at(40), Refutation::Promise::kWriteThenReply);  // Zero, but nobody has zeroed it.
  model.Begin(1, Write(kPart, kOnes));
  model.Begin(2, Write(kPart, kZeroes));
  model.End(1, true);
  model.End(2, true);
  EXPECT_EQ(broken_at(8), Refutation::Promise::kWriteThenReply);  // Either may stand there.
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
  ConcurrentModel model = Model(Sharing::kAtFlush);
  WriteAlone(model, Write(kPart, kOnes, 1));
  EXPECT_FALSE(MayRead(model, kPart, Bytes(8), 1));
  EXPECT_TRUE(MayRead(model, kPart, Bytes(8), 2));
  EXPECT_TRUE(MayClaimZeroes(model, kPart, 2));
  WriteAlone(model, {.kind = Access::Kind::kFlushes, .connection = 2});
  EXPECT_FALSE(MayRead(model, kPart, Bytes(8), 2));
  EXPECT_FALSE(MayClaimZeroes(model, kPart, 2));
}

TEST(ConcurrentModel, AFlushThatBeganBeforeTheWriteEndedPromisesNothing) {
  ConcurrentModel model = Model(Sharing::kAtFlush);
  model.Begin(1, Write(kPart, kOnes, 1));
  model.Begin(2, {.kind = Access::Kind::kFlushes});
  model.End(1, true);
  model.End(2, true);
  EXPECT_TRUE(MayRead(model, kPart, Bytes(8), 2));
}

TEST(ConcurrentModel, FuaIsSeenByAllAtOnce) {
  ConcurrentModel model = Model(Sharing::kAtFlush);
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
  ConcurrentModel model = Model(Sharing::kAtFlush);
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
