// SPDX-License-Identifier: BSD-3-Clause
// Findings are minimised also where what shows depends on timing, or on chance.

#include "fuzz/live/run/reproduce.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "conformance/peer/reference_target.h"
#include "engine/faults/fault.h"
#include "engine/spec/ids.h"
#include "fuzz/findings/store.h"
#include "fuzz/live/run/live_fuzz.h"

namespace nbdspec::fuzz {
namespace {

using engine::CommandType;
using engine::Request;

std::unique_ptr<conformance::Target> LosesWrites() {
  return conformance::ReferenceTarget({.interposers = [](engine::Layer&) {
    return engine::faults::Interpose(engine::faults::FaultNamed("server_forgets_writes").change);
  }});
}

// Ends the connection at the fifth FLUSH; every second one that hears a FLUSH does so at the first.
class LeavesAtFlush : public engine::Interposer {
 public:
  explicit LeavesAtFlush(std::shared_ptr<int> connections) : connections_(std::move(connections)) {}
  void AfterServer(const engine::ClientMessage* heard, const engine::Negotiated&,
                   std::vector<engine::ServerMessage>& said) override {
    const auto* const request = heard != nullptr ? std::get_if<Request>(heard) : nullptr;
    if (request == nullptr || request->type != CommandType::kFlush) {
      return;
    }
    ++flushes_;
    if (flushes_ == 1 && ++*connections_ % 2 == 0) {
      leaves_at_ = 1;
    }
    if (flushes_ >= leaves_at_) {
      said = {engine::HardDisconnect{}};
    }
  }

 private:
  std::shared_ptr<int> connections_;
  int flushes_ = 0;
  int leaves_at_ = 5;
};

// As many tries as it takes, also on a machine that is slow.
const ReproduceOptions kPatient = {.time = std::chrono::hours(1)};

// A server where each run takes a second allows no more.
TEST(Reproduce, AFewRunsMakeALongScriptSmall) {
  std::string text = "size 4M\n";
  for (int i = 0; i < 60; ++i) {
    text += "write " + std::to_string(i) + "K +512 pattern 3\nflush\n" + (i % 4 == 0 ? "trim 1M +4K\n" : "");
  }
  text += "wait\nread 40K +512\n";
  const auto target = LosesWrites();
  const auto seen = RunOnFreshServer(*target, engine::ParseScript(text).value(), {});
  ASSERT_TRUE(seen && seen->finding);
  std::vector<std::size_t> sizes;
  ReproduceOptions options = kPatient;
  options.tries_max = 12;
  options.on_smaller = [&](const Finding& best, int) { sizes.push_back(best.script.steps.size()); };
  const auto smallest = Reproduce(*target, *seen->finding, options);
  ASSERT_TRUE(smallest);
  EXPECT_LE(smallest->script.steps.size(), 6U) << Print(smallest->script);
  ASSERT_GE(sizes.size(), 2U);
  EXPECT_EQ(sizes.front(), seen->finding->script.steps.size());
  EXPECT_EQ(sizes.back(), smallest->script.steps.size());
}

// Sent at once, the read may see either: it was seen when the answer to the write came just in time.
TEST(Reproduce, WhatNeedsAnswersInTimeOneRequestAtATime) {
  const auto target = LosesWrites();
  const Finding seen{.kind = FindingKind::kWrongData,
                     .rule = std::string(spec::kTransmissionWriteThenReply),
                     .script = engine::ParseScript("size 4M\nwrite 0 +512 pattern 7\nread 0 +512\n").value()};
  ASSERT_FALSE(RunOnFreshServer(*target, seen.script, {})->finding);
  const auto smallest = Reproduce(*target, seen, kPatient);
  ASSERT_TRUE(smallest);
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(RunOnFreshServer(*target, smallest->script, {})->finding) << Print(smallest->script);
  }
}

// A TRIM ends every second connection that had a FLUSH, and every fifth of the others.
class LeavesAtTrim : public engine::Interposer {
 public:
  explicit LeavesAtTrim(std::shared_ptr<int> trims) : trims_(std::move(trims)) {}
  void AfterServer(const engine::ClientMessage* heard, const engine::Negotiated&,
                   std::vector<engine::ServerMessage>& said) override {
    const auto* const request = heard != nullptr ? std::get_if<Request>(heard) : nullptr;
    if (request == nullptr) {
      return;
    }
    has_flushed_ = has_flushed_ || request->type == CommandType::kFlush;
    if (request->type == CommandType::kTrim && ++*trims_ % (has_flushed_ ? 2 : 5) == 0) {
      said = {engine::HardDisconnect{}};
    }
  }

