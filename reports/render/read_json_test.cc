// SPDX-License-Identifier: BSD-3-Clause
#include "reports/render/read_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "reports/render/render.h"
#include "reports/render/testdata/hostile_run.h"

namespace nbdspec::reports {
namespace {

using Json = nlohmann::ordered_json;

// Why `text` cannot be read; empty where it can.
std::string WhyNot(const std::string& text) {
  const auto run = ReadJson(text, "\"run.json\"");
  return run ? "" : run.error().sentence;
}

TEST(ReadJson, WhatWasWrittenIsReadAndWrittenAgainAsItWas) {
  std::mt19937 random(11);
  for (int round = 0; round < 20; ++round) {
    const std::string text = RenderJson(HostileRun(round == 0 ? "" : "id" + RandomBytes(random, 100)));
    const auto run = ReadJson(text, "run.json");
    if (round == 0) {
      EXPECT_FALSE(run) << "outcomes without an id";
      continue;
    }
    ASSERT_TRUE(run) << run.error().sentence;
    EXPECT_EQ(RenderJson(*run), text);
  }
}

TEST(ReadJson, EveryMemberArrives) {
  const auto run = HostileRun("x");
  const auto read = ReadJson(RenderJson(run), "run.json");
  ASSERT_TRUE(read);
  EXPECT_EQ(RenderText(*read, {.verbose = true}), RenderText(run, {.verbose = true}));
  EXPECT_EQ(RenderJunit(*read), RenderJunit(run));
  EXPECT_EQ(read->host, "x");
  ASSERT_EQ(read->outcomes.size(), run.outcomes.size());
  EXPECT_EQ(read->outcomes[3].verdict, run.outcomes[3].verdict);
}

// Reports of older versions lack what is new, which is then not known.
TEST(ReadJson, WhatIsNewMayBeMissing) {
  Json json = Json::parse(RenderJson(HostileRun("x")));
  for (Json& outcome : json["outcomes"]) {
    outcome.erase("harm");
    outcome.erase("stock");
  }
  const auto run = ReadJson(json.dump(), "run.json");
  ASSERT_TRUE(run) << run.error().sentence;
  EXPECT_EQ(run->outcomes.front().harm, spec::Harm::kUnsaid);
  json["outcomes"][0].erase("verdict");
  EXPECT_NE(WhyNot(json.dump()).find("verdict is missing"), std::string::npos);
}

TEST(ReadJson, WhatIsCutOffIsRefusedWhereverThatIs) {
  const std::string text = RenderJson(HostileRun("x\n\xff"));
  for (std::size_t size = 0; size + 2 < text.size(); size += 97) {
    const std::string why = WhyNot(text.substr(0, size));
    EXPECT_TRUE(why.starts_with("cannot read \"run.json\": ")) << size;
    EXPECT_NE(why.find("ends in the middle"), std::string::npos) << size << ": " << why;
  }
}

TEST(ReadJson, AnyByteMayBeWrong) {
  const std::string text = RenderJson(HostileRun("x"));
  std::mt19937 random(12);
  for (int round = 0; round < 100; ++round) {
    std::string wrong = text;
    wrong[random() % wrong.size()] = static_cast<char>(random());
    if (const auto run = ReadJson(wrong, "run.json"); run) {
      EXPECT_EQ(RenderJson(*ReadJson(RenderJson(*run), "")), RenderJson(*run));
    }
  }
}

TEST(ReadJson, SaysWhatIsWrongAndWhere) {
  struct Case {
    const char* pointer;  // The member that is replaced.
    Json value;
    const char* says;
  };
  const Case cases[] = {
      {"/format", 2, "`format` is not 1"},
      {"/format", "1", "`format` is not 1"},
      {"/outcomes", 7, "outcomes is no array"},
      {"/outcomes/3", Json::array(), "outcomes[3] is no object"},
      {"/outcomes/3/id", "", "outcomes[3].id is missing or empty"},
      {"/outcomes/3/id", nullptr, "outcomes[3].id is no string"},
      {"/outcomes/3/verdict", "good\n", "outcomes[3].verdict is \"good\\n\", which is none of pass, fail, warn, n/a"},
      {"/outcomes/3/level", 1, "outcomes[3].level is no string"},
      {"/outcomes/3/level", "must", "which is none of MUST, MUST NOT, SHOULD, SHOULD NOT, MAY"},
      {"/outcomes/3/harm", "pain", "outcomes[3].harm is \"pain\", which is none of "},
      {"/outcomes/3/evidence", "x", "outcomes[3].evidence is no object"},
      {"/outcomes/3/evidence/saw", Json::object(), "outcomes[3].evidence.saw is no string"},
      {"/outcomes/3/evidence/transcript", Json{"a", 1}, "outcomes[3].evidence.transcript[1] is no string"},
      {"/outcomes/3/duration_ms", "1", "outcomes[3].duration_ms is no number"},
      {"/seed", 1.8446744073709552e19, "seed is no integer of [0, 2^64)"},
      {"/seed", -1, "seed is no integer"},
      {"/exit", 1U << 31U, "exit is no integer from 0 to 2147483647"},
      {"/advertised", Json::array(), "advertised is no object"},
      {"/advertised/x", 1, "advertised[\"x\"] is no string"},
      {"/trouble", false, "trouble is no string"},
      {"/outcomes/3/expected/overlay", "", ""},
      {"/outcomes/3/expected/overlay", "x", "outcomes[3].expected.overlay is \"x\", which is none of xfail, xpass"},
      {"/stale/0/id", 1, "stale[0].id is no string"},
  };
  for (const Case& each : cases) {
    Json json = Json::parse(RenderJson(HostileRun("x")));
    json[Json::json_pointer(each.pointer)] = each.value;
    EXPECT_NE(WhyNot(json.dump()).find(each.says), std::string::npos) << each.pointer << ": " << WhyNot(json.dump());
  }
  EXPECT_NE(WhyNot("{\n  \"format\": x}").find("line 2, column 13 is no JSON"), std::string::npos)
      << WhyNot("{\n  \"format\": x}");
  EXPECT_NE(WhyNot("{\"format\": 1, \"findings\": []}").find("nbdspec check --json"), std::string::npos);
  EXPECT_NE(WhyNot("[]").find("nbdspec check --json"), std::string::npos);
  EXPECT_NE(WhyNot("{\"format\": 1e999}").find("too large"), std::string::npos);
}

TEST(ReadJson, WhatCostsMoreThanItsBytesIsRefused) {
  for (const char* opening : {"[", "{\"a\":"}) {
    std::string deep;
    while (deep.size() < 1'000'000) {
      deep += opening;
    }
    EXPECT_NE(WhyNot(deep).find("deeper, larger or more"), std::string::npos);
  }
  std::string wide = "{\"format\": 1, \"outcomes\": [], \"advertised\": {\"0\": \"\"";
  for (int i = 1; i < 2000; ++i) {
    wide += ",\"" + std::to_string(i) + "\": \"\"";
  }
  EXPECT_NE(WhyNot(wide + "}}").find("deeper, larger or more"), std::string::npos);
  std::string many = "[";
  while (many.size() < 4'100'000) {
    many += "0,";
  }
  EXPECT_NE(WhyNot(many + "0]").find("deeper, larger or more"), std::string::npos);
  EXPECT_NE(WhyNot(std::string(kJsonBytesMax + 1, ' ')).find("bytes"), std::string::npos);
}

TEST(ReadJson, MembersThatAreLackingAreEmptyAndUnknownOnesIgnored) {
  const auto run = ReadJson(R"({"format": 1, "new": [{}], "outcomes":
      [{"id": "a.b", "level": "MAY", "verdict": "flaky", "evidence": {"newer": 1}}, {"id": "a.c", "level": "MUST",
       "verdict": "pass"}]})",
                            "run.json");
  ASSERT_TRUE(run) << run.error().sentence;
  EXPECT_EQ(run->target, "");
  ASSERT_EQ(run->outcomes.size(), 2U);
  EXPECT_EQ(run->outcomes[0].verdict, Verdict::kFlaky);
  EXPECT_EQ(run->outcomes[0].level, spec::Level::kMay);
  EXPECT_EQ(run->outcomes[0].evidence.saw, "");
}

TEST(ReadJson, LinesOfAReportAreItsOutcomes) {
  const auto run = HostileRun("x\n\xff");
  std::string text = RenderHeadLine(run);
  text.replace(text.rfind('}'), 2, ",\"outcomes\":[");
  for (const Outcome& outcome : run.outcomes) {
    const std::string line = RenderOutcomeLine(outcome);
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    text += line + ",";
  }
  text.back() = ']';
  const auto read = ReadJson(text + "}", "run.json");
  ASSERT_TRUE(read) << read.error().sentence;
  EXPECT_EQ(RenderJson(*read), RenderJson(run));
}

}  // namespace
}  // namespace nbdspec::reports
