// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/replay/replay.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "conformance/peer/reference_target.h"
#include "engine/faults/fault.h"
#include "engine/spec/ids.h"

namespace nbdspec::fuzz {
namespace {

// Its connection number N, from 1, is faulty when `is_faulty(N)` says so.
std::unique_ptr<conformance::Target> Losing(std::function<bool(int)> is_faulty) {
  auto count = std::make_shared<int>(0);
  return conformance::ReferenceTarget({.interposers = [is_faulty = std::move(is_faulty), count = std::move(count)] {
    using engine::faults::FaultNamed;
    return is_faulty(++*count) ? engine::faults::Interpose(FaultNamed("server_forgets_writes").change) : nullptr;
  }});
}

engine::Script WriteAndRead() {
  return engine::ParseScript("size 4M\nread 0 +512\nwrite 0 +512 pattern 7\nwait\nread 0 +512\nflush\n").value();
}

Finding LostWrite() {
  const auto target = Losing([](int) { return true; });
  return FindingOf(*target, WriteAndRead(), {}).value().value();
}

TEST(Replay, TheSameWrongIsReproduced) {
  const Finding finding = LostWrite();
  EXPECT_EQ(finding.kind, FindingKind::kWrongData);
  const Replayed replayed = ReplayFinding(*Losing([](int) { return true; }), finding, {});
  EXPECT_EQ(replayed.verdict, ReplayVerdict::kReproduced);
  EXPECT_NE(replayed.now.find("wrong-data"), std::string::npos);
  EXPECT_EQ(replayed.note, "");
}

TEST(Replay, WhatShowsOnlySometimesIsTriedAgain) {
  const Finding finding = LostWrite();
  const auto third_run = [](int connection) { return connection >= 5; };  // Two connections a run.
  const Replayed replayed = ReplayFinding(*Losing(third_run), finding, {.tries = 3});
  EXPECT_EQ(replayed.verdict, ReplayVerdict::kReproduced);
  EXPECT_EQ(replayed.note, "at the try number 3");
  EXPECT_EQ(ReplayFinding(*Losing(third_run), finding, {.tries = 1}).verdict, ReplayVerdict::kFixed);
}

TEST(Replay, ARightServerIsFixed) {
  const auto target = conformance::ReferenceTarget();
  Finding finding = LostWrite();
  finding.state = FindingState::kReproduced;
  const Replayed replayed = ReplayFinding(*target, finding, {.tries = 2});
  EXPECT_EQ(replayed.verdict, ReplayVerdict::kFixed);
  EXPECT_EQ(replayed.now, "every answer is allowed, in 2 tries and one of one request at a time");
  EXPECT_EQ(replayed.note, "");
  finding.state = FindingState::kNotReproduced;
  EXPECT_NE(ReplayFinding(*target, finding, {}).note, "");
}

TEST(Replay, AnotherRuleOrKindIsDifferent) {
  Finding finding = LostWrite();
  finding.rule = spec::kTransmissionReplyPerRequest;
  EXPECT_EQ(ReplayFinding(*Losing([](int) { return true; }), finding, {}).verdict, ReplayVerdict::kDifferent);
  finding = LostWrite();
  finding.kind = FindingKind::kHang;
  EXPECT_EQ(ReplayFinding(*Losing([](int) { return true; }), finding, {}).verdict, ReplayVerdict::kDifferent);
}

TEST(Replay, DifferentTellsWhatIsWrongHoweverOftenItWasTried) {
  Finding finding = LostWrite();
  finding.rule = spec::kStructuredOffsetHoleReadsZero;
  const Replayed replayed = ReplayFinding(*Losing([](int) { return true; }), finding, {.tries = 3});
  EXPECT_EQ(replayed.verdict, ReplayVerdict::kDifferent);
  EXPECT_NE(replayed.now.find("wrong-data of transmission.write.then-reply: expected byte"), std::string::npos)
      << replayed.now;
}

TEST(Replay, WhatNeedsWhatWasSentBeforeIsReproducedWithIt) {
  Finding finding = LostWrite();
  finding.whole = finding.script;
  finding.script.steps = {engine::RequestStep{.command = engine::Command::kRead, .length = 512}};
  const Replayed replayed = ReplayFinding(*Losing([](int) { return true; }), finding, {.tries = 1});
  EXPECT_EQ(replayed.verdict, ReplayVerdict::kReproduced) << replayed.now;
  EXPECT_EQ(replayed.note, "with what was sent to that server before");
}

// Sent at once, the read may see either; it was seen when the answer to the write came just in time.
TEST(Replay, WhatNeedsAnswersInTimeIsReproducedOneRequestAtATime) {
  Finding finding = LostWrite();
  finding.script = engine::ParseScript("size 4M\nwrite 0 +512 pattern 7\nread 0 +512\n").value();
  const Replayed replayed = ReplayFinding(*Losing([](int) { return true; }), finding, {});
  EXPECT_EQ(replayed.verdict, ReplayVerdict::kReproduced) << replayed.now;
  EXPECT_EQ(replayed.note, "one request at a time");
  finding.whole = std::exchange(finding.script, engine::ParseScript("size 4M\nread 0 +512\n").value());
  EXPECT_EQ(ReplayFinding(*Losing([](int) { return true; }), finding, {}).note,
            "with what was sent to that server before, one request at a time");
}

TEST(Replay, ReproducedComesBeforeDifferent) {
  Finding finding = LostWrite();
  finding.script.steps.pop_back();  // The place does not matter.
  finding.place = "elsewhere";
  EXPECT_EQ(ReplayFinding(*Losing([](int) { return true; }), finding, {}).verdict, ReplayVerdict::kReproduced);
}

TEST(Replay, ScriptsPassOrFail) {
  EXPECT_EQ(ReplayScript(*conformance::ReferenceTarget(), WriteAndRead(), {}).verdict, ReplayVerdict::kPass);
  const Replayed failed = ReplayScript(*Losing([](int) { return true; }), WriteAndRead(), {});
  EXPECT_EQ(failed.verdict, ReplayVerdict::kFail);
  EXPECT_NE(failed.now.find("wrong-data"), std::string::npos);
}

TEST(Replay, CommentsAreKept) {
  const std::string text = "# nbdspec script\n# What:  this\n#\n# Why:   that\nsize 64\n# not this\nflush\n";
  const auto comments = CommentsOf(text);
  EXPECT_EQ(comments, (std::vector<std::string>{"What:  this", "", "Why:   that"}));
  const std::string printed = PrintWithComments(engine::ParseScript(text).value(), comments);
  EXPECT_TRUE(printed.starts_with("# nbdspec script\n# What:  this\n# \n# Why:   that\nsize 64\n")) << printed;
  EXPECT_EQ(engine::ParseScript(printed).value(), engine::ParseScript(text).value());
  // A comment with a line in it stays a comment.
  EXPECT_EQ(engine::ParseScript(PrintWithComments({.size = 64}, {"a\nflush"})).value().steps.size(), 0U);
}

// --- Smaller: planted comparisons, so that what is small is known ---

CorpusTarget FailsWithTwoMarks() {
  return {.name = "planted", .find_in_bytes = [](engine::ByteView input) -> std::optional<Disagreement> {
            if (std::ranges::count(input, 0xee) < 2) {
              return {};
            }
            return Disagreement{.where = "marks", .expected = "fewer", .saw = "two"};
          }};
}

TEST(Shrink, BytesBecomeThoseThatMatter) {
  const CorpusTarget target = FailsWithTwoMarks();
  engine::Bytes input(1000, 0x11);
  input[3] = input[998] = input[500] = 0xee;
  const auto shrunk = ShrinkInput({.path = "", .target = &target, .input = input});
  ASSERT_TRUE(shrunk && *shrunk);
  EXPECT_EQ((*shrunk)->bytes, (engine::Bytes{0xee, 0xee}));
  EXPECT_EQ((*shrunk)->wrong, "marks: expected fewer; saw two");
}

TEST(Shrink, ScriptsBecomeTheStepsThatMatter) {
  const CorpusTarget target = {.name = "planted",
                               .find_in_script = [](const engine::Script& script) -> std::optional<Disagreement> {
                                 for (const engine::Step& step : script.steps) {
                                   if (std::holds_alternative<engine::ClearStep>(step)) {
                                     return Disagreement{.where = "a clear"};
                                   }
                                 }
                                 return {};
                               }};
  const std::string text = "# nbdspec script\nsize 64\nadd 1 +2 data\nclear\nforeach 0 +64\nclear\n";
  const auto shrunk = ShrinkInput({.path = "", .target = &target, .input = {text.begin(), text.end()}});
  ASSERT_TRUE(shrunk && *shrunk);
  EXPECT_EQ((*shrunk)->script.steps, std::vector<engine::Step>{engine::ClearStep{}});
}

TEST(Shrink, WhatPassesHasNothingToShrink) {
  const CorpusTarget target = FailsWithTwoMarks();
  const auto shrunk = ShrinkInput({.path = "", .target = &target, .input = {0xee}});
  ASSERT_TRUE(shrunk);
  EXPECT_FALSE(*shrunk);
}

}  // namespace
}  // namespace nbdspec::fuzz
