// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <string>

#include "reports/model/comparison.h"
#include "reports/render/printable.h"
#include "reports/render/render.h"
#include "reports/render/testdata/hostile_run.h"

namespace nbdspec::reports {
namespace {

TEST(RenderComparison, ShowsEachChangeUnderItsHeading) {
  auto before = HostileRun("x");
  for (std::size_t i = 0; i < before.outcomes.size(); ++i) {
    before.outcomes[i].id = "check." + std::to_string(i);  // In the order of Verdict.
  }
  before.trouble.clear();
  auto after = before;
  after.outcomes[0].verdict = Verdict::kFail;
  after.outcomes[0].evidence.saw = "seen";
  after.outcomes[1].verdict = Verdict::kPass;
  after.outcomes[2].evidence.saw = "other";
  after.outcomes[5].requirement = "another";
  after.outcomes[6].id = "check.new";
  const Comparison comparison = Compare(before, after);
  const std::string text = RenderText(comparison, {});
  EXPECT_NE(text.find("\nnew failure (2)\n  check.0  pass -> fail\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\n  saw      seen\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\n  check.new  not there -> flaky\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\nchanged evidence (2)\n  check.2  warn -> warn\n      was   x\n      is    other\n  check.5  "
                      "inconclusive -> "
                      "inconclusive\n      was   breaks x: x\n      is    breaks another: x\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("\nmended (1)\n  check.1  fail -> pass\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\ngone check (1)\n  check.6  flaky -> not there\n"), std::string::npos) << text;
  EXPECT_TRUE(text.ends_with("\nExit 1: 2 new failures.\n")) << text;
  const auto json = nlohmann::json::parse(RenderJson(comparison));
  EXPECT_EQ(json["exit"], 1);
  EXPECT_EQ(json["counts"]["new failure"], 2);
  EXPECT_EQ(json["counts"].size(), static_cast<std::size_t>(kChangeCount));
  EXPECT_EQ(json["differences"].size(), 6U);
  EXPECT_EQ(json["differences"][0]["new"]["evidence"]["saw"], "seen");
  EXPECT_TRUE(json["differences"][4]["old"].is_null() && json["differences"][5]["new"].is_null());
  EXPECT_EQ(json["new"]["tally"]["fail"], 1);
  EXPECT_TRUE(RenderText(Compare(before, before), {}).ends_with("\nExit 0: no new failure.\n"));
}

TEST(RenderComparison, NothingAPeerSendsReachesTheTerminalRawOrForgesTheEnd) {
  std::mt19937 random(15);
  const auto before = HostileRun("x");
  for (int round = 0; round < 20; ++round) {
    const std::string nasty = round == 0 ? "x\nExit 0: no new failure.\n" : RandomBytes(random, 100);
    auto after = HostileRun(nasty);
    for (const Comparison& comparison : {Compare(before, after), Compare(after, before)}) {
      const std::string text = RenderText(comparison, {.verbose = true});
      EXPECT_EQ(PrintableLines(text), text);
      EXPECT_EQ(text.find("\nExit "), text.rfind("\nExit ")) << text;
      EXPECT_TRUE(nlohmann::json::accept(RenderJson(comparison)));
    }
  }
}

}  // namespace
}  // namespace nbdspec::reports
