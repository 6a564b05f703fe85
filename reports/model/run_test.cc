// SPDX-License-Identifier: BSD-3-Clause
#include "reports/model/run.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <set>

#include "reports/model/matrix.h"

namespace nbdspec::reports {
namespace {

Run Of(std::initializer_list<Verdict> verdicts) {
  Run run;
  for (const Verdict verdict : verdicts) {
    run.outcomes.emplace_back().verdict = verdict;
  }
  return run;
}

TEST(Run, EveryVerdictHasItsOwnWord) {
  std::set<std::string_view> words;
  for (int verdict = 0; verdict < kVerdictCount; ++verdict) {
    words.insert(Word(static_cast<Verdict>(verdict)));
  }
  EXPECT_EQ(words, (std::set<std::string_view>{"pass", "fail", "warn", "n/a", "skip", "inconclusive", "flaky"}));
}

TEST(Run, TallyCountsEachVerdictApart) {
  const Tally tally = TallyOf(Of({Verdict::kPass, Verdict::kSkip, Verdict::kPass, Verdict::kFlaky}));
  int total = 0;
  for (const int count : tally.counts) {
    total += count;
  }
  EXPECT_EQ(tally.of(Verdict::kPass), 2);
  EXPECT_EQ(tally.of(Verdict::kSkip), 1);
  EXPECT_EQ(tally.of(Verdict::kFlaky), 1);
  EXPECT_EQ(total, 4);
}

TEST(Run, FailInconclusiveAndFlakyFailTheRun) {
  for (const Verdict verdict : {Verdict::kFail, Verdict::kInconclusive, Verdict::kFlaky}) {
    EXPECT_EQ(ExitFor(Of({Verdict::kPass, verdict})), ExitCode::kFailure) << Word(verdict);
  }
}

TEST(Run, OtherVerdictsDoNotFailTheRun) {
  EXPECT_EQ(ExitFor(Of({})), ExitCode::kSuccess);
  EXPECT_EQ(ExitFor(Of({Verdict::kPass, Verdict::kWarn, Verdict::kNotApplicable, Verdict::kSkip})), ExitCode::kSuccess);
}

TEST(Run, WhatIsExpectedDoesNotFailIt) {
  auto run = Of({Verdict::kFail, Verdict::kInconclusive, Verdict::kWarn, Verdict::kPass});
  for (Outcome& outcome : run.outcomes) {
    outcome.expectation.overlay = outcome.verdict == Verdict::kPass ? Overlay::kNone : Overlay::kExpected;
  }
  EXPECT_EQ(FailuresOf(run).expected, 3);
  EXPECT_EQ(FailuresOf(run).fresh, 0);
  EXPECT_EQ(ExitFor(run), ExitCode::kSuccess);
}

TEST(Run, AStaleEntryHasItsOwnExitCodeUnlessSomethingFailsAnew) {
  auto run = Of({Verdict::kPass});
  run.stale.emplace_back();
  run.outcomes.front().expectation.overlay = Overlay::kStale;
  EXPECT_EQ(ExitFor(run), ExitCode::kStale);
  run.outcomes.emplace_back().verdict = Verdict::kFlaky;
  EXPECT_EQ(ExitFor(run), ExitCode::kFailure);
}

TEST(Outcome, AServerThatDoesNotGoOnServingDeniesServiceAtLeast) {
  Outcome outcome;
  SetClause({.id = "a.b", .statement = "x", .harm = spec::Harm::kStyle}, outcome);
  EXPECT_EQ(outcome.requirement, "a.b");
  EXPECT_EQ(outcome.harm, spec::Harm::kStyle);
  SetHarm(spec::Harm::kDenial, outcome);
  EXPECT_EQ(outcome.harm, spec::Harm::kDenial);
  outcome.harm = spec::Harm::kData;
  SetHarm(spec::Harm::kDenial, outcome);
  EXPECT_EQ(outcome.harm, spec::Harm::kData);
}

TEST(Matrix, TheExitCodeThatMattersMostIsItsOwn) {
  const auto exit_of = [](std::initializer_list<int> exits) {
    Matrix matrix;
    for (const int exit : exits) {
      matrix.runs.emplace_back().run.exit = exit;
    }
    return ExitFor(matrix);
  };
  EXPECT_EQ(exit_of({}), ExitCode::kSuccess);
  EXPECT_EQ(exit_of({0, 4, 0}), ExitCode::kStale);
  EXPECT_EQ(exit_of({0, 3, 4}), ExitCode::kTargetUnusable);
  EXPECT_EQ(exit_of({3, 1, 4}), ExitCode::kFailure);
  EXPECT_EQ(exit_of({1, 5, 3}), ExitCode::kOurError);
  EXPECT_EQ(exit_of({1, 130, 5}), 130);
}

}  // namespace
}  // namespace nbdspec::reports
