// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/runner/runner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <thread>

#include "conformance/peer/reference_target.h"
#include "conformance/runner/evidence.h"
#include "engine/spec/catalogue.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {
namespace {

using reports::Verdict;

Judgement AlwaysHolds(CheckContext&) { return Holds(); }
Judgement AlwaysBroken(CheckContext&) { return Broken("it", "not it"); }
Judgement NeverSure(CheckContext&) { return Inconclusive("who knows"); }
Judgement NothingToJudge(CheckContext&) { return NotApplicable("nothing there"); }
Judgement BrokenEverySecondTime(CheckContext&) {
  static int count = 0;
  return ++count % 2 == 1 ? Broken("odd", "even") : Holds();
}
Judgement SaysHello(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  NBDSPEC_TRY(replies, session.Ask(engine::Option{.option = engine::OptionType::kList}));
  return Broken("hello", "silence");
}
Judgement DrawsANumber(CheckContext& context) { return Broken(std::to_string(context.random()), ""); }

// Asks an option that AnswersTwice answers twice, and LIST, before `judgement`.
constexpr std::uint32_t kUnknownOption = 0x7ffffff0;
Check MeetsTwoReplies(std::string_view id, const Judgement& judgement) {
  return {.id = id, .claim = "", .run = [judgement](CheckContext& context) -> Judgement {
            NBDSPEC_TRY(session, context.Haggle());
            NBDSPEC_TRY(first, session.Ask(engine::Option{.option = kUnknownOption}));
            NBDSPEC_TRY(second, session.Ask(engine::Option{.option = engine::OptionType::kList}));
            return judgement;
          }};
}

class AnswersTwice : public engine::Interposer {
 public:
  void AfterServer(const engine::ClientMessage* received, const engine::Negotiated& /*state*/,
                   std::vector<engine::ServerMessage>& sent) override {
    const auto* option = received == nullptr ? nullptr : std::get_if<engine::Option>(received);
    if (option != nullptr && option->option == kUnknownOption) {
      sent.push_back(sent.back());
    }
  }
};

constexpr std::chrono::milliseconds kShortTime{20};
// The time that a check has is longer on a machine that is slow.
Judgement BrokenTooLate(CheckContext& context) {
  std::this_thread::sleep_until(context.limits.deadline);
  return Broken("nothing came", "something");
}
Judgement HoldsTooLate(CheckContext& context) {
  std::this_thread::sleep_until(context.limits.deadline);
  return Holds();
}
constexpr std::chrono::milliseconds kLongTime{2'000};
Judgement LateTheFirstTime(CheckContext& context) {
  static int count = 0;
  if (++count == 1) {
    std::this_thread::sleep_until(context.limits.deadline);
  }
  return Holds();
}

// What the report says of the conversations before and after the checks.
std::string SanityOf(const reports::Run& run) {
  const auto found =
      std::ranges::find(run.advertised, "sanity conversation", [](const auto& pair) { return pair.first; });
  return found == run.advertised.end() ? "" : found->second;
}

// Any requirement of each kind.
constexpr std::string_view kMust = spec::kHandshakeMagic;
constexpr std::string_view kShould = spec::kOptionListDataInvalid;
constexpr std::string_view kAmbiguousMust = spec::kOptionListOnePerExport;

reports::Run RunOne(std::string_view id, Judgement (*run)(CheckContext&), RunOptions options = {},
                    Features needs = {}) {
  const auto target = ReferenceTarget();
  const Check check{.id = id, .claim = "", .run = run, .needs = needs};
  return RunChecks(*target, std::span(&check, 1), options);
}

TEST(Runner, LevelAndAmbiguityDecideHowBadABreachIs) {
  EXPECT_EQ(RunOne(kMust, AlwaysBroken).outcomes[0].verdict, Verdict::kFail);
  EXPECT_EQ(RunOne(kShould, AlwaysBroken).outcomes[0].verdict, Verdict::kWarn);
  ASSERT_TRUE(spec::TheCatalogue().Find(kAmbiguousMust)->ambiguous);
  EXPECT_EQ(RunOne(kAmbiguousMust, AlwaysBroken).outcomes[0].verdict, Verdict::kWarn);
}

TEST(Runner, TwoEndsOutOfStepFailTheirOwnClauseWhereTheCheckWouldNotFail) {
  const auto target = ReferenceTarget({.interposers = [](engine::Layer&) { return std::make_unique<AnswersTwice>(); }});
  const Check checks[] = {MeetsTwoReplies(kMust, Inconclusive("")), MeetsTwoReplies(kShould, Broken("it", "not it")),
                          MeetsTwoReplies(kMust, Broken("it", "not it")), MeetsTwoReplies(kMust, Holds())};
  const reports::Run run = RunChecks(*target, checks, {});
  for (const reports::Outcome& outcome : {run.outcomes[0], run.outcomes[1]}) {
    EXPECT_EQ(outcome.verdict, Verdict::kFail);
    EXPECT_EQ(outcome.requirement, spec::kOptionReplyForEveryOption);
    EXPECT_EQ(outcome.level, spec::Level::kMust);
    EXPECT_NE(outcome.evidence.saw.find("answered before"), std::string::npos) << outcome.evidence.saw;
  }
  EXPECT_EQ(run.outcomes[1].id, kShould);
  EXPECT_EQ(run.outcomes[2].requirement, kMust);
  EXPECT_EQ(run.outcomes[3].verdict, Verdict::kPass);
}

TEST(Runner, ExitCodeFollowsTheWorstOutcome) {
  EXPECT_EQ(RunOne(kMust, AlwaysHolds).exit, 0);
  EXPECT_EQ(RunOne(kShould, AlwaysBroken).exit, 0);
  EXPECT_EQ(RunOne(kMust, NothingToJudge).exit, 0);
  EXPECT_EQ(RunOne(kMust, AlwaysBroken).exit, 1);
  EXPECT_EQ(RunOne(kMust, NeverSure).exit, 1);
  EXPECT_EQ(RunOne(kMust, BrokenEverySecondTime).exit, 1);
}

TEST(Runner, WhatComesOutDifferentlyTheSecondTimeIsFlakyAndShowsBoth) {
  const reports::Run run = RunOne(kMust, BrokenEverySecondTime);
  EXPECT_EQ(run.outcomes[0].verdict, Verdict::kFlaky);
  EXPECT_NE(run.outcomes[0].evidence.saw.find("first fail: odd; run again pass"), std::string::npos);
}

TEST(Runner, EvidenceHoldsWhatWasSentAndTheConversation) {
  const reports::Evidence evidence = RunOne(kMust, SaysHello).outcomes[0].evidence;
  EXPECT_EQ(evidence.sent, "NBD_OPT_LIST");
  EXPECT_EQ(evidence.saw, "hello");
  EXPECT_EQ(evidence.allowed, "silence");
  EXPECT_FALSE(evidence.place.empty());
  EXPECT_GE(evidence.transcript.size(), 4U);
}

TEST(Runner, AMissingFeatureMeansNotApplicableAndTheCheckIsNotRun) {
  const reports::Run run = RunOne(kMust, AlwaysBroken, {}, Feature::kNoFastZero);
  EXPECT_EQ(run.outcomes[0].verdict, Verdict::kNotApplicable);
  EXPECT_NE(run.outcomes[0].evidence.saw.find("does not offer"), std::string::npos);
}

TEST(Runner, ReplayNamesTheCheckTheTargetAndTheSeed) {
  EXPECT_EQ(RunOne(kMust, AlwaysBroken, {.seed = 7, .replay_flags = " --reply-timeout 3"}).outcomes[0].replay,
            "nbdspec check reference handshake.magic --seed 7 --reply-timeout 3");
}

TEST(Runner, EqualSeedsDrawEqualNumbers) {
  const std::string first = RunOne(kMust, DrawsANumber, {.seed = 7}).outcomes[0].evidence.saw;
  EXPECT_EQ(RunOne(kMust, DrawsANumber, {.seed = 7}).outcomes[0].evidence.saw, first);
  EXPECT_NE(RunOne(kMust, DrawsANumber, {.seed = 8}).outcomes[0].evidence.saw, first);
}

TEST(Runner, OutcomesKeepTheOrderOfTheChecksWithManyWorkers) {
  const auto target = ReferenceTarget();
  const reports::Run run =
      RunChecks(*target, AllChecks(), {.worker_count = 8, .case_timeout = std::chrono::minutes(1)});
  ASSERT_EQ(run.outcomes.size(), AllChecks().size());
  for (std::size_t i = 0; i < run.outcomes.size(); ++i) {
    EXPECT_EQ(run.outcomes[i].id, AllChecks()[i].id);
  }
  EXPECT_EQ(run.exit, 0);
}

TEST(Runner, AnInterruptedRunReportsWhatItHas) {
  std::atomic<bool> cancelled = true;
  const reports::Run run = RunOne(kMust, AlwaysBroken, {.cancelled = &cancelled});
  ASSERT_EQ(run.outcomes.size(), 1U);
  EXPECT_EQ(run.outcomes[0].verdict, Verdict::kSkip);
  EXPECT_FALSE(run.trouble.empty());
}

TEST(Runner, ChecksAfterTheDeadlineAreInconclusive) {
  const auto takes_its_time = [](CheckContext& context) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return SaysHello(context);
  };
  const auto target = ReferenceTarget();
  const std::vector<Check> many(500, Check{.id = kMust, .claim = "", .run = takes_its_time});
  const reports::Run run = RunChecks(*target, many, {.deadline = std::chrono::seconds(2)});
  ASSERT_EQ(run.outcomes.size(), many.size());
  EXPECT_EQ(run.outcomes.back().verdict, Verdict::kInconclusive);
  EXPECT_EQ(run.outcomes.back().id, kMust);
  EXPECT_EQ(run.trouble, "the run's deadline passed");
  EXPECT_EQ(SanityOf(run), "passed before the checks, not held after them");
  EXPECT_EQ(run.exit, 1);
}

// A slow machine has not even started the server by then: that is no fault of the server's.
TEST(Runner, ADeadlineThatPassesBeforeTheFirstCheckFailsNothing) {
  const auto target = ReferenceTarget({.interposers = [](engine::Layer&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return std::make_unique<engine::Interposer>();
  }});
  const std::vector<Check> many(20, Check{.id = kMust, .claim = "", .run = SaysHello});
  const reports::Run run = RunChecks(*target, many, {.deadline = std::chrono::milliseconds(1)});
  ASSERT_EQ(run.outcomes.size(), many.size()) << run.trouble;
  EXPECT_TRUE(
      std::ranges::all_of(run.outcomes, [](const auto& each) { return each.verdict == Verdict::kInconclusive; }));
  EXPECT_EQ(run.trouble, "the run's deadline passed");
  EXPECT_TRUE(SanityOf(run).ends_with("not held after them")) << SanityOf(run);
  EXPECT_EQ(run.exit, 1);
}

TEST(Runner, WhatIsFoundAfterACheckHadItsTimeProvesNothing) {
  for (const auto check : {BrokenTooLate, HoldsTooLate}) {
    const reports::Outcome outcome = RunOne(kMust, check, {.case_timeout = kShortTime}).outcomes[0];
    EXPECT_EQ(outcome.verdict, Verdict::kInconclusive);
    EXPECT_NE(outcome.evidence.saw.find("time for this check was over"), std::string::npos);
  }
}

TEST(Runner, ACheckThatHadTimeOnlyOnASecondTryIsNotFlaky) {
  const reports::Run run = RunOne(kMust, LateTheFirstTime, {.case_timeout = kLongTime});
  EXPECT_EQ(run.outcomes[0].verdict, Verdict::kPass);
  EXPECT_EQ(run.exit, 0);
}

TEST(Runner, AServerThatNeverWasSaneIsNotSaidToBeSaneAfterwards) {
  const auto target = ReferenceTarget({.wires = [] {
    return [](engine::ByteView bytes, engine::Bytes& arrives) {
      arrives.assign(bytes.begin(), bytes.begin() + 1);  // Of the greeting.
      return false;
    };
  }});
  const Check check{.id = kMust, .claim = "", .run = AlwaysHolds};
  EXPECT_EQ(SanityOf(RunChecks(*target, std::span(&check, 1), {})), "failed before the checks, not held after them");
}

// A server that cannot be started again where it stands, as on a machine that has no room.
class NotRestarted final : public Peer {
 public:
  explicit NotRestarted(std::unique_ptr<Peer> peer) : peer_(std::move(peer)) {}
  std::expected<std::unique_ptr<Transport>, engine::Trouble> Connect(Transport::Clock::time_point deadline) override {
    return peer_->Connect(deadline);
  }
  std::expected<void, engine::Trouble> Restart() override { return std::unexpected(engine::Trouble{"no room"}); }

