// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/learn/learner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "engine/wire/protocol.h"
#include "fuzz/live/judge/reply_judge.h"

namespace nbdspec::fuzz {
namespace {

using engine::Script;
using engine::TransmissionFlag;

constexpr std::uint64_t kSize = 8 << 20;

Offer AnOffer() {
  Offer offer;
  offer.info.size = kSize;
  offer.info.flags = TransmissionFlag::kHasFlags | TransmissionFlag::kSendFlush | TransmissionFlag::kSendTrim;
  return offer;
}

ScriptFrame AFrame() { return {.offer = AnOffer(), .haggling = {{.option = engine::OptionType::kStructuredReply}}}; }

Script AScript(const std::string& steps) { return engine::ParseScript("size 8M\n" + steps).value(); }

// Some scripts, each of which showed something.
Learner Taught(std::uint64_t seed) {
  Learner learner(seed);
  for (std::uint32_t i = 0; i < 20; ++i) {
    const std::string at = std::to_string(512 * i);
    learner.Note(AScript("write " + at + " +512 pattern 1\nread " + at + " +512\ntrim " + at + " +4096\nflush\n"),
                 {.answers = std::array{i}});
  }
  return learner;
}

// What would be sent if nothing was learned: it is recognized among those that are changed.
Script AFresh() { return AScript("read 4M +12345\nstatus 5M +4321\n"); }

Script Next(const Learner& learner, std::uint64_t number, const ScriptFrame& frame = AFrame()) {
  return learner.Next(number, AFresh(), frame);
}

TEST(Learner, HasNothingToChangeUntilSomethingWasNew) {
  Learner learner(1);
  for (std::uint64_t number = 0; number < 100; ++number) {
    EXPECT_EQ(Next(learner, number), AFresh());
  }
  EXPECT_TRUE(learner.Note(AScript("flush\n"), {.answers = std::array{7U, 9U}}));
  EXPECT_FALSE(learner.Note(AScript("read 0 +512\n"), {.answers = std::array{7U}}));
  EXPECT_FALSE(learner.Note(AScript("read 0 +512\n"), {}));
  EXPECT_EQ(learner.kind_count(), 2U);
}

TEST(Learner, MakesTheSameOfTheSame) {
  const Learner one = Taught(3);
  const Learner other = Taught(3);
  for (std::uint64_t number = 0; number < 200; ++number) {
    EXPECT_EQ(Next(one, number), Next(other, number));
  }
}

// What shards promise each other: which numbers are made afresh is known without a word.
TEST(Learner, NumbersAloneSayWhichScriptsAreMadeAfresh) {
  const Learner one = Taught(3);
  Learner other(3);
  other.Note(AScript("trim 0 +512\nread 0 +512\nread 512 +512\n"), {.answers = std::array{1U}});
  std::size_t fresh_count = 0;
  for (std::uint64_t number = 0; number < 1000; ++number) {
    const bool is_fresh = Next(one, number) == AFresh();
    EXPECT_EQ(is_fresh, Next(other, number) == AFresh());
    fresh_count += is_fresh ? 1 : 0;
  }
  EXPECT_GT(fresh_count, 50U);
  EXPECT_LT(fresh_count, 950U);
}

TEST(Learner, SeldomMakesOneScriptTwice) {
  const Learner learner = Taught(1);
  std::set<std::string> texts;
  std::size_t count = 0;
  for (std::uint64_t number = 0; number < 1000; ++number) {
    if (const Script script = Next(learner, number); script != AFresh()) {
      texts.insert(Print(script));
      ++count;
    }
  }
  EXPECT_GT(texts.size(), count * 3 / 4);
}

TEST(Learner, KeepsToWhatTheScriptIsFor) {
  const Learner learner = Taught(2);
  ScriptFrame frame = AFrame();
  frame.only_offered = true;
  frame.steps_max = 10;
  for (std::uint64_t number = 0; number < 2000; ++number) {
    const Script script = Next(learner, number, frame);
    if (script == AFresh()) {
      continue;
    }
    EXPECT_EQ(script.size, kSize);
    EXPECT_LE(script.steps.size(), 11U);
    ASSERT_FALSE(script.steps.empty());
    EXPECT_EQ(script.steps.front(), engine::Step(frame.haggling.front()));
    for (const engine::Step& step : script.steps) {
      EXPECT_FALSE(std::holds_alternative<engine::CutStep>(step));
      if (const auto* const request = std::get_if<engine::RequestStep>(&step)) {
        EXPECT_EQ(request->connection, 1);
        EXPECT_TRUE(LegalityOf(*request, frame.offer).is_legal()) << Print(step);
      }
    }
  }
}

TEST(Learner, ChangesEverything) {
  const Learner learner = Taught(5);
  ScriptFrame frame = AFrame();
  frame.connections_max = 4;
  std::set<std::string> kinds;
  std::size_t leaves = 0;
  for (std::uint64_t number = 0; number < 3000; ++number) {
    const Script script = Next(learner, number, frame);
    for (const engine::Step& step : script.steps) {
      leaves += std::holds_alternative<engine::LeaveStep>(step) ? 1 : 0;
      if (const auto* const request = std::get_if<engine::RequestStep>(&step)) {
        kinds.insert(RequestKindOf(*request) + (LegalityOf(*request, frame.offer).is_illegal() ? " illegal" : "") +
                     " on " + std::to_string(request->connection));
      }
    }
  }
  EXPECT_GT(leaves, 0U);
  for (const char* const kind : {"read on 1", "write on 4", "trim on 2", "flush on 3", "read illegal on 1"}) {
    EXPECT_TRUE(kinds.contains(kind)) << kind;
  }
}

// A server may have to do it byte by byte; then it would seem to hang.
TEST(Learner, NothingAsksForMoreThanAServerDoesInTime) {
  ScriptFrame frame = AFrame();
  frame.offer.info.size = std::uint64_t{1} << 40;
  Script script = AScript("zero 0 +4G-1\ncache 0 +2G\ntrim 0 +4G-1\nzero 0 +4G-1 fast\nstatus 0 +4G-1 on 3\n");
  FitInto(frame, script);
  EXPECT_EQ(Print(script), Print(engine::ParseScript("size 1T\ninitial data\nzero 0 +4M\ncache 0 +4M\ntrim 0 +4G-1\n"
                                                     "zero 0 +4G-1 fast\nstatus 0 +4G-1\n")
                                     .value()));
}

}  // namespace
}  // namespace nbdspec::fuzz
