// SPDX-License-Identifier: BSD-3-Clause
#include "reports/render/render.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <pugixml.hpp>
#include <random>
#include <regex>
#include <sstream>

#include "engine/spec/ids.h"
#include "reports/render/printable.h"
#include "reports/render/testdata/hostile_run.h"

namespace nbdspec::reports {
namespace {

using Json = nlohmann::json;

Outcome Make(std::string_view id, Verdict verdict, std::string saw = "") {
  Outcome outcome;
  outcome.requirement = id.substr(0, id.find('/'));
  outcome.id = id;
  outcome.verdict = verdict;
  outcome.statement = "A clause";
  outcome.section = "A section";
  outcome.evidence.saw = std::move(saw);
  return outcome;
}

Run RunOf(std::vector<Outcome> outcomes) {
  Run run;
  run.outcomes = std::move(outcomes);
  run.exit = ExitFor(run);
  return run;
}

std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    lines.push_back(line);
  }
  return lines;
}

std::size_t Find(const std::string& text, const std::string& what) {
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what << "\nin\n" << text;
  return at;
}

TEST(RenderText, NothingAPeerSendsReachesTheTerminalRaw) {
  std::mt19937 random(7);
  for (int round = 0; round < 60; ++round) {
    const std::string text = RenderText(HostileRun(RandomBytes(random, 200)), {.verbose = round % 2 == 0});
    EXPECT_EQ(PrintableLines(text), text);
  }
  const std::string title = RenderText(HostileRun("\x1b]0;owned\x07\u009b2J"), {});
  EXPECT_EQ(PrintableLines(title), title);
}

TEST(RenderText, TheOnlyEscapeSequencesAreOurColors) {
  std::mt19937 random(8);
  const std::regex ours("\x1b\\[(1;31|33|32|2|1|0)m");
  for (int round = 0; round < 50; ++round) {
    const auto run = HostileRun(RandomBytes(random, 100));
    const std::string colored = RenderText(run, {.color = true});
    EXPECT_EQ(std::regex_replace(colored, ours, ""), RenderText(run, {}));
    EXPECT_NE(colored.find('\x1b'), std::string::npos);
  }
}

TEST(RenderText, PeerCannotForgeLinesOfTheReport) {
  auto run = HostileRun("x\nPASS  MUST  forged\nExit 0: nothing failed.\n  replay   rm\nreplay   rm");
  run.exit = ExitCode::kOurError;
  for (const bool verbose : {false, true}) {
    int exits = 0;
    for (const std::string& line : LinesOf(RenderText(run, {.verbose = verbose}))) {
      EXPECT_FALSE(line.starts_with("PASS")) << line;
      EXPECT_FALSE(line.starts_with("  replay   rm")) << line;
      exits += line.starts_with("Exit ") ? 1 : 0;
    }
    EXPECT_EQ(exits, 1);
  }
}

TEST(RenderText, LongWordsCannotRunPastTheEdgeIntoAForgedLine) {
  auto run = RunOf({Make("a.b", Verdict::kFail, std::string(5000, 'x')),
                    Make("a.c", Verdict::kNotApplicable, std::string(500, 'y'))});
  run.outcomes[0].evidence.transcript = {std::string(3000, 't')};
  run.outcomes[0].evidence.standard_error = std::string(3000, 'e');
  run.trouble = std::string(500, 'z');
  run.advertised = {{"size", std::string(500, '8')}};
  for (const bool verbose : {false, true}) {
    for (const std::string& line : LinesOf(RenderText(run, {.verbose = verbose}))) {
      EXPECT_LE(line.size(), 100U) << line;
    }
  }
}

TEST(RenderText, IsAsWideAsItIsToBe) {
  auto run = RunOf({Make("a.b", Verdict::kFail, "word word word word word word word word word word word word word")});
  run.trouble = run.outcomes[0].evidence.saw;
  for (const std::string& line : LinesOf(RenderText(run, {.columns = 40}))) {
    EXPECT_LE(line.size(), 40U) << line;
  }
}

TEST(RenderText, LongFieldsAreCutUnlessVerbose) {
  const auto run = RunOf({Make("a.b", Verdict::kFail, std::string(5000, '#'))});
  const auto count = [](const std::string& text) { return std::ranges::count(text, '#'); };
  EXPECT_EQ(count(RenderText(run, {.verbose = true})), 5000);
  const std::string shown = RenderText(run, {});
  EXPECT_LT(count(shown), 2100);
  Find(shown, "3000 more bytes: --verbose");
}

