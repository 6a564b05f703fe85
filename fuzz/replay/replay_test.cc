// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/replay/replay.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "conformance/peer/reference_target.h"
#include "engine/faults/fault.h"
#include "engine/spec/ids.h"
#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"
#include "engine/wire/protocol.h"
#include "fuzz/live/run/live_server.h"

namespace nbdspec::fuzz {
namespace {

using engine::CommandType;
using engine::Request;

// Its connection number N, from 1, is faulty when `is_faulty(N)` says so.
std::unique_ptr<conformance::Target> Losing(std::function<bool(int)> is_faulty) {
  auto count = std::make_shared<int>(0);
  return conformance::ReferenceTarget(
      {.interposers = [is_faulty = std::move(is_faulty), count = std::move(count)](engine::Layer&) {
        using engine::faults::FaultNamed;
        return is_faulty(++*count) ? engine::faults::Interpose(FaultNamed("server_forgets_writes").change) : nullptr;
      }});
}

engine::Script WriteAndRead() {
  return engine::ParseScript("size 4M\nread 0 +512\nwrite 0 +512 pattern 7\nwait\nread 0 +512\nflush\n").value();
}

Finding LostWrite() {
  const auto target = Losing([](int) { return true; });
  return FindingOf(RunOnFreshServer(*target, WriteAndRead(), {}).value()).value();
}

TEST(Replay, TheSameFailureIsReproduced) {
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
  EXPECT_EQ(replayed.note, "at try number 3");
  EXPECT_EQ(ReplayFinding(*Losing(third_run), finding, {.tries = 1}).verdict, ReplayVerdict::kFixed);
}

TEST(Replay, WhatHasNoTimeIsNotJudged) {
  const auto right = Losing([](int) { return false; });
  const ReplayOptions hasty = {.tries = 1000, .time = std::chrono::milliseconds(1)};
  EXPECT_EQ(ReplayFinding(*right, LostWrite(), hasty).verdict, ReplayVerdict::kUnusable);
  const Replayed script = ReplayScript(*right, WriteAndRead(), hasty);
  EXPECT_EQ(script.verdict, ReplayVerdict::kUnusable);
  EXPECT_TRUE(script.now.contains("--time")) << script.now;
}

TEST(Replay, AScriptIsTriedAgain) {
  const auto third_run = [](int connection) { return connection >= 5; };  // Two connections a run.
  const Replayed replayed = ReplayScript(*Losing(third_run), WriteAndRead(), {.tries = 3});
  EXPECT_EQ(replayed.verdict, ReplayVerdict::kFail);
  EXPECT_EQ(replayed.note, "at try number 3");
  EXPECT_EQ(ReplayScript(*Losing(third_run), WriteAndRead(), {.tries = 2}).verdict, ReplayVerdict::kPass);
}

TEST(Replay, AScriptIsForAServerUnlessItIsForAMap) {
  const auto is_for_server = [](const std::string& steps) {
    const std::string path = testing::TempDir() + "/a.script";
    std::ofstream(path) << std::string(engine::kScriptHeader) + "\nsize 4M\n" + steps;
    return std::holds_alternative<ScriptSubject>(ReadSubject(path, /*for_server=*/false).value());
  };
  for (const char* const steps : {"leave\n", "wait\n", "wait\nleave\n", "option go\n", "read 0 +512\n"}) {
    EXPECT_TRUE(is_for_server(steps)) << steps;
  }
  for (const char* const steps : {"", "clear\n", "add 0 +512 data\n"}) {
    EXPECT_FALSE(is_for_server(steps)) << steps;
  }
}

TEST(Replay, ACorrectServerIsFixed) {
  const auto target = conformance::ReferenceTarget();
  Finding finding = LostWrite();
  finding.state = FindingState::kReproduced;
  const Replayed replayed = ReplayFinding(*target, finding, {.tries = 2});
  EXPECT_EQ(replayed.verdict, ReplayVerdict::kFixed);
  EXPECT_EQ(replayed.now, "every answer is allowed, in 2 tries and in one with one request at a time");
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

TEST(Replay, DifferentShowsTheOtherFailureHoweverOftenItWasTried) {
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
  EXPECT_EQ(replayed.note, "after what was sent to that server before");
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
            "after what was sent to that server before, one request at a time");
}

TEST(Replay, ReproducedComesBeforeDifferent) {
  Finding finding = LostWrite();
  finding.script.steps.pop_back();
  finding.request_kind = "another";  // It does not matter.
  EXPECT_EQ(ReplayFinding(*Losing([](int) { return true; }), finding, {}).verdict, ReplayVerdict::kReproduced);
}

// READ past the end succeeds: older versions made a finding of that.
class ReadsPastTheEnd : public engine::Interposer {
 public:
  void AfterServer(const engine::ClientMessage* received, const engine::Negotiated&,
                   std::vector<engine::ServerMessage>& sent) override {
    const auto* const request = received != nullptr ? std::get_if<Request>(received) : nullptr;
    const auto* const chunk = sent.empty() ? nullptr : std::get_if<engine::Chunk>(&sent.front());
    if (request != nullptr && request->type == CommandType::kRead && chunk != nullptr && chunk->is_error()) {
      sent = {engine::Chunk{.flags = engine::ChunkFlag::kDone,
                            .type = engine::ChunkType::kOffsetData,
                            .cookie = request->cookie,
                            .payload = EncodePayload(engine::OffsetData{.offset = request->offset,
                                                                        .data = engine::Bytes(request->length)})}};
    }
  }
};

TEST(Replay, AnOldFindingWhoseRuleOnlyAdvisesIsAWarning) {
  const auto target =
      conformance::ReferenceTarget({.interposers = [](engine::Layer&) { return std::make_unique<ReadsPastTheEnd>(); }});
  const auto script = engine::ParseScript("size 8M\nread 8M +512\n").value();
  const Finding finding{.kind = FindingKind::kWrongSuccess,
                        .rule = std::string(spec::kTransmissionReadOutOfBounds),
                        .state = FindingState::kReproduced,
                        .script = script};
  const Replayed replayed = ReplayFinding(*target, finding, {});
  EXPECT_EQ(replayed.verdict, ReplayVerdict::kWarning);
  EXPECT_NE(replayed.now.find(finding.rule), std::string::npos) << replayed.now;
  EXPECT_EQ(ReplayFinding(*conformance::ReferenceTarget(), finding, {}).verdict, ReplayVerdict::kFixed);
  const Replayed as_script = ReplayScript(*target, script, {});
  EXPECT_EQ(as_script.verdict, ReplayVerdict::kPass);
  EXPECT_TRUE(as_script.warnings.contains(finding.rule));
}

TEST(Replay, ScriptsPassOrFail) {
  EXPECT_EQ(ReplayScript(*conformance::ReferenceTarget(), WriteAndRead(), {}).verdict, ReplayVerdict::kPass);
  const Replayed failed = ReplayScript(*Losing([](int) { return true; }), WriteAndRead(), {});
  EXPECT_EQ(failed.verdict, ReplayVerdict::kFail);
  EXPECT_NE(failed.now.find("wrong-data"), std::string::npos);
}

// Runs that share a directory for findings lock a file in it.
TEST(Replay, ADirectoryWithoutFindingsHoldsNothing) {
  const std::string directory = testing::TempDir() + "/none-found";
  std::filesystem::create_directory(directory);
  std::ofstream(directory + "/.lock") << "";
  const auto subjects = SubjectsIn(directory);
  ASSERT_FALSE(subjects);
  EXPECT_TRUE(subjects.error().sentence.contains("holds nothing to replay")) << subjects.error().sentence;
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

}  // namespace
}  // namespace nbdspec::fuzz