 private:
  std::shared_ptr<int> trims_;
  bool has_flushed_ = false;
};

TEST(Reproduce, ARaceThatIsSmallShowsAsOftenAsBefore) {
  const auto trims = std::make_shared<int>(0);
  const auto target = conformance::ReferenceTarget(
      {.interposers = [=](engine::Layer&) { return std::make_unique<LeavesAtTrim>(trims); }});
  const Finding seen{
      .kind = FindingKind::kDisconnect,
      .rule = std::string(spec::kTransmissionDisconnectOnlyAllowedServer),
      .script = engine::ParseScript("size 4M\nread 0 +512\nflush\nread 512 +512\ntrim 0 +512\nread 0 +64\n").value()};
  const auto smallest = Reproduce(*target, seen, kPatient);
  ASSERT_TRUE(smallest);
  int shown_count = 0;
  for (int i = 0; i < 20; ++i) {
    const auto ran = RunOnFreshServer(*target, smallest->script, {});
    shown_count += ran && ran->finding ? 1 : 0;
  }
  EXPECT_EQ(shown_count, 10) << Print(smallest->script);
  EXPECT_EQ(
      std::ranges::count_if(smallest->script.steps,
                            [](const engine::Step& step) { return std::holds_alternative<engine::RequestStep>(step); }),
      2)
      << Print(smallest->script);
}

// What a report draws of it: the exchange with its judged answer marked, and the bytes.
TEST(Picture, AWrongByteIsMarkedInTheAnswerAndInTheBytes) {
  using reports::Message;
  const auto target = LosesWrites();
  const auto ran = RunOnFreshServer(
      *target, engine::ParseScript("size 4M\nread 0 +64\nwrite 0 +512 pattern 7\nwait\nread 0 +512\n").value(), {});
  ASSERT_TRUE(ran && ran->finding);
  const FindingPicture& picture = ran->finding->picture;
  const auto of = [&](Message::Part part) {
    std::vector<Message> messages;
    std::ranges::copy_if(picture.messages, std::back_inserter(messages),
                         [&](const Message& each) { return each.part == part; });
    return messages;
  };
  const auto asked = of(Message::Part::kAsked);
  ASSERT_EQ(asked.size(), 1U);
  EXPECT_EQ(asked.front().name, "NBD_CMD_READ");
  EXPECT_TRUE(asked.front().text.contains("length 512")) << asked.front().text;
  const auto judged = of(Message::Part::kJudged);
  ASSERT_FALSE(judged.empty());
  for (const Message& each : judged) {
    EXPECT_EQ(each.from, Message::From::kServer);
    EXPECT_FALSE(each.fields.empty()) << each.text;
    EXPECT_EQ(ran->finding->transcript.at(each.line - 1).substr(0, 2), "S1");
  }
  ASSERT_GE(picture.bars.size(), 2U);
  EXPECT_EQ(picture.bars.front().who, "asked");
  EXPECT_EQ(picture.bars.back().who, "true");
  EXPECT_TRUE(picture.bars.back().stretches.back().is_judged);
}

// Of many descriptors the one that is wrong, and no other; so of advice.
TEST(Picture, AWrongDescriptorIsMarkedAlone) {
  const auto target = conformance::ReferenceTarget({.interposers = [](engine::Layer&) {
    return engine::faults::Interpose(engine::faults::FaultNamed("server_describes_past_end_of_export").change);
  }});
  const auto ran = RunOnFreshServer(*target, engine::ParseScript("size 4M\nstatus 0 +4M\n").value(), {});
  ASSERT_TRUE(ran && ran->warnings.contains(spec::kBlockStatusExtentWithinExport));
  std::size_t said_count = 0;
  std::vector<reports::Stretch> judged;
  for (const reports::Bar& bar : ran->warnings.find(spec::kBlockStatusExtentWithinExport)->second.picture.bars) {
    said_count += std::ranges::count(bar.stretches, true, &reports::Stretch::is_judged) > 0 ? bar.stretches.size() : 0;
    std::ranges::copy_if(bar.stretches, std::back_inserter(judged), &reports::Stretch::is_judged);
  }
  EXPECT_GT(said_count, 1U);
  ASSERT_EQ(judged.size(), 1U);
  EXPECT_EQ(judged.front().end, 12U << 20);  // 8 MiB too long.
}

TEST(Picture, WhereNoAnswerCameTheRequestIsJudged) {
  const auto target = conformance::ReferenceTarget(
      {.interposers = [](engine::Layer&) { return std::make_unique<LeavesAtFlush>(std::make_shared<int>(1)); }});
  const auto ran = RunOnFreshServer(*target, engine::ParseScript("size 4M\nflush\n").value(), {.in_flight = 1});
  ASSERT_TRUE(ran && ran->finding);
  const auto& messages = ran->finding->picture.messages;
  const auto judged = std::ranges::find(messages, reports::Message::Part::kJudged, &reports::Message::part);
  ASSERT_NE(judged, messages.end());
  EXPECT_EQ(judged->name, "NBD_CMD_FLUSH");
  EXPECT_TRUE(ran->finding->picture.bars.empty());
}

// The last read comes after the answer to the write because four are in flight.
TEST(Reproduce, WhatIsOrderedByHowManyAreInFlightNeedsNoneOfThem) {
  const auto target = LosesWrites();
  ReproduceOptions options = kPatient;
  options.live.in_flight = 4;
  std::string text = "size 4M\nwrite 0 +512 pattern 7\n";
  for (int i = 0; i < 4; ++i) {
    text += "read 64K +512\n";
  }
  auto ran = RunOnFreshServer(*target, engine::ParseScript(text + "read 0 +512\n").value(), options.live);
  ASSERT_TRUE(ran && ran->finding);
  const auto smallest = Reproduce(*target, *ran->finding, options);
  ASSERT_TRUE(smallest);
  EXPECT_EQ(smallest->script.steps.size(), 3U) << Print(smallest->script);
}

TEST(Reproduce, WhatShowsEachTimeIsMadeSmallerOnlyWhileItDoes) {
  const auto connections = std::make_shared<int>(0);
  const auto target = conformance::ReferenceTarget(
      {.interposers = [=](engine::Layer&) { return std::make_unique<LeavesAtFlush>(connections); }});
  Finding seen{.kind = FindingKind::kDisconnect,
               .rule = std::string(spec::kTransmissionDisconnectOnlyAllowedServer),
               .script = {.size = 8 << 20, .steps = {20, engine::RequestStep{.command = engine::Command::kFlush}}}};
  const auto reliable = Reproduce(*target, seen, kPatient);
  ASSERT_TRUE(reliable);
  EXPECT_EQ(reliable->script.steps.size(), 5U) << Print(reliable->script);
  seen.script.steps.resize(4);
  const auto at_times = Reproduce(*target, seen, kPatient);
  ASSERT_TRUE(at_times);
  EXPECT_EQ(at_times->script.steps.size(), 1U) << Print(at_times->script);
}

TEST(Reproduce, NoWaitForAnswersBeginsAfterTheDeadline) {
  const auto target = LosesWrites();
  const engine::Script script = engine::ParseScript("size 4M\nwrite 0 +512 pattern 7\nwait\nread 0 +512\n").value();
  ASSERT_TRUE(RunOnFreshServer(*target, script, {})->finding);
  const auto late = RunOnFreshServer(*target, script, {.deadline = std::chrono::steady_clock::now()});
  ASSERT_TRUE(late) << late.error().sentence;
  EXPECT_FALSE(late->finding);
  EXPECT_EQ(late->command_count, 0U);
}

// Answers no FLUSH, and counts them.
class SilentAtFlush : public engine::Interposer {
 public:
  explicit SilentAtFlush(std::shared_ptr<int> flushes) : flushes_(std::move(flushes)) {}
  void AfterServer(const engine::ClientMessage* heard, const engine::Negotiated&,
                   std::vector<engine::ServerMessage>& said) override {
    const auto* const request = heard != nullptr ? std::get_if<Request>(heard) : nullptr;
    if (request != nullptr && request->type == CommandType::kFlush) {
      ++*flushes_;
      said.clear();
    }
  }