TEST(RenderText, CuttingAFieldSplitsNoCharacter) {
  for (std::size_t shift = 0; shift < 4; ++shift) {
    std::string text(shift, 'a');
    for (int i = 0; i < 1000; ++i) {
      text += "\u20ac";
    }
    EXPECT_EQ(RenderText(RunOf({Make("a.b", Verdict::kFail, text)}), {}).find("\\x"), std::string::npos);
  }
}

TEST(RenderText, WorstComesFirstAndMustBeforeShould) {
  auto run = RunOf({Make("z.warn", Verdict::kWarn), Make("z.flaky", Verdict::kFlaky),
                    Make("z.inconclusive", Verdict::kInconclusive), Make("z.fail-should", Verdict::kFail),
                    Make("z.fail-must", Verdict::kFail)});
  run.outcomes[3].level = spec::Level::kShould;
  const std::string text = RenderText(run, {});
  EXPECT_LT(Find(text, "FAIL  MUST  z.fail-must"), Find(text, "FAIL  SHOULD  z.fail-should"));
  EXPECT_LT(Find(text, "z.fail-should"), Find(text, "INCONCLUSIVE  MUST  z.inconclusive"));
  EXPECT_LT(Find(text, "z.inconclusive"), Find(text, "FLAKY  MUST  z.flaky"));
  EXPECT_LT(Find(text, "z.flaky"), Find(text, "WARN  MUST  z.warn"));
}

TEST(RenderText, WhatIsSaidOfBytesIsDrawnToScaleWithWhatWasJudged) {
  auto run = RunOf({Make("a.b", Verdict::kFail)});
  run.outcomes[0].evidence.bars = {
      {.who = "asked", .stretches = {{.begin = 4096, .end = 8192}}},
      {.who = "base",
       .stretches = {{.begin = 4096, .end = 6144, .said = "data"},
                     {.begin = 6144, .end = 8192, .said = "hole, zero", .is_judged = true}}},
      {.who = "read",
       .stretches = {{.begin = 6144, .end = 8191, .said = "zeroes"},
                     {.begin = 8191, .end = 8192, .said = "not zero", .is_judged = true}}},
      {.who = "export", .stretches = {{.begin = 0, .end = 1ULL << 40}}}};
  const std::string text = RenderText(run, {.columns = 51});
  Find(text, "  bytes    asked: [4096, 8192)\n           ────────────────────────────────────────\n");
  Find(text,
       "           base: [4096, 6144) data; [6144, 8192)\n           hole, zero\n"
       "           ████████████████████····················\n"
       "                               ^^^^^^^^^^^^^^^^^^^^\n");
  Find(text,
       "                               ░░░░░░░░░░░░░░░░░░░!\n"
       "                                                  ^\n");
  run.outcomes[0].verdict = Verdict::kWarn;
  EXPECT_EQ(RenderText(run, {}).find("───"), std::string::npos);
  Find(RenderText(run, {.verbose = true}), "───");
}

// A report is read from files that anybody may have written.
TEST(RenderText, BarsOfAnyStretchesAreDrawn) {
  auto run = RunOf({Make("a.b", Verdict::kFail)});
  std::mt19937_64 random(5);
  for (int round = 0; round < 50; ++round) {
    Bar& bar = run.outcomes[0].evidence.bars.emplace_back();
    for (int i = 0; i < round; ++i) {
      bar.stretches.push_back({.begin = random() >> (random() % 64), .end = random() >> (random() % 64)});
    }
    bar.stretches.push_back({.begin = UINT64_MAX, .end = round % 2 == 0 ? 0 : UINT64_MAX, .is_judged = true});
    for (const std::string& line : LinesOf(RenderText(run, {.columns = 40}))) {
      EXPECT_LE(line.size(), 40U * 3) << line;
    }
  }
}