 private:
  std::unique_ptr<Peer> peer_;
};

// The reference server, whose start `number`, from 0, fails where `fails` says so.
Target FailingToStart(std::function<bool(int number)> fails) {
  const std::shared_ptr<Target> reference = ReferenceTarget();
  const auto count = std::make_shared<std::atomic<int>>(0);
  return Target(TargetFacts{.description = "", .command_line = ""},
                [=](Setup setup, Transport::Clock::time_point deadline) -> PeerOrTrouble {
                  if (fails((*count)++)) {
                    return std::unexpected(engine::Trouble{"no room"});
                  }
                  return std::make_unique<NotRestarted>(*reference->Start(setup, deadline));
                });
}

std::map<Verdict, int> VerdictsOf(const reports::Run& run) {
  std::map<Verdict, int> counts;
  for (const reports::Outcome& outcome : run.outcomes) {
    ++counts[outcome.verdict];
  }
  return counts;
}

// One that could not start its server again once judged all that was left in no time.
TEST(Runner, AWorkerWhoseServerDoesNotStartLeavesTheChecksToOthers) {
  // After a check that did not hold, the first server is restarted: that fails, and all starts of one worker after it.
  std::atomic<bool> one_fails = false;
  static thread_local bool is_unlucky = false;
  Target target = FailingToStart([&](int /*number*/) { return is_unlucky; });
  std::vector<Check> checks(40, Check{.id = kMust, .claim = "", .run = [](CheckContext& context) {
                                        const auto session = context.Haggle();
                                        std::this_thread::sleep_for(std::chrono::milliseconds(2));
                                        return session ? Holds() : Inconclusive("");
                                      }});
  checks[0].run = [&one_fails](CheckContext&) {
    is_unlucky = is_unlucky || !one_fails.exchange(true);
    return Broken("it", "not it");
  };
  const reports::Run run = RunChecks(target, checks, {.worker_count = 4});
  const auto verdicts = VerdictsOf(run);
  EXPECT_EQ(verdicts.at(Verdict::kFail), 1);
  EXPECT_EQ(verdicts.at(Verdict::kPass), 39);
}

TEST(Runner, TheLastWorkerTriesAgain) {
  // The first start is for the habits of the server; then five fail: three of one try, and two of the next.
  Target target = FailingToStart([](int number) { return number >= 1 && number <= 5; });
  std::vector<Check> checks(20, Check{.id = kMust, .claim = "", .run = AlwaysHolds});
  checks[0].run = AlwaysBroken;
  const auto verdicts = VerdictsOf(RunChecks(target, checks, {}));
  EXPECT_EQ(verdicts.at(Verdict::kFail), 1);
  EXPECT_EQ(verdicts.at(Verdict::kPass), 19);
}

TEST(Runner, AServerThatNeverStartsAgainEndsTheRun) {
  Target target = FailingToStart([](int number) { return number >= 1; });
  std::vector<Check> checks(200, Check{.id = kMust, .claim = "", .run = AlwaysHolds});
  checks[0].run = AlwaysBroken;
  const reports::Run run = RunChecks(target, checks, {});
  EXPECT_EQ(VerdictsOf(run).at(Verdict::kSkip), 199);
  EXPECT_EQ(run.exit, reports::ExitCode::kTargetUnusable);
  EXPECT_EQ(run.trouble, "The server could not be started when it was needed. no room");
}

TEST(Runner, NoServerStartsAfterTheDeadline) {
  const auto starts = std::make_shared<int>(0);
  Target target = FailingToStart([starts](int /*number*/) {
    ++*starts;
    return false;
  });
  std::vector<Check> checks(20, Check{.id = kMust, .claim = "", .run = AlwaysBroken});
  checks[0].run = BrokenTooLate;
  const reports::Run run = RunChecks(target, checks, {.deadline = kLongTime});
  EXPECT_EQ(VerdictsOf(run).at(Verdict::kInconclusive), 20);
  EXPECT_EQ(*starts, 1);
}

TEST(Runner, ASentenceEndsOnce) {
  EXPECT_EQ(WithFullStop("Is it there?"), "Is it there?");
  EXPECT_EQ(WithFullStop("It is."), "It is.");
  EXPECT_EQ(WithFullStop("it is"), "it is.");
}

}  // namespace
}  // namespace nbdspec::conformance
