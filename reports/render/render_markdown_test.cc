// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <random>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "reports/render/printable.h"
#include "reports/render/render.h"
#include "reports/render/testdata/hostile_run.h"

namespace nbdspec::reports {
namespace {

// The lines outside of code blocks, as CommonMark finds their ends: a fence of at least as many backticks.
std::vector<std::string> LinesOutsideOfCode(const std::string& markdown) {
  std::vector<std::string> lines;
  std::string fence;
  std::istringstream stream(markdown);
  for (std::string line; std::getline(stream, line);) {
    const std::size_t indent = line.find_first_not_of(' ');
    const std::string ticks = indent < 4 ? line.substr(indent, line.find_first_not_of('`', indent) - indent) : "";
    const bool is_fence = ticks.size() >= 3;
    if (fence.empty() && is_fence) {
      fence = ticks;
    } else if (!fence.empty() && ticks.size() >= fence.size() && line.find_first_not_of("` ") == std::string::npos) {
      fence.clear();
    } else if (fence.empty()) {
      lines.push_back(line);
    }
  }
  EXPECT_EQ(fence, "") << "a block does not end";
  return lines;
}

TEST(RenderMarkdown, NothingBreaksOut) {
  std::mt19937 random(14);
  const std::regex ours(
      R"re(|## nbdspec: (`+) [^\n]* \1|\*\*Exit 1: [a-z0-9 ,]*\.\*\* 7 checks in .*|\*\*The run ended early:\*\*|</details>|)re"
      R"re(\*\*no longer as expected\*\*|<details><summary>(not asked, and why|expected, and why|<b>[a-z]+</b> MUST <code>[^<>]*</code> [^<>]*)</summary>)re");
  for (const std::string& nasty :
       {std::string("```\n</details><script>alert(1)</script>\n# x"), std::string("`` ` ```` `"),
        std::string("~~~\n\n    x"), std::string("</code></summary><img src=x> @everyone"), std::string("`"),
        RandomBytes(random, 200)}) {
    auto run = HostileRun(nasty);
    run.exit = ExitFor(run);
    const std::string text = RenderMarkdown(run);
    EXPECT_EQ(PrintableLines(text), text);
    for (const std::string& line : LinesOutsideOfCode(text)) {
      EXPECT_TRUE(std::regex_match(line, ours)) << line;
    }
  }
}

TEST(RenderMarkdown, NothingBreaksOutOfAMatrix) {
  std::mt19937 random(15);
  const std::regex ours(
      R"re(|## nbdspec: 2 servers|\*\*Exit [0-9]+: [^<>\n]*\*\*|<table>|</table>|### (`+) [^\n]* \1|</details>|)re"
      R"re(<tr>(<t[hd]>(<code>[^<>]*</code>|[^<>]*)</t[hd]>)+</tr>|\*\*The run ended early:\*\*|)re"
      R"re(\*\*no longer as expected\*\*|<details><summary><b>[a-z]+</b> MUST <code>[^<>]*</code> [^<>]*</summary>)re");
  for (const std::string& nasty : {std::string("```\n</td></table>\n\n# x | y"), std::string("`` ` ```` `"),
                                   std::string("</code><img src=x> @all"), RandomBytes(random, 200)}) {
    const Matrix matrix{.runs = {{.name = nasty, .run = HostileRun(nasty)}, {.name = nasty, .run = HostileRun(nasty)}}};
    const std::string text = RenderMarkdown(matrix);
    EXPECT_EQ(PrintableLines(text), text);
    EXPECT_TRUE(text.contains("<td>flaky</td>")) << text;
    for (const std::string& line : LinesOutsideOfCode(text)) {
      EXPECT_TRUE(std::regex_match(line, ours)) << line;
    }
  }
}

TEST(RenderMarkdown, WorstComesFirstAndPassesAreCounted) {
  auto run = HostileRun("a.b");
  run.outcomes[1].expectation.overlay = run.outcomes[5].expectation.overlay = Overlay::kNone;
  const std::string text = RenderMarkdown(run);
  EXPECT_NE(text.find("<summary>expected, and why</summary>\n\n```text\nn/a a.b: a.b (a.b)\n```"), std::string::npos);
  EXPECT_LT(text.find("<b>fail</b>"), text.find("<b>inconclusive</b>"));
  EXPECT_LT(text.find("<b>inconclusive</b>"), text.find("<b>warn</b>"));
  EXPECT_EQ(text.find("<b>pass</b>"), std::string::npos);
  EXPECT_NE(text.find("1 pass, 1 fail"), std::string::npos);
  EXPECT_NE(text.find("   1 n/a: a.b\n   1 skip: a.b\n"), std::string::npos);
}

TEST(RenderMarkdown, WhatHasNoRoomIsCounted) {
  auto run = HostileRun(std::string(2500, 'x'));
  run.target = run.trouble = std::string(100'000, '`');
  Outcome outcome = run.outcomes[1];
  outcome.expectation.overlay = Overlay::kNone;
  run.outcomes.assign(100, outcome);
  const std::string text = RenderMarkdown(run);
  EXPECT_LE(text.size(), kMarkdownBytesMax);
  EXPECT_GT(text.size(), kMarkdownBytesMax / 2);
  EXPECT_NE(text.find("more, for which there is no room here"), std::string::npos);
  run.outcomes.assign(1, outcome);
  run.outcomes[0].statement = std::string(kMarkdownBytesMax, 'x');
  run.stale.clear();
  EXPECT_NE(RenderMarkdown(run).find("And 1 more"), std::string::npos);
}

}  // namespace
}  // namespace nbdspec::reports