TEST(RenderText, OfEquallyBadVerdictsTheWorstHarmComesFirstAndIsSaidInPlainWords) {
  auto run = RunOf({Make("a.unsaid", Verdict::kFail), Make("a.style", Verdict::kFail), Make("a.data", Verdict::kFail),
                    Make("a.denial", Verdict::kFail), Make("a.data-warn", Verdict::kWarn)});
  run.outcomes[1].harm = spec::Harm::kStyle;
  run.outcomes[2].harm = run.outcomes[4].harm = spec::Harm::kData;
  run.outcomes[3].harm = spec::Harm::kDenial;
  run.outcomes[2].stock = "nbdkit fails";
  const std::string text = RenderText(run, {});
  EXPECT_LT(Find(text, "a.data"), Find(text, "a.denial"));
  EXPECT_LT(Find(text, "a.denial"), Find(text, "a.style"));
  EXPECT_LT(Find(text, "a.style"), Find(text, "a.unsaid"));
  EXPECT_LT(Find(text, "a.unsaid"), Find(text, "a.data-warn"));
  Find(text, "  harm     data: bytes can be lost, or read as what they are not\n");
  Find(text, "  stock    nbdkit fails\n");
}

TEST(RenderText, PassesAreOnlyCountedUnlessVerbose) {
  const auto run = RunOf({Make("a.passed", Verdict::kPass)});
  EXPECT_EQ(RenderText(run, {}).find("a.passed"), std::string::npos);
  Find(RenderText(run, {.verbose = true}), "pass  MUST        a.passed\n");
}

TEST(RenderText, TranscriptEndsAreShownAndWholeWhenVerbose) {
  auto run = RunOf({Make("a.b", Verdict::kFail)});
  for (int i = 0; i < 20; ++i) {
    run.outcomes[0].evidence.transcript.push_back("line-" + std::to_string(i) + ".");
  }
  const std::string text = RenderText(run, {});
  Find(text, "(12 earlier lines: --verbose)");
  EXPECT_EQ(text.find("line-11."), std::string::npos);
  Find(text, "line-12.");
  Find(text, "line-19.");
  Find(RenderText(run, {.verbose = true}), "line-0.");
}

TEST(RenderText, NotApplicableIsGroupedByReason) {
  const std::string text =
      RenderText(RunOf({Make("a.b", Verdict::kNotApplicable, "no TLS"), Make("a.c", Verdict::kNotApplicable, "no DF"),
                        Make("a.d", Verdict::kNotApplicable, "no TLS"), Make("a.e", Verdict::kSkip)}),
                 {});
  Find(text, "\nnot applicable (--verbose shows which)\n  no TLS (2)\n  no DF (1)\n");
  Find(text, "\nskipped (--verbose shows which)\n  no reason given (1)\n");
}

TEST(RenderText, NotApplicableAndSkipAreNotPasses) {
  const std::string text = RenderText(RunOf({Make("a.b", Verdict::kNotApplicable), Make("a.c", Verdict::kSkip)}), {});
  Find(text, "2 checks in 0.0 s: 0 pass, 0 fail, 1 n/a, 1 skip\nExit 0: nothing failed.\n");
}

// A run with a list: two known failures for one reason, a known warning, a new failure, and an entry too many.
Run ExpectingRun() {
  auto run = RunOf({Make("a.b", Verdict::kFail, "evidence"), Make("a.c", Verdict::kInconclusive),
                    Make("a.d", Verdict::kWarn), Make("a.new", Verdict::kFlaky), Make("a.mended", Verdict::kPass)});
  for (const std::size_t i : {0U, 1U, 2U}) {
    run.outcomes[i].expectation = {.overlay = Overlay::kExpected,
                                   .reason = i < 2 ? "It is old.\nVery old." : "By choice.",
                                   .link = "https://example.org",
                                   .place = "list:" + std::to_string(i)};
  }
  run.outcomes[4].expectation.overlay = Overlay::kStale;
  run.stale = {{.place = "list:9", .id = "a.mended", .why = "fail is expected, and it is pass"}};
  run.exit = ExitFor(run);
  return run;
}

TEST(RenderText, WhatIsExpectedComesAfterWhatIsNewAndInShort) {
  auto run = ExpectingRun();
  const std::string text = RenderText(run, {});
  EXPECT_LT(Find(text, "FLAKY  MUST  a.new"), Find(text, "\nno longer as expected\n"));
  Find(text, "  list:9: a.mended: fail is expected, and it is pass\n");
  Find(text,
       "\nexpected\n  It is old.\n      fail  a.b  (list:0)\n      inconclusive  a.c  (list:1)\n"
       "  By choice.\n      warn  a.d  (list:2)\n");
  EXPECT_EQ(text.find("evidence"), std::string::npos);
  EXPECT_TRUE(text.ends_with("\nExit 1: 1 new failure, 1 expected failure no longer holds, 3 expected.\n")) << text;
  run.outcomes[3].verdict = Verdict::kPass;
  run.exit = ExitFor(run);
  EXPECT_TRUE(RenderText(run, {}).ends_with("\nExit 4: 1 expected failure no longer holds, 3 expected.\n"));
  run.stale.clear();
  run.exit = ExitFor(run);
  EXPECT_TRUE(RenderText(run, {}).ends_with("\nExit 0: nothing new failed, 3 expected.\n"));
}

