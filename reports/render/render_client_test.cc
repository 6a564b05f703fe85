// SPDX-License-Identifier: BSD-3-Clause
// A report of a client speaks of a client, in every format.

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>

#include "reports/model/comparison.h"
#include "reports/render/read_json.h"
#include "reports/render/render.h"

namespace nbdspec::reports {
namespace {

// A client that ended with success and wrong bytes.
Run ClientRun() {
  Outcome outcome{.id = "a.client/x", .verdict = Verdict::kFail};
  SetClause({.id = "a.client",
             .level = spec::Level::kShould,
             .role = spec::Role::kClient,
             .statement = "A clause",
             .harm = spec::Harm::kStyle},
            outcome);
  SetHarm(spec::Harm::kData, outcome);
  outcome.evidence = {
      .sent = "in scenario a.client/x: copy {uri} {output}",
      .saw = "it exited with status 0, and what it copied has 0x01 at byte 512",
      .standard_error = "all is well",
      .ended = "exited with status 0",
      .messages = {{.line = 1, .from = Message::From::kServer, .text = "greeting", .name = "greeting", .fields = {}},
                   {.line = 2, .from = Message::From::kClient, .text = "flags", .name = "flags", .fields = {}}},
      .bars = {
          {.who = "asked", .stretches = {{.begin = 0, .end = 1024, .said = {}}}},
          {.who = "copied",
           .stretches = {{.begin = 0, .end = 512, .said = "data"},
                         {.begin = 512, .end = 1024, .said = "wrong", .is_judged = true}}},
          {.who = "true", .stretches = {{.begin = 0, .end = 1024, .said = "data"}}},
      }};
  Run run;
  run.outcomes.push_back(std::move(outcome));
  run.exit = ExitFor(run);
  return run;
}

TEST(ReportsOfClients, SpeakOfTheClientAsWhoIsJudged) {
  const auto run = ClientRun();
  const std::string page = RenderHtml(run);
  EXPECT_TRUE(page.contains("<span>the client</span><span>nbdspec, the server</span>"));
  EXPECT_TRUE(page.contains("<span class=\"sr\">from the client: </span><span class=\"name\">flags"));
  EXPECT_TRUE(page.contains("<span class=\"sr\">to the client: </span><span class=\"name\">greeting"));
  EXPECT_TRUE(page.contains("<dt>ended</dt><dd>the client exited with status 0</dd>"));
  EXPECT_TRUE(page.contains("<dt>ran</dt>"));
  EXPECT_TRUE(page.contains("What the client printed, its end"));
  EXPECT_TRUE(page.contains("class=\"wrong is-judged\""));
  const std::string text = RenderText(run, {});
  for (const char* const line : {"  ran      in scenario a.client/x", "  ended    exited with status 0",
                                 "  output   all is well", "the client crashed", "  harm     data: "}) {
    EXPECT_TRUE(text.contains(line)) << line << "\nin\n" << text;
  }
  for (const std::string& report : {page, text, RenderJunit(run), RenderTap(run), RenderMarkdown(run)}) {
    for (const char* const word : {"the server did", "The server's", "stderr"}) {
      EXPECT_FALSE(report.contains(word)) << word << "\nin\n" << report;
    }
    EXPECT_TRUE(report.contains("ran")) << report;
  }
}

TEST(ReportsOfClients, AreReadAgainAndCompared) {
  const auto read = ReadJson(RenderJson(ClientRun()), "it");
  ASSERT_TRUE(read) << read.error().sentence;
  EXPECT_EQ(read->outcomes.front().binds, spec::Role::kClient);
  auto right = ClientRun();
  right.outcomes.front().verdict = Verdict::kPass;
  EXPECT_TRUE(RenderHtml(Compare(right, *read)).contains("<span>nbdspec, the server</span>"));
}

TEST(ReportsOfClients, OlderReportsAreOfServers) {
  std::string json = RenderJson(ClientRun());
  const std::string member = "\"binds\": \"client\",";
  ASSERT_TRUE(json.contains(member));
  json.erase(json.find(member), member.size());
  const auto read = ReadJson(json, "it");
  ASSERT_TRUE(read) << read.error().sentence;
  EXPECT_EQ(read->outcomes.front().binds, spec::Role::kServer);
}

}  // namespace
}  // namespace nbdspec::reports
