// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <random>
#include <regex>
#include <sstream>
#include <string>

#include "reports/render/printable.h"
#include "reports/render/render.h"
#include "reports/render/testdata/hostile_run.h"

namespace nbdspec::reports {
namespace {

auto RunOf(Verdict verdict, const std::string& text) {
  auto run = HostileRun(text);
  run.trouble.clear();
  run.stale.clear();
  run.outcomes = {run.outcomes[static_cast<std::size_t>(verdict)]};
  run.outcomes[0].expectation = {};
  return run;
}

// The one line of an outcome with that verdict.
std::string LineOf(Verdict verdict, const std::string& text) {
  std::istringstream stream(RenderTap(RunOf(verdict, text)));
  std::string line;
  for (int i = 0; i < 4; ++i) {
    std::getline(stream, line);  // Version, comment, plan, outcome.
  }
  return line;
}

TEST(RenderTap, EachVerdictHasItsLine) {
  EXPECT_EQ(LineOf(Verdict::kPass, "a.b"), "ok 1 - a.b");
  for (const Verdict verdict : {Verdict::kFail, Verdict::kInconclusive, Verdict::kFlaky}) {
    EXPECT_EQ(LineOf(verdict, "a.b"), "not ok 1 - a.b");
  }
  EXPECT_EQ(LineOf(Verdict::kWarn, "a.b"), "not ok 1 - a.b # todo warn, MUST: a.b");
  EXPECT_EQ(LineOf(Verdict::kSkip, "a.b"), "ok 1 - a.b # skip skip: a.b");
  EXPECT_EQ(LineOf(Verdict::kNotApplicable, "a.b"), "ok 1 - a.b # skip n/a: a.b");
}

TEST(RenderTap, WhatIsExpectedIsToDoAndAStaleEntryFails) {
  auto run = RunOf(Verdict::kFail, "a.b");
  run.outcomes[0].expectation = {.overlay = Overlay::kExpected, .reason = "old", .link = "", .place = "list:1"};
  run.stale = {{.place = "list:2", .id = "a.c", .why = "it passes"}};
  const std::string text = RenderTap(run);
  EXPECT_NE(text.find("\n1..2\nnot ok 1 - a.b # todo expected: old\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\nnot ok 2 - list:2: a.c: it passes\n"), std::string::npos) << text;
}

TEST(RenderTap, NoTextIsADirective) {
  EXPECT_EQ(LineOf(Verdict::kFail, "x # todo y"), "not ok 1 - x \\# todo y");
  EXPECT_EQ(LineOf(Verdict::kFail, "x \\# todo y"), "not ok 1 - x \\\\\\# todo y");
  const std::string whole = RenderTap(RunOf(Verdict::kFail, "\"x\"\n  ...\nok 2\nBail out!"));
  EXPECT_NE(whole.find("  saw: \"\\\"x\\\"\\n  ...\\nok 2\\nBail out!\"\n"), std::string::npos) << whole;
}

// Every line is one that we write, whatever the peer chose; none is another outcome.
TEST(RenderTap, AnyBytesGiveNothingButOurLines) {
  std::mt19937 random(13);
  const std::regex ours(
      R"re(TAP version 13|#.*|1\.\.8|(not )?ok [1-8] - .*|  ---|  [a-z]+: "([^"\\]|\\.)*"|  \.\.\.|Bail out! .*)re");
  for (int round = 0; round < 20; ++round) {
    const std::string text = RenderTap(HostileRun(RandomBytes(random, 100) + "\nok 9\n"));
    EXPECT_EQ(PrintableLines(text), text);
    std::istringstream stream(text);
    int outcomes = 0;
    for (std::string line; std::getline(stream, line);) {
      EXPECT_TRUE(std::regex_match(line, ours)) << line;
      outcomes += line.starts_with("ok ") || line.starts_with("not ok ") ? 1 : 0;
    }
    EXPECT_EQ(outcomes, 8);
  }
}

TEST(RenderTap, AMatrixIsTheTestsOfItsRuns) {
  Matrix matrix{.runs = {{.name = "a # todo", .run = RunOf(Verdict::kFail, "x")},
                         {.name = "b", .run = RunOf(Verdict::kPass, "x")}}};
  matrix.runs[1].run.trouble = "gone";
  const std::string text = RenderTap(matrix);
  EXPECT_TRUE(text.contains("\n1..3\n")) << text;
  EXPECT_TRUE(text.contains("\nnot ok 1 - a \\# todo: x\n")) << text;
  EXPECT_TRUE(text.contains("\nok 2 - b: x\nnot ok 3 - b: gone\n")) << text;
  EXPECT_FALSE(text.contains("Bail out")) << text;
}

TEST(RenderTap, RunThatEndedEarlyBailsOut) {
  EXPECT_TRUE(RenderTap(HostileRun("x\ny")).ends_with("\nBail out! x\\ny\n"));
  EXPECT_EQ(RenderTap(RunOf(Verdict::kPass, "x")).find("Bail out!"), std::string::npos);
}

}  // namespace
}  // namespace nbdspec::reports