TEST(RenderText, QuietIsTheConclusionWithItsReason) {
  auto run = RunOf({Make("a.b", Verdict::kFail)});
  EXPECT_EQ(RenderText(run, {.quiet = true}), "Exit 1: 1 failed.\n");
  run.exit = ExitCode::kTargetUnusable;
  run.trouble = "nbdkit is not installed";
  EXPECT_EQ(RenderText(run, {.quiet = true}),
            "The target cannot be used:\n    nbdkit is not installed\n"
            "Exit 3: the target could not be used, or not all of it.\n");
}

TEST(RenderText, VerboseNamesTheSlowestChecks) {
  auto run = RunOf({Make("a.b", Verdict::kPass), Make("a.c", Verdict::kPass), Make("a.d", Verdict::kPass)});
  run.outcomes[0].duration_ms = 100;
  run.outcomes[1].duration_ms = 3000;
  run.outcomes[2].duration_ms = std::numeric_limits<double>::quiet_NaN();
  Find(RenderText(run, {.verbose = true}), "\nslowest: a.c 3.0 s, a.b 0.1 s, a.d 0.0 s\n");
}

TEST(RenderText, LastLineSaysTheExitCodeAndWhy) {
  auto run = RunOf({Make("a.b", Verdict::kFail), Make("a.c", Verdict::kFail), Make("a.d", Verdict::kInconclusive)});
  EXPECT_TRUE(RenderText(run, {}).ends_with("\nExit 1: 2 failed, 1 could not be judged.\n"));
  run.exit = ExitCode::kTargetUnusable;
  run.trouble = "nbdkit is not installed";
  EXPECT_TRUE(RenderText(run, {}).ends_with("Exit 3: the target could not be used, or not all of it.\n"));
  Find(RenderText(run, {}), "\nThe target cannot be used:\n    nbdkit is not installed\n");
  EXPECT_TRUE(RenderText(RunOf({Make("a.b", Verdict::kPass)}), {}).ends_with("Exit 0: nothing failed.\n"));
  run.exit = ExitCode::kOurError;
  Find(RenderText(run, {}), "\nExit 5: nbdspec was killed, or failed itself, before the run was over.\n");
}