 private:
  std::shared_ptr<int> flushes_;
};

TEST(Reproduce, AHangIsNotTriedWhereThereIsNoTimeToSeeIt) {
  const auto flushes = std::make_shared<int>(0);
  const auto target = conformance::ReferenceTarget(
      {.interposers = [=](engine::Layer&) { return std::make_unique<SilentAtFlush>(flushes); }});
  const Finding seen{.kind = FindingKind::kHang,
                     .rule = std::string(spec::kTransmissionReplyPerRequest),
                     .script = {.size = 8 << 20, .steps = {engine::RequestStep{.command = engine::Command::kFlush}}}};
  ReproduceOptions options = kPatient;
  options.live.reply_timeout = std::chrono::milliseconds(200);
  EXPECT_TRUE(Reproduce(*target, seen, options));
  EXPECT_GT(std::exchange(*flushes, 0), 0);
  options.time = std::chrono::milliseconds(199);
  EXPECT_FALSE(Reproduce(*target, seen, options));
  EXPECT_EQ(*flushes, 0);
}

// A status with REQ_ONE shows what one without it has shown, say: small, they are the same. Some seed has that.
TEST(Fuzz, AFindingThatIsTheSameAsAnotherIsReportedBeforeItIsRemoved) {
  const auto target = LosesWrites();
  FuzzOptions options = {.shrink_time = std::chrono::hours(1)};
  options.scripts_max = 10;
  options.steps_max = 10;
  options.only_fresh = true;
  options.tries_max = 60;
  options.only_offered = true;
  options.connections = 1;
  options.live.in_flight = 1;
  std::vector<std::string> gone;
  std::vector<std::string> kept;
  options.on_same = [&](const Finding&, const std::string& directory, const std::string& other) {
    EXPECT_TRUE(ReadFinding(other)) << other;
    if (ReadFinding(directory)) {  // Else only its name has changed, with its key.
      gone.push_back(directory);
      kept.push_back(other);
    }
  };
  FuzzReport report;
  for (options.seed = 8; gone.empty() && options.seed < 60; ++options.seed) {
    options.findings_directory = testing::TempDir() + "same" + std::to_string(options.seed);
    report = Fuzz(*target, options);
  }
  EXPECT_FALSE(gone.empty());
  const std::vector<std::string> left = ListFindings(options.findings_directory);
  EXPECT_EQ(left.size(), report.findings.size());
  for (std::size_t i = 0; i < gone.size(); ++i) {
    EXPECT_EQ(std::ranges::count(left, gone[i]), 0) << gone[i];
    EXPECT_EQ(std::ranges::count(left, kept[i]), 1) << kept[i];
  }
}

// The folder goes, and something else has its name, after the run has begun.
TEST(Fuzz, AFindingThatCannotBeSavedIsReportedAndCounted) {
  const auto target = LosesWrites();
  FuzzOptions options = {.shrink_time = std::chrono::milliseconds(1)};
  options.scripts_max = 10;
  options.findings_directory = testing::TempDir() + "gone";
  options.on_script = [&](const FuzzReport&) {
    std::filesystem::remove_all(options.findings_directory);
    std::ofstream(options.findings_directory) << "not a folder";
  };
  int reported_count = 0;
  options.on_finding = [&](const Finding&, const std::string& directory) {
    EXPECT_EQ(directory, "");
    ++reported_count;
  };
  const FuzzReport report = Fuzz(*target, options);
  EXPECT_GT(reported_count, 0);
  EXPECT_EQ(report.findings.size(), static_cast<std::size_t>(reported_count));
  EXPECT_EQ(report.script_count, 10U);
  ASSERT_TRUE(report.trouble);
  EXPECT_TRUE(report.trouble->sentence.contains(options.findings_directory)) << report.trouble->sentence;
}

TEST(Fuzz, BlockSizesThatNoRequestFitsMakeAServerUnusable) {
  for (const engine::InfoBlockSize sizes :
       {engine::InfoBlockSize{.minimum = 1U << 31, .preferred = 1U << 31, .maximum = 1U << 31},
        engine::InfoBlockSize{.minimum = 0}, engine::InfoBlockSize{.minimum = 3}, engine::InfoBlockSize{.maximum = 0},
        engine::InfoBlockSize{.maximum = 1}}) {
    const auto target = conformance::ReferenceTarget({.offers = {.block_size = sizes}});
    FuzzOptions options;
    options.scripts_max = 1;
    const FuzzReport report = Fuzz(*target, options);
    EXPECT_TRUE(report.is_unusable) << sizes.minimum << ' ' << sizes.maximum;
    ASSERT_TRUE(report.trouble);
    EXPECT_TRUE(report.trouble->sentence.starts_with("No request fits")) << report.trouble->sentence;
  }
}

TEST(Reproduce, TwoAssertionsAreTwoFindings) {
  const Finding crash{.kind = FindingKind::kCrash, .rule = "a.rule"};
  Finding first = crash;
  first.server_stderr = "starting\nserver: a.c:1: Assertion `a' failed.\n";
  Finding again = crash;
  again.server_stderr = "server: a.c:1: Assertion `a' failed.\nAborted\n";
  Finding second = crash;
  second.server_stderr = "server: b.c:2: Assertion `b' failed.\n";
  EXPECT_TRUE(IsSameFinding(first, again));
  EXPECT_TRUE(IsSameFinding(first, crash));
  EXPECT_FALSE(IsSameFinding(first, second));
  again.server_stderr = "server: request 7: out of rangeserver: a.c:1: f: Assertion `a' failed.\n";
  first.server_stderr = "a.c:1: f: Assertion `a' failed.";
  EXPECT_TRUE(IsSameFinding(first, again)) << "another thread had not ended its line";
  second.kind = FindingKind::kHang;
  EXPECT_FALSE(IsSameFinding(crash, second));
}

// A server that takes longer for each message than there is time.
class AnswersLate : public engine::Interposer {
  void AfterServer(const engine::ClientMessage*, const engine::Negotiated&,
                   std::vector<engine::ServerMessage>&) override {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
};

TEST(Fuzz, NoTimeForAScriptIsNoSuccess) {
  const auto target =
      conformance::ReferenceTarget({.interposers = [](engine::Layer&) { return std::make_unique<AnswersLate>(); }});
  FuzzOptions options;
  options.time = std::chrono::milliseconds(1);
  const FuzzReport report = Fuzz(*target, options);
  EXPECT_EQ(report.script_count, 0U);
  EXPECT_TRUE(report.is_unusable);
  ASSERT_TRUE(report.trouble);
  EXPECT_TRUE(report.trouble->sentence.contains("--time")) << report.trouble->sentence;
}

}  // namespace
}  // namespace nbdspec::fuzz
