// SPDX-License-Identifier: BSD-3-Clause
#include "command/finding_runs.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/spec/ids.h"

namespace nbdspec::command {
namespace {

using From = reports::Message::From;

fuzz::Finding Found() {
  return {.kind = fuzz::FindingKind::kWrongData,
          .rule = std::string(spec::kTransmissionWriteThenReply),
          .request_kind = "read",
          .expected = "byte 7",
          .saw = "byte 0",
          .timeline = {"write 0 +512", "read 0 +512"},
          .transcript = {"S1< @0 +18  greeting", "C2> @4 +28  NBD_CMD_READ offset 0", "-- expected byte 7; saw byte 0"},
          .server_stderr = "oops\n"};
}

TEST(FindingRuns, AFindingIsAFailureOfItsClauseWithItsConversation) {
  const reports::Outcome outcome = OutcomeOf(Found(), "dir");
  EXPECT_EQ(outcome.verdict, reports::Verdict::kFail);
  EXPECT_EQ(outcome.requirement, spec::kTransmissionWriteThenReply);
  EXPECT_FALSE(outcome.link.empty());
  EXPECT_EQ(outcome.evidence.saw, "byte 0\nwrite 0 +512\nread 0 +512");
  EXPECT_TRUE(outcome.replay.contains("dir"));
  ASSERT_EQ(outcome.evidence.messages.size(), 3U);
  const reports::Message& read = outcome.evidence.messages[1];
  EXPECT_EQ(read.from, From::kClient);
  EXPECT_EQ(read.connection, 2);
  EXPECT_EQ(read.offset, 4U);
  EXPECT_EQ(read.length, 28U);
  EXPECT_EQ(read.text, "NBD_CMD_READ offset 0");
  EXPECT_EQ(outcome.evidence.messages[2].part, reports::Message::Part::kJudged);
  EXPECT_EQ(outcome.evidence.messages[2].text, "expected byte 7; saw byte 0");
}

TEST(FindingRuns, WhatWasDrawnOfAFindingIsShown) {
  fuzz::Finding finding = Found();
  finding.picture = {
      .messages = {{.line = 2, .from = From::kServer, .part = reports::Message::Part::kJudged, .name = "simple reply"}},
      .bars = {{.who = "true", .stretches = {{.begin = 0, .end = 1, .said = "byte 7", .is_judged = true}}}}};
  const reports::Outcome outcome = OutcomeOf(finding, "dir");
  ASSERT_EQ(outcome.evidence.messages.size(), 1U);
  EXPECT_EQ(outcome.evidence.messages[0].name, "simple reply");
  ASSERT_EQ(outcome.evidence.bars.size(), 1U);
  EXPECT_EQ(outcome.evidence.bars[0].who, "true");
  const reports::Outcome replayed =
      OutcomeOf({.verdict = fuzz::ReplayVerdict::kReproduced, .now = "x", .seen = finding}, "dir", &finding);
  EXPECT_EQ(replayed.evidence.bars.size(), 1U);
  EXPECT_TRUE(replayed.evidence.saw.starts_with("REPRODUCED: x\nthen: byte 0")) << replayed.evidence.saw;
  fuzz::DiffReport diff;
  diff.differences.push_back({.picture = finding.picture});
  EXPECT_EQ(RunOf(diff, "a", "b", {}).outcomes.front().evidence.bars.size(), 1U);
}

TEST(FindingRuns, AWarningIsDrawnAndNamesWhoIsKnownForIt) {
  fuzz::Warning warning{.count = 2, .step = "read 0 +512", .expected = "x", .saw = "y"};
  warning.picture = {.messages = {{.line = 2, .from = From::kServer, .name = "simple reply"}},
                     .bars = {{.who = "asked", .stretches = {{.begin = 0, .end = 512}}}}};
  std::vector<reports::Outcome> outcomes;
  AddWarnings({{std::string(spec::kErrorInapplicableFlag), warning}}, "A.", outcomes);
  ASSERT_EQ(outcomes.size(), 1U);
  EXPECT_EQ(outcomes[0].verdict, reports::Verdict::kWarn);
  EXPECT_EQ(outcomes[0].evidence.messages.size(), 1U);
  EXPECT_EQ(outcomes[0].evidence.bars.size(), 1U);
  EXPECT_TRUE(outcomes[0].stock.starts_with("of its clause: nbd-server warns")) << outcomes[0].stock;
}

TEST(FindingRuns, ABugThatIsPublicIsExpected) {
  fuzz::Finding finding = Found();
  finding.known = "CVE-2025-47712";
  const reports::Outcome outcome = OutcomeOf(finding, "");
  EXPECT_TRUE(IsExpected(outcome));
  EXPECT_EQ(outcome.expectation.reason, "CVE-2025-47712");
  EXPECT_EQ(outcome.replay, "");
}

// A transcript is read from a file that anybody may have written.
TEST(FindingRuns, LinesOfAnyFormAreMessagesOrNotes) {
  fuzz::Finding finding = Found();
  for (const char* const line :
       {"", "C", "S", "C1", "C1> @", "S1< @x +y", "C99999999999999999999> @1 +1  x", "S1< @1 +1", "--"}) {
    finding.transcript = {line};
    EXPECT_EQ(OutcomeOf(finding, "").evidence.messages.size(), 1U) << line;
  }
}

TEST(FindingRuns, WhatIsReplayedSaysWhatCameOfItNow) {
  const fuzz::Finding finding = Found();
  const reports::Outcome fixed = OutcomeOf({.verdict = fuzz::ReplayVerdict::kFixed}, "dir", &finding);
  EXPECT_EQ(fixed.verdict, reports::Verdict::kPass);
  EXPECT_EQ(fixed.id, "dir");
  const reports::Outcome script =
      OutcomeOf({.verdict = fuzz::ReplayVerdict::kFail, .now = "it crashed"}, "x.script", nullptr);
  EXPECT_EQ(script.verdict, reports::Verdict::kFail);
  EXPECT_EQ(script.evidence.saw, "FAIL: it crashed");
}

}  // namespace
}  // namespace nbdspec::command