TEST(RenderJson, HoldsTheWholeRun) {
  auto run = RunOf({Make("a.b/c", Verdict::kFail, "two")});
  run.seed = std::numeric_limits<std::uint64_t>::max();
  run.advertised = {{"size", "8388608"}};
  run.outcomes[0].evidence.transcript = {"one", "two"};
  run.outcomes[0].duration_ms = 2.5;
  const Json json = Json::parse(RenderJson(run));
  EXPECT_EQ(json["seed"].get<std::uint64_t>(), 18446744073709551615U);
  EXPECT_EQ(json["advertised"]["size"], "8388608");
  EXPECT_EQ(json["exit"], 1);
  EXPECT_EQ(json["tally"].size(), static_cast<std::size_t>(kVerdictCount));
  EXPECT_EQ(json["tally"]["fail"], 1);
  EXPECT_EQ(json["tally"]["n/a"], 0);
  const Json& outcome = json["outcomes"].at(0);
  EXPECT_EQ(outcome["id"], "a.b/c");
  EXPECT_EQ(outcome["requirement"], "a.b");
  EXPECT_EQ(outcome["verdict"], "fail");
  EXPECT_EQ(outcome["level"], "MUST");
  EXPECT_EQ(outcome["evidence"]["saw"], "two");
  EXPECT_EQ(outcome["evidence"]["transcript"], (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(outcome["duration_ms"], 2.5);
}

TEST(RenderJson, AnyBytesGiveValidAscii) {
  std::mt19937 random(9);
  for (int round = 0; round < 30; ++round) {
    const std::string text = RenderJson(HostileRun(RandomBytes(random, 200)));
    EXPECT_TRUE(Json::accept(text));
    EXPECT_TRUE(std::ranges::all_of(text, [](char c) { return c == '\n' || (' ' <= c && c <= '~'); }));
  }
}

TEST(RenderJson, BytesThatAreNoUtf8AreReplacedVisibly) {
  const Json json = Json::parse(RenderJson(RunOf({Make("a.b", Verdict::kFail, "x\xffy\x1b")})));
  EXPECT_EQ(json["outcomes"][0]["evidence"]["saw"], "x\ufffdy\x1b");
}

TEST(RenderJson, TimesAreAlwaysNumbers) {
  auto run = RunOf({Make("a.b", Verdict::kPass)});
  run.duration_ms = std::numeric_limits<double>::infinity();
  run.outcomes[0].duration_ms = std::numeric_limits<double>::quiet_NaN();
  const Json json = Json::parse(RenderJson(run));
  EXPECT_EQ(json["duration_ms"], 0.0);
  EXPECT_EQ(json["outcomes"][0]["duration_ms"], 0.0);
}

// What testdata/junit_ant.xsd asks for, and counts that are right, which no schema can ask.
void ExpectStrict(const pugi::xml_node suite) {
  const std::regex time("[0-9]+\\.[0-9]{3}");
  ASSERT_STREQ(suite.name(), "testsuite");
  for (const char* name : {"name", "tests", "errors", "skipped", "failures", "hostname"}) {
    EXPECT_STRNE(suite.attribute(name).value(), "") << name;
  }
  EXPECT_TRUE(std::regex_match(suite.attribute("time").value(), time));
  EXPECT_TRUE(std::regex_match(suite.attribute("timestamp").value(), std::regex("[0-9]{4}(-[0-9]{2}){2}T[0-9:]{8}")));
  std::map<std::string, int> counts;
  std::string order;
  for (const pugi::xml_node child : suite.children()) {
    const std::string kind = child.name();
    order += kind == "testcase" ? "" : kind + " ";
    ++counts[kind];
    if (kind != "testcase") {
      continue;
    }
    EXPECT_EQ(order, "properties ");
    EXPECT_TRUE(child.attribute("name"));
    EXPECT_TRUE(child.attribute("classname"));
    EXPECT_TRUE(std::regex_match(child.attribute("time").value(), time)) << child.attribute("time").value();
    EXPECT_LE(std::distance(child.begin(), child.end()), 1);
    for (const pugi::xml_node part : child.children()) {
      ++counts[part.name()];
      const bool is_bad = part.name() == std::string("failure") || part.name() == std::string("error");
      EXPECT_TRUE(part.attribute("message") && (!is_bad || part.attribute("type")));
    }
  }
  EXPECT_EQ(order, "properties system-out system-err ");
  EXPECT_EQ(suite.attribute("tests").as_int(), counts["testcase"]);
  EXPECT_EQ(suite.attribute("errors").as_int(), counts["error"]);
  EXPECT_EQ(suite.attribute("failures").as_int(), counts["failure"]);
  EXPECT_EQ(suite.attribute("skipped").as_int(), counts["skipped"]);
}

pugi::xml_document Parsed(const std::string& text) {
  pugi::xml_document document;
  EXPECT_TRUE(document.load_buffer(text.data(), text.size(), pugi::parse_full, pugi::encoding_utf8)) << text;
  return document;
}

void ExpectStrict(const std::string& text) { ExpectStrict(Parsed(text).document_element()); }

TEST(RenderJunit, AMatrixHasASuiteForEachRun) {
  std::mt19937 random(21);
  for (int round = 0; round < 10; ++round) {
    Matrix matrix;
    for (int i = 0; i < 3; ++i) {
      matrix.runs.push_back({.name = RandomBytes(random, 20), .run = HostileRun(RandomBytes(random, 50))});
    }
    const std::string text = RenderJunit(matrix);
    EXPECT_EQ(PrintableLines(text), text);
    const pugi::xml_document document = Parsed(text);
    ASSERT_STREQ(document.document_element().name(), "testsuites");
    int id = 0;
    for (const pugi::xml_node suite : document.document_element().children()) {
      ExpectStrict(suite);
      EXPECT_EQ(suite.attribute("id").as_int(-1), id++);
    }
    EXPECT_EQ(id, 3);
  }
}

TEST(RenderJunit, AnyBytesGiveValidXml) {
  std::mt19937 random(10);
  for (int round = 0; round < 20; ++round) {
    const std::string text = RenderJunit(HostileRun(RandomBytes(random, 200)));
    ExpectStrict(text);
    EXPECT_EQ(PrintableLines(text), text);  // No character that XML 1.0 does not have, and none as a reference:
    EXPECT_FALSE(std::regex_search(text, std::regex("&#(x[01]?[0-9a-fA-F]|[012]?[0-9]|3[01]|127);")));
  }
  ExpectStrict(RenderJunit(HostileRun("]]><testcase name='x'/><!-- & \"")));
  ExpectStrict(RenderJunit(RunOf({})));
}

TEST(RenderJunit, EachVerdictHasItsElement) {
  const auto element = [](Verdict verdict) {
    pugi::xml_document document;
    EXPECT_TRUE(document.load_string(RenderJunit(RunOf({Make("a.b", verdict, "evidence")})).c_str()));
    return std::string(document.child("testsuite").child("testcase").first_child().name());
  };
  EXPECT_EQ(element(Verdict::kPass), "");
  for (const Verdict verdict : {Verdict::kFail, Verdict::kFlaky}) {
    EXPECT_EQ(element(verdict), "failure") << Word(verdict);
  }
  EXPECT_EQ(element(Verdict::kInconclusive), "error");
  for (const Verdict verdict : {Verdict::kNotApplicable, Verdict::kSkip, Verdict::kWarn}) {
    EXPECT_EQ(element(verdict), "skipped") << Word(verdict);
  }
}

// --- The runs of a list ---

Matrix MatrixOfTwo() {
  Matrix matrix{.version = "0.1.0", .runs = {{.name = "one", .run = ExpectingRun()}, {.name = "far away", .run = {}}}};
  matrix.runs[1].run.trouble = "refused";
  matrix.runs[1].run.exit = ExitCode::kTargetUnusable;
  matrix.exit = ExitFor(matrix);
  return matrix;
}

TEST(RenderMatrix, IsTheReportsThatMatterThenOneGrid) {
  const std::string text = RenderText(MatrixOfTwo(), {});
  EXPECT_LT(Find(text, "== one\n"), Find(text, "FLAKY  MUST  a.new"));
  EXPECT_LT(Find(text, "FLAKY  MUST  a.new"), Find(text, "== far away\n"));
  Find(text, "  1  one: \n     Exit 1: 1 new failure, 1 expected failure no longer holds, 3 expected.\n");
  Find(text, "  2  far away: \n     Exit 3: the target could not be used, or not all of it.\n");
  Find(text, "\n  1 2\n  ~    a.new\n  x    a.b\n  x    a.c\n  x    a.d\n  !    a.mended\n");
  Find(text, "\n  ~ flaky   x expected   ! no longer as expected\n");
  EXPECT_TRUE(
      text.ends_with("\nExit 1: 2 targets in 0.0 s: 1 new failure, 1 stale expectation, 1 unusable target, 3 "
                     "expected outcomes.\n"))
      << text;
  EXPECT_EQ(LinesOf(RenderText(MatrixOfTwo(), {.quiet = true})).size(), 1U);
}

TEST(RenderMatrix, ARowThatIsFineEverywhereIsShownOnlyWhenVerbose) {
  Matrix matrix{.runs = {{.name = "one", .run = RunOf({Make("a.b", Verdict::kPass), Make("a.c", Verdict::kSkip)})}}};
  EXPECT_EQ(RenderText(matrix, {}).find("a.b"), std::string::npos);
  Find(RenderText(matrix, {.verbose = true}), "\n  1\n  .  a.b\n  s  a.c\n");
}

TEST(RenderMatrix, NothingAPeerSendsReachesTheTerminalRaw) {
  std::mt19937 random(7);
  for (int i = 0; i < 20; ++i) {
    Matrix matrix{.runs = {{.name = RandomBytes(random, 20), .run = HostileRun(RandomBytes(random, 40))}}};
    const std::string text = RenderText(matrix, {.verbose = true});
    EXPECT_EQ(PrintableLines(text), text);
    EXPECT_TRUE(Json::accept(RenderJson(matrix)));
  }
}

TEST(RenderMatrix, JsonHoldsEveryRunAsItsOwnReportDoes) {
  const Matrix matrix = MatrixOfTwo();
  const Json json = Json::parse(RenderJson(matrix));
  EXPECT_EQ(json["exit"], 1);
  ASSERT_EQ(json["targets"].size(), 2U);
  EXPECT_EQ(json["targets"][0]["name"], "one");
  EXPECT_EQ(json["targets"][0]["run"], Json::parse(RenderJson(matrix.runs[0].run)));
}

TEST(RenderJunit, WhatIsExpectedIsSkippedAndWhatNoLongerHoldsFails) {
  const std::string text = RenderJunit(ExpectingRun());
  ExpectStrict(text);
  pugi::xml_document document;
  ASSERT_TRUE(document.load_string(text.c_str()));
  const pugi::xml_node suite = document.child("testsuite");
  EXPECT_STREQ(suite.attribute("tests").value(), "6");
  EXPECT_STREQ(suite.attribute("failures").value(), "2");
  EXPECT_STREQ(suite.attribute("skipped").value(), "3");
  const auto of = [&](const char* name) { return suite.find_child_by_attribute("testcase", "name", name); };
  EXPECT_STREQ(of("list:9").child("failure").attribute("message").value(),
               "a.mended: fail is expected, and it is pass");
  EXPECT_STREQ(of("a.b").child("skipped").attribute("message").value(), "expected fail: It is old.\\nVery old.");
  EXPECT_TRUE(std::string(of("a.b").child("skipped").text().get()).contains("evidence"));
  EXPECT_STREQ(of("a.mended").first_child().name(), "");
}

TEST(RenderJunit, AWarningIsSeenWithItsEvidence) {
  pugi::xml_document document;
  ASSERT_TRUE(document.load_string(RenderJunit(RunOf({Make("a.b", Verdict::kWarn, "evidence")})).c_str()));
  const pugi::xml_node skipped = document.child("testsuite").child("testcase").child("skipped");
  EXPECT_STREQ(skipped.attribute("message").value(), "warn: MUST: A clause; saw evidence");
  EXPECT_NE(std::string(skipped.text().get()).find("saw      evidence"), std::string::npos);
}

TEST(RenderJunit, TimesOfNoCalendarBecomeOnesThatAre) {
  const auto timestamp = [](const char* started) {
    auto run = RunOf({});
    run.started = started;
    pugi::xml_document document;
    EXPECT_TRUE(document.load_string(RenderJunit(run).c_str()));
    return std::string(document.child("testsuite").attribute("timestamp").value());
  };
  EXPECT_EQ(timestamp("2025-06-26T12:34:56Z"), "2025-06-26T12:34:56");
  EXPECT_EQ(timestamp("2025-02-30T12:34:56Z"), "2025-03-02T12:34:56");
  for (const char* wrong : {"", "yesterday", "2025-06-26T12:34:56", "2025-13-01T00:00:00Z", "0000-01-01T00:00:00Z"}) {
    EXPECT_EQ(timestamp(wrong), "1970-01-01T00:00:00") << wrong;
  }
}

TEST(RenderJunit, CaseIsNamedByItsIdUnderItsPartOfTheProtocol) {
  pugi::xml_document document;
  ASSERT_TRUE(document.load_string(
      RenderJunit(RunOf({Make(spec::kSub<spec::kBlockStatusReqOneSingle, "a">, Verdict::kFail, "two")})).c_str()));
  const pugi::xml_node node = document.child("testsuite").child("testcase");
  EXPECT_EQ(node.attribute("name").value(), (spec::kSub<spec::kBlockStatusReqOneSingle, "a">));
  EXPECT_STREQ(node.attribute("classname").value(), "nbdspec.block-status");
  EXPECT_STREQ(node.child("failure").attribute("message").value(), "MUST: A clause; saw two");
  EXPECT_STREQ(node.child("failure").attribute("type").value(), "fail");
}

TEST(RenderJunit, RunThatEndedEarlyIsNotGreen) {
  auto run = RunOf({});
  run.trouble = "nbdkit is not installed";
  pugi::xml_document document;
  ASSERT_TRUE(document.load_string(RenderJunit(run).c_str()));
  EXPECT_STREQ(document.child("testsuite").attribute("errors").value(), "1");
  EXPECT_STREQ(document.child("testsuite").child("testcase").child("error").attribute("message").value(),
               "nbdkit is not installed");
  ExpectStrict(RenderJunit(run));
}

}  // namespace
}  // namespace nbdspec::reports
