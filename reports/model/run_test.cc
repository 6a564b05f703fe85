// SPDX-License-Identifier: BSD-3-Clause
#include "reports/model/run.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <set>

namespace nbdspec::reports {
namespace {

Tally Of(std::initializer_list<Verdict> verdicts) {
  Run run;
  for (const Verdict verdict : verdicts) {
    run.outcomes.emplace_back().verdict = verdict;
  }
  return TallyOf(run);
}

TEST(Run, EveryVerdictHasItsOwnWord) {
  std::set<std::string_view> words;
  for (int verdict = 0; verdict < kVerdictCount; ++verdict) {
    words.insert(Word(static_cast<Verdict>(verdict)));
  }
  EXPECT_EQ(words, (std::set<std::string_view>{"pass", "fail", "warn", "n/a", "skip", "inconclusive", "flaky"}));
}

TEST(Run, TallyCountsEachVerdictApart) {
  const Tally tally = Of({Verdict::kPass, Verdict::kSkip, Verdict::kPass, Verdict::kFlaky});
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

}  // namespace
}  // namespace nbdspec::reports
