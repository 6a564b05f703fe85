// SPDX-License-Identifier: BSD-3-Clause
#include "reports/model/comparison.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace nbdspec::reports {
namespace {

using enum Verdict;

struct Check {
  const char* id;
  Verdict verdict;
  const char* saw = "";
};

auto RunOf(std::initializer_list<Check> checks) {
  struct Run run;
  for (const auto& [id, verdict, saw] : checks) {
    run.outcomes.push_back({.id = id, .verdict = verdict, .evidence = {.saw = saw}});
  }
  return run;
}

// What becomes of a check between two verdicts; without one it is not there.
std::optional<Change> Between(std::optional<Verdict> before, std::optional<Verdict> after, const char* saw = "") {
  const auto run_before = before ? RunOf({{"a.b", *before}}) : RunOf({});
  const auto run_after = after ? RunOf({{"a.b", *after, saw}}) : RunOf({});
  const Comparison comparison = Compare(run_before, run_after);
  EXPECT_LE(comparison.differences.size(), 1U);
  return comparison.differences.empty() ? std::nullopt : std::optional(comparison.differences[0].change);
}

TEST(Comparison, EveryPairOfVerdictsHasItsChange) {
  const std::optional<Verdict> kAbsent;
  for (const Verdict bad : {kFail, kInconclusive, kFlaky}) {
    for (const auto good : {std::optional(kPass), std::optional(kWarn), std::optional(kSkip), kAbsent}) {
      EXPECT_EQ(Between(good, bad), Change::kNewFailure);
    }
    EXPECT_EQ(Between(bad, bad), std::nullopt);
    EXPECT_EQ(Between(bad, bad, "something else"), Change::kChanged);
    EXPECT_EQ(Between(bad, kPass), Change::kMended);
    EXPECT_EQ(Between(bad, kWarn), Change::kMended);
    EXPECT_EQ(Between(bad, kNotApplicable), Change::kNoLongerAsked) << "nobody knows whether it is mended";
    EXPECT_EQ(Between(bad, kAbsent), Change::kGoneCheck);
  }
  EXPECT_EQ(Between(kFail, kFlaky), Change::kChanged);
  for (const auto good : {std::optional(kPass), std::optional(kNotApplicable), kAbsent}) {
    EXPECT_EQ(Between(good, kWarn), Change::kNewWarning);
  }
  EXPECT_EQ(Between(kWarn, kWarn), std::nullopt);
  EXPECT_EQ(Between(kWarn, kWarn, "something else"), Change::kChanged);
  EXPECT_EQ(Between(kWarn, kPass), Change::kMended);
  EXPECT_EQ(Between(kPass, kSkip), Change::kNoLongerAsked);
  EXPECT_EQ(Between(kSkip, kPass), Change::kNowAsked);
  EXPECT_EQ(Between(kSkip, kNotApplicable), std::nullopt);
  EXPECT_EQ(Between(kPass, kPass, "something else"), std::nullopt);
  EXPECT_EQ(Between(kAbsent, kPass), Change::kNewCheck);
  EXPECT_EQ(Between(kAbsent, kSkip), Change::kNewCheck);
}

TEST(Comparison, WhatAListExpectsIsNoFailure) {
  const auto before = RunOf({{"a", kPass}});
  auto after = RunOf({{"a", kFail}});
  after.outcomes[0].expectation.overlay = Overlay::kExpected;
  ASSERT_EQ(Compare(before, after).count(Change::kNewWarning), 1U);
  EXPECT_EQ(Compare(before, after).exit, ExitCode::kSuccess);
  EXPECT_EQ(Compare(after, before).count(Change::kMended), 1U);
  EXPECT_EQ(Compare(after, RunOf({{"a", kFail}})).exit, ExitCode::kFailure) << "the list has it no longer";
}

TEST(Comparison, OfEvidenceOnlyWhatWasSeenCounts) {
  const auto before = RunOf({{"a", kFail, "seen"}});
  auto after = before;
  after.outcomes[0].evidence = {.sent = "cookie 0x2", .saw = "seen", .transcript = {"line"}, .standard_error = "pid 7"};
  after.outcomes[0].duration_ms = 7;
  EXPECT_TRUE(Compare(before, after).differences.empty());
  after.outcomes[0].requirement = "another";
  EXPECT_EQ(Compare(before, after).count(Change::kChanged), 1U);
}

TEST(Comparison, OnlyNewFailuresFailIt) {
  const auto before = RunOf({{"a", kFail}, {"b", kPass}, {"c", kPass}});
  EXPECT_EQ(Compare(before, RunOf({{"a", kFail, "else"}, {"b", kWarn}, {"d", kPass}})).exit, ExitCode::kSuccess);
  const auto after = RunOf({{"a", kPass}, {"b", kInconclusive}, {"c", kPass}});
  const Comparison comparison = Compare(before, after);
  EXPECT_EQ(comparison.exit, ExitCode::kFailure);
  EXPECT_EQ(comparison.count(Change::kNewFailure), 1U);
  EXPECT_EQ(comparison.count(Change::kMended), 1U);
  ASSERT_EQ(comparison.differences.size(), 2U);
  EXPECT_EQ(comparison.differences[1].before, &before.outcomes[1]);
  EXPECT_EQ(comparison.differences[1].after, &after.outcomes[1]);
}

TEST(Comparison, ARunThatEndedEarlyIsNotAGoodOne) {
  auto before = RunOf({{"a", kPass}});
  auto after = RunOf({{"b", kPass}});
  after.trouble = "the server is gone";
  EXPECT_EQ(Compare(before, after).exit, ExitCode::kTargetUnusable);
  before.trouble = after.trouble;
  EXPECT_EQ(Compare(before, after).exit, ExitCode::kSuccess);
  after.outcomes[0].verdict = kFail;
  EXPECT_EQ(Compare(before, after).exit, ExitCode::kFailure);
}

TEST(Comparison, OfOneIdTheLastOutcomeCounts) {
  EXPECT_TRUE(Compare(RunOf({{"a", kPass}}), RunOf({{"a", kFail}, {"a", kPass}})).differences.empty());
  EXPECT_EQ(Compare(RunOf({{"a", kPass}, {"a", kFail}}), RunOf({})).differences.size(), 1U);
}

TEST(Comparison, EveryChangeHasItsOwnWord) {
  std::set<std::string_view> words;
  for (int change = 0; change < kChangeCount; ++change) {
    words.insert(Word(static_cast<Change>(change)));
  }
  EXPECT_EQ(words.size(), static_cast<std::size_t>(kChangeCount));
}

}  // namespace
}  // namespace nbdspec::reports
