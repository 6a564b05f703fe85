// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <random>
#include <regex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "reports/render/render.h"
#include "reports/render/testdata/hostile_run.h"

namespace nbdspec::reports {
namespace {

// A page without its style and script, which are ours.
std::string BodyOf(std::string page) {
  for (const std::string tag : {"style", "script"}) {
    const std::size_t begin = page.find("<" + tag + ">");
    page.erase(begin, page.find("</" + tag + ">") - begin);
  }
  return page;
}

// Its tags and the names of their attributes, in order: whatever a peer says, they stay the same.
std::string SkeletonOf(const std::string& page) {
  std::string skeleton;
  bool in_tag = false;
  bool in_value = false;
  for (const char c : BodyOf(page)) {
    in_tag = in_tag || c == '<';
    in_value = in_tag && in_value != (c == '"');
    skeleton += in_tag && !in_value ? std::string(1, c) : "";
    in_tag = in_tag && (in_value || c != '>');
  }
  return skeleton;
}

Run RunOf(std::vector<Outcome> outcomes) {
  Run run;
  run.outcomes = std::move(outcomes);
  run.exit = ExitFor(run);
  return run;
}

TEST(RenderHtml, WhatAPeerChoosesChangesNoTag) {
  const std::string plain = SkeletonOf(RenderHtml(HostileRun("x")));
  ASSERT_GT(plain.size(), 1000U);
  for (const std::string_view nasty :
       {"<script>alert(1)</script>", "\" onmouseover=\"alert(1)", "' onclick='alert(1)", "</pre></code></details>",
        "&lt;b&gt;", "<!--", "]]>", "</style><style>*{display:none}", "javascript:alert(1)", "data:text/html,<b>",
        "\n<b>\r\n", "\x1b[31m", "\u202egnp.exe", "<svg onload=alert(1)>", "${alert(1)}", "\\u003cb\\u003e"}) {
    EXPECT_EQ(SkeletonOf(RenderHtml(HostileRun(std::string(nasty)))), plain) << nasty;
  }
  std::mt19937 random(1);
  for (int round = 0; round < 20; ++round) {
    const std::string text = RandomBytes(random, 100);
    EXPECT_EQ(SkeletonOf(RenderHtml(HostileRun(text))), plain) << text;
  }
  // The test can fail: a link is a tag more.
  EXPECT_NE(SkeletonOf(RenderHtml(HostileRun("https://example.org/"))), plain);
}

Matrix MatrixOf(const std::string& text) {
  Matrix matrix{.version = text,
                .runs = {{.name = text, .run = HostileRun(text)}, {.name = text, .run = HostileRun(text)}}};
  matrix.runs[0].run.outcomes.push_back({.id = "a.b", .verdict = Verdict::kFail});
  matrix.runs[1].run.outcomes.push_back({.id = "a.b", .verdict = Verdict::kPass});
  return matrix;
}

TEST(RenderHtml, WhatAPeerChoosesChangesNoTagOfAMatrix) {
  const std::string plain = SkeletonOf(RenderHtml(MatrixOf("x")));
  for (const char* const nasty : {"<script>alert(1)</script>", "\"><b>", "</td></tr></table>", "javascript:alert(1)"}) {
    EXPECT_EQ(SkeletonOf(RenderHtml(MatrixOf(nasty))), plain) << nasty;
  }
}

// Checks that every link in a page leads to a place that is there once. Returns the places.
std::set<std::string> PlacesOf(const std::string& page) {
  static const std::regex kId(" id=\"([^\"]*)\"");
  static const std::regex kLink("href=\"#([^\"]*)\"");
  std::set<std::string> ids;
  for (std::sregex_iterator id(page.begin(), page.end(), kId), end; id != end; ++id) {
    EXPECT_TRUE(ids.insert((*id)[1]).second) << (*id)[1];
  }
  for (std::sregex_iterator link(page.begin(), page.end(), kLink), end; link != end; ++link) {
    EXPECT_TRUE(ids.contains((*link)[1])) << (*link)[1];
  }
  return ids;
}

TEST(RenderHtml, AMatrixHasARowForEachCheckAndLinksToWhatIsWrong) {
  const std::string page = BodyOf(RenderHtml(MatrixOf("x")));
  EXPECT_TRUE(page.contains(
      "<code>a.b</code></th><td class=\"fail\"><a href=\"#1-a.b\">fail</a></td><td class=\"pass\">pass</td>"));
  EXPECT_TRUE(PlacesOf(page).contains("1-a.b"));
  EXPECT_FALSE(PlacesOf(page).contains("2-a.b"));
}

TEST(RenderHtml, AnAddressIsEscapedInItsLink) {
  const std::string page = RenderHtml(HostileRun("https://example.org/\"><b>x</b>"));
  EXPECT_TRUE(page.contains("<a href=\"https://example.org/&quot;&gt;&lt;b&gt;x&lt;/b&gt;\">"));
  EXPECT_FALSE(page.contains("<b>x"));
}

TEST(RenderHtml, LoadsNothingAndRunsOnlyItsOwnScript) {
  const std::string page = RenderHtml(HostileRun("x"));
  EXPECT_TRUE(page.contains("content=\"default-src 'none'; style-src 'sha256-"));
  const std::string skeleton = SkeletonOf(page);
  for (const char* const loads : {" src=", "<link", "<iframe", "<object", "<embed", "<base", " on", " style="}) {
    EXPECT_FALSE(skeleton.contains(loads)) << loads;
  }
}

TEST(RenderHtml, EveryPlaceIsThereOnceAndEveryLinkInThePageLeadsToOne) {
  auto run = HostileRun("the same id");
  run.outcomes.push_back({.id = "a.b", .verdict = Verdict::kPass});
  EXPECT_TRUE(PlacesOf(BodyOf(RenderHtml(run))).contains("a.b"));
}

TEST(RenderHtml, TheVerdictComesFirstThenWhatIsWrongThenWhatFailedThenTheRest) {
  auto run = RunOf({{.id = "passed.check", .statement = "A passed", .verdict = Verdict::kPass},
                    {.id = "warned.check", .statement = "A warned", .verdict = Verdict::kWarn},
                    {.id = "failed.check", .statement = "A failed", .verdict = Verdict::kFail}});
  run.trouble = "the trouble";
  const std::string page = BodyOf(RenderHtml(run));
  std::size_t at = 0;
  for (const char* const next :
       {"<h1><span class=\"word\">Failed:", "1 failed", "A failed", "the trouble", "<h2>What failed",
        "id=\"failed.check\"", "<h2>Warnings", "id=\"warned.check\"", "Passed", "id=\"passed.check\""}) {
    const std::size_t found = page.find(next, at);
    ASSERT_NE(found, std::string::npos) << next << " after " << at;
    at = found;
  }
}

TEST(RenderHtml, ABreachOfAnUnclearMustSaysWhyItWarns) {
  const std::string page =
      RenderHtml(RunOf({{.id = "a", .requirement = "a", .level = spec::Level::kMust, .verdict = Verdict::kWarn}}));
  EXPECT_TRUE(page.contains("can be read in more than one way"));
  EXPECT_FALSE(
      RenderHtml(RunOf({{.id = "a", .requirement = "a", .level = spec::Level::kShould, .verdict = Verdict::kWarn}}))
          .contains("can be read in more than one way"));
}

TEST(RenderHtml, StretchesThatMakeNoSenseAreDrawnInsideOfThePicture) {
  constexpr std::uint64_t kMax = ~std::uint64_t{0};
  struct Ends {
    std::uint64_t begin, end;
  };
  for (const auto [begin, end] : {Ends{0, 0}, Ends{5, 3}, Ends{0, kMax}, Ends{kMax, kMax}, Ends{kMax, 0}}) {
    Outcome outcome{.id = "a", .verdict = Verdict::kFail};
    outcome.evidence.bars = {{.who = "asked", .stretches = {{.begin = begin, .end = end}, {.begin = 10, .end = 20}}}};
    const std::string page = RenderHtml(RunOf({outcome}));
    static const std::regex kRect(R"re(x="([-.0-9]+)" y="1" width="([-.0-9]+)")re");
    for (std::sregex_iterator rect(page.begin(), page.end(), kRect), none; rect != none; ++rect) {
      const double x = std::stod((*rect)[1]);
      EXPECT_GE(x, 0);
      EXPECT_GT(std::stod((*rect)[2]), 0);
      EXPECT_LE(x + std::stod((*rect)[2]), 1003);
    }
  }
}

}  // namespace
}  // namespace nbdspec::reports
