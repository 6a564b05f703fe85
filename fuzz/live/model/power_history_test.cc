// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/model/power_history.h"

#include <gtest/gtest.h>

namespace nbdspec::fuzz {
namespace {

using engine::Command;
using engine::CommandFlag;
using engine::RequestStep;
using engine::TransmissionFlag;

constexpr std::uint64_t kSize = 4096;
constexpr std::uint16_t kPromises = TransmissionFlag::kSendFlush | TransmissionFlag::kSendFua;

// All of them zero.
KnownBytes Zeroes() {
  KnownBytes bytes({{.begin = 0, .end = kSize}});
  bytes.Learn(0, engine::Bytes(kSize));
  return bytes;
}

RequestStep Write(std::uint8_t pattern, std::uint16_t flags = 0) {
  return {.command = Command::kWrite, .offset = 512, .length = 1024, .flags = flags, .pattern = pattern};
}

// What a disk has where `pattern` is in [512, 1536).
KnownBytes With(std::uint8_t pattern) {
  KnownBytes bytes = Zeroes();
  bytes.Apply({.begin = 512, .end = 1536}, {.kind = Effect::Kind::kPattern, .pattern = pattern});
  return bytes;
}

// What `request` does, on a server that offers everything.
Access AccessOf(const RequestStep& request) {
  const bool flushes = request.command == Command::kFlush;
  Access access{.kind = flushes ? Access::Kind::kFlushes : Access::Kind::kWrites,
                .range = {.begin = request.offset, .end = request.offset + request.length},
                .is_durable = (request.flags & CommandFlag::kFua) != 0,
                .request = request};
  if (request.command == Command::kWrite) {
    access.effect = {.kind = Effect::Kind::kPattern, .pattern = request.pattern};
  } else if (request.command == Command::kZero) {
    access.effect = {.kind = Effect::Kind::kZeroes};
  }
  return access;
}

// Sends `request` and takes its answer.
void Do(PowerHistory& history, const RequestStep& request, bool succeeds = true) {
  history.Begin(1, AccessOf(request));
  history.End(1, succeeds);
}

bool Allows(const PowerHistory& history, KnownBytes after) { return !history.Judge(after); }

TEST(PowerHistory, AnythingFromNothingToEverythingMayHaveHappenedBeforeAFlush) {
  PowerHistory history(Zeroes(), kPromises);
  Do(history, Write(7));
  EXPECT_TRUE(Allows(history, Zeroes()));
  EXPECT_TRUE(Allows(history, With(7)));
  EXPECT_FALSE(Allows(history, With(8)));
  KnownBytes torn = Zeroes();
  torn.Apply({.begin = 1024, .end = 1536}, {.kind = Effect::Kind::kPattern, .pattern = 7});
  EXPECT_TRUE(Allows(history, torn));
}

TEST(PowerHistory, WhatWasFlushedIsNotLost) {
  PowerHistory history(Zeroes(), kPromises);
  Do(history, Write(7));
  Do(history, {.command = Command::kFlush});
  Do(history, Write(8));
  EXPECT_TRUE(Allows(history, With(7)));
  EXPECT_TRUE(Allows(history, With(8)));
  KnownBytes after = Zeroes();
  const auto lost = history.Judge(after);
  ASSERT_TRUE(lost);
  EXPECT_EQ(lost->offset, 512U);
  EXPECT_EQ(lost->saw, 0);
  EXPECT_FALSE(lost->is_by_fua);
  EXPECT_EQ(lost->expected, "\"write 512 +1K pattern 7\", or \"write 512 +1K pattern 8\"");
}

TEST(PowerHistory, WhatHadFuaIsNotLost) {
  PowerHistory history(Zeroes(), kPromises);
  Do(history, Write(7, CommandFlag::kFua));
  KnownBytes after = Zeroes();
  const auto lost = history.Judge(after);
  ASSERT_TRUE(lost);
  EXPECT_TRUE(lost->is_by_fua);
}

TEST(PowerHistory, AServerThatPromisesNothingKeepsNoPromise) {
  PowerHistory history(Zeroes(), 0);
  Access without_fua = AccessOf(Write(7, CommandFlag::kFua));
  without_fua.is_durable = false;
  history.Begin(1, without_fua);
  history.End(1, true);
  Do(history, {.command = Command::kFlush});
  EXPECT_TRUE(Allows(history, Zeroes()));
}

TEST(PowerHistory, ATrimAndAFailureMayLeaveAnythingFromThenOn) {
  for (const bool is_trim : {false, true}) {
    PowerHistory history(Zeroes(), kPromises);
    RequestStep request = Write(7);
    request.command = is_trim ? Command::kTrim : Command::kWrite;
    Do(history, request, is_trim);
    Do(history, {.command = Command::kFlush});
    KnownBytes after = With(99);
    EXPECT_FALSE(history.Judge(after));
    EXPECT_FALSE(after.At(512)) << "what was read is no knowledge";
    EXPECT_EQ(after.At(511), 0);
  }
}

TEST(PowerHistory, WhatNobodyTouchedStays) {
  PowerHistory history(Zeroes(), kPromises);
  Do(history, Write(7));
  KnownBytes after = Zeroes();
  after.Apply({.begin = 4000, .end = 4001}, {.kind = Effect::Kind::kPattern, .pattern = 1});
  const auto lost = history.Judge(after);
  ASSERT_TRUE(lost);
  EXPECT_EQ(lost->offset, 4000U);
  EXPECT_EQ(lost->expected, "what stood there at the last power cut");
}

TEST(PowerHistory, ARequestInFlightMayHaveHappenedOrNot) {
  PowerHistory history(With(7), kPromises);
  history.Begin(1, AccessOf({.command = Command::kZero, .offset = 512, .length = 1024}));
  EXPECT_TRUE(Allows(history, With(7)));
  EXPECT_TRUE(Allows(history, Zeroes()));
}

}  // namespace
}  // namespace nbdspec::fuzz
