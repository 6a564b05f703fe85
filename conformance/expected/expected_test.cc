// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/expected/expected.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "conformance/checks/check.h"
#include "conformance/clients/client_check.h"
#include "engine/spec/catalogue.h"

namespace nbdspec::conformance {
namespace {

using reports::Overlay;
using reports::Verdict;

constexpr std::string_view kIds[] = {"a.one", "a.two", "a.two/long", "b.one", "sanity.after"};

struct Came {
  const char* id;
  Verdict verdict;
  const char* ended = "";
};

reports::Run RunOf(std::initializer_list<Came> outcomes) {
  reports::Run run{.target = "srv 1.4.2 (raw)",
                   .server = {.words = "srv:raw@sid", .program = "srv", .version = "1.4.2"}};
  for (const Came& came : outcomes) {
    run.outcomes.push_back(
        {.id = came.id, .verdict = came.verdict, .evidence = {.saw = "\x1b odd", .ended = came.ended}});
  }
  run.exit = ExitFor(run);
  return run;
}

ExpectedList MustParse(std::string_view text) {
  auto list = ParseExpected("my.list", text, kIds);
  EXPECT_TRUE(list.has_value()) << list.error().sentence;
  return list.value_or(ExpectedList{});
}

// `outcomes` under the list `text`.
reports::Run Laid(std::string_view text, std::initializer_list<Came> outcomes) {
  auto run = RunOf(outcomes);
  const ExpectedList list = MustParse(text);
  LayOver({&list, 1}, run);
  return run;
}

// "a.one=xfail" of those that have an overlay, then "my.list:1" of what is stale.
std::vector<std::string> Told(const reports::Run& run) {
  std::vector<std::string> told;
  for (const auto& outcome : run.outcomes) {
    const std::string overlay(Word(outcome.expectation.overlay));
    if (!overlay.empty()) {
      told.push_back(outcome.id + "=" + overlay);
    }
  }
  std::ranges::transform(run.stale, std::back_inserter(told), &reports::StaleEntry::place);
  return told;
}

using Strings = std::vector<std::string>;

// --- Reading ---

TEST(ExpectedList, HasTargetsVerdictsReasonsAndLinks) {
  const auto list = MustParse(
      "# All of it.\n"
      "a.one fail\n"
      "\tfirst line\r\n"
      "    # a comment on it\n"
      "    second\n"
      "\n"
      "[srv 1.*]\n"
      "a.two       fail|pass\n"
      "a.two/*     crash\n"
      "    shared\n"
      "    https://example.org/1\n");
  ASSERT_EQ(list.entries.size(), 3U);
  EXPECT_EQ(list.entries[0].reason, "first line\nsecond");
  EXPECT_EQ(list.entries[0].target, "");
  EXPECT_EQ(list.entries[0].line, 2U);
  EXPECT_EQ(list.entries[1].target, "srv");
  EXPECT_EQ(list.entries[1].version, "1.*");
  EXPECT_EQ(list.entries[1].verdicts, (Strings{"fail", "pass"}));
  for (const std::size_t i : {1U, 2U}) {
    EXPECT_EQ(list.entries[i].reason, "shared");
    EXPECT_EQ(list.entries[i].link, "https://example.org/1");
  }
}

TEST(ExpectedList, WhatIsWrongNamesItsLine) {
  struct Wrong {
    const char* text;
    const char* says;
  };
  for (const auto& [text, says] : {
           Wrong{"a.one fail\n", "my.list:1: a.one has no reason"},
           Wrong{"\na.one fail\n[srv]\n", "my.list:2: a.one has no reason"},
           Wrong{"a.one fail\n  https://example.org\n", "my.list:1: a.one has no reason"},
           Wrong{"a.one fail\n    say why\n", "my.list:1: a.one has no reason"},
           Wrong{"a.one fail\n  x\na.two fail\na.two/long fail\n", "my.list:3: a.two has no reason"},
           Wrong{"a.one\n", "my.list:1: an entry is"},
           Wrong{"a.one fail because\n", "my.list:1: an entry is"},
           Wrong{"a.won fail\n", "my.list:1: there is no check \"a.won\""},
           Wrong{"a fail\n", "my.list:1: there is no check \"a\""},
           Wrong{"c.* fail\n", "my.list:1: there is no check \"c.*\""},
           Wrong{"a.one broken\n", "my.list:1: \"broken\" is no verdict"},
           Wrong{"a.one fail|\n", "my.list:1: \"\" is no verdict"},
           Wrong{"a.one fail||pass\n", "my.list:1: \"\" is no verdict"},
           Wrong{"a.one pass\n", "my.list:1: pass needs no entry"},
           Wrong{"a.one fail\n  x\n# again\na.one warn\n  x\n", "my.list:4: a.one stands in line 1 already"},
           Wrong{"  floating\n", "my.list:1: an indented line is the reason"},
           Wrong{"[srv]\n  floating\n", "my.list:2: an indented line is the reason"},
           Wrong{"a.one fail\n x\n https://a\n https://b\n", "my.list:4: an entry has one link"},
           Wrong{"[srv\n", "my.list:1: a target"},
           Wrong{"[]\n", "my.list:1: a target"},
           Wrong{"[srv 1 2]\n", "my.list:1: a target"},
           Wrong{"[srv] 1\n", "my.list:1: a target"},
       }) {
    const auto list = ParseExpected("my.list", text, kIds);
    ASSERT_FALSE(list.has_value()) << text;
    EXPECT_TRUE(list.error().sentence.starts_with(says)) << list.error().sentence;
  }
}

TEST(ExpectedList, OneCheckMayHaveEntriesOfSeveralTargets) {
  EXPECT_EQ(MustParse("[srv 1]\na.one fail\n x\n[srv 2]\na.one warn\n x\n").entries.size(), 2U);
}

// --- What it makes of a run ---

TEST(ExpectedList, WhatItHasDoesNotFailTheRun) {
  const auto run = Laid("a.one fail\na.two inconclusive\nb.one warn\n  known\n  https://x\n",
                        {{"a.one", Verdict::kFail}, {"a.two", Verdict::kInconclusive}, {"b.one", Verdict::kWarn}});
  EXPECT_EQ(Told(run), (Strings{"a.one=xfail", "a.two=xfail", "b.one=xfail"}));
  EXPECT_EQ(run.exit, reports::ExitCode::kSuccess);
  EXPECT_EQ(run.outcomes[0].expectation.reason, "known");
  EXPECT_EQ(run.outcomes[0].expectation.link, "https://x");
  EXPECT_EQ(run.outcomes[0].expectation.place, "my.list:1");
}

TEST(ExpectedList, WhatItDoesNotHaveIsNew) {
  for (const Came came : {Came{"a.two", Verdict::kFail}, Came{"a.one", Verdict::kInconclusive},
                          Came{"a.one", Verdict::kFlaky}, Came{"a.one", Verdict::kFail, "was killed by SIGSEGV"}}) {
    const auto run = Laid("a.one fail\n  known\n", {came});
    EXPECT_EQ(Told(run), Strings{}) << came.id;
    EXPECT_EQ(run.exit, reports::ExitCode::kFailure) << came.id;
  }
  for (const char* const ended : {"", "exited with status 1", "could not be started again"}) {
    EXPECT_EQ(Laid("a.one crash\n  known\n", {{"a.one", Verdict::kFail, ended}}).exit, reports::ExitCode::kFailure);
  }
  EXPECT_EQ(Laid("a.one warn\n  known\n", {{"a.one", Verdict::kFail}}).exit, reports::ExitCode::kFailure);
}

TEST(ExpectedList, WhatHoldsNoLongerHasItsOwnExitCode) {
  for (const Verdict better : {Verdict::kPass, Verdict::kWarn, Verdict::kNotApplicable}) {
    const auto run = Laid("a.one fail\n  known\n", {{"a.one", better}, {"a.two", Verdict::kPass}});
    EXPECT_EQ(Told(run), (Strings{"a.one=xpass", "my.list:1"}));
    EXPECT_EQ(run.exit, reports::ExitCode::kStale);
  }
  EXPECT_EQ(Laid("a.one fail\n x\n", {{"a.one", Verdict::kPass}, {"b.one", Verdict::kFail}}).exit,
            reports::ExitCode::kFailure);
}

TEST(ExpectedList, OfWhatWasNotAskedNothingIsSaid) {
  const auto run = Laid("a.one fail\na.two fail\n  x\n[other]\nb.one fail\n  x\n[srv 2*]\nb.one fail\n  x\n",
                        {{"a.one", Verdict::kSkip}, {"b.one", Verdict::kPass}});
  EXPECT_EQ(Told(run), Strings{});
  EXPECT_EQ(run.exit, reports::ExitCode::kSuccess);
}

TEST(ExpectedList, WhatDiffersAtTimesHoldsEitherWay) {
  constexpr std::string_view kText = "a.one fail|flaky|pass\n  races\na.two warn|n/a\n  as built\n";
  for (const Verdict verdict : {Verdict::kFail, Verdict::kFlaky, Verdict::kPass}) {
    EXPECT_EQ(Laid(kText, {{"a.one", verdict}}).exit, reports::ExitCode::kSuccess);
  }
  EXPECT_EQ(Told(Laid(kText, {{"a.one", Verdict::kPass}, {"a.two", Verdict::kNotApplicable}})), Strings{});
  EXPECT_EQ(Laid(kText, {{"a.two", Verdict::kPass}}).exit, reports::ExitCode::kStale);
}

TEST(ExpectedList, AGlobHoldsWhileOneOfItsChecksDoesSo) {
  constexpr std::string_view kText = "a.* crash\n  known\n";
  const auto run = Laid(
      kText,
      {{"a.one", Verdict::kPass}, {"a.two/long", Verdict::kFail, "was killed by SIGABRT"}, {"b.one", Verdict::kPass}});
  EXPECT_EQ(Told(run), Strings{"a.two/long=xfail"});
  EXPECT_EQ(run.exit, reports::ExitCode::kSuccess);
  EXPECT_EQ(Told(Laid(kText, {{"a.one", Verdict::kPass}, {"a.two", Verdict::kPass}})), Strings{})
      << "a.two/long may be the one";
  EXPECT_EQ(Told(Laid(kText, {{"a.one", Verdict::kPass}, {"a.two", Verdict::kPass}, {"a.two/long", Verdict::kPass}})),
            Strings{"my.list:1"});
  EXPECT_EQ(Told(Laid(kText, {{"b.one", Verdict::kPass}})), Strings{});
}

TEST(ExpectedList, ATargetIsNamedByProgramNameOrDescription) {
  for (const char* const target : {"srv", "s*", "srv:raw", "srv:raw@sid", "*(raw)", "srv 1.4*", "srv 1.4.2"}) {
    const std::string text = "[" + std::string(target) + "]\na.one fail\n  known\n";
    EXPECT_EQ(Laid(text, {{"a.one", Verdict::kFail}}).exit, reports::ExitCode::kSuccess) << target;
  }
  for (const char* const target : {"sr", "raw", "srv 1.4", "srv 2*"}) {
    const std::string text = "[" + std::string(target) + "]\na.one fail\n  known\n";
    EXPECT_EQ(Laid(text, {{"a.one", Verdict::kFail}}).exit, reports::ExitCode::kFailure) << target;
  }
}

TEST(ExpectedList, OfAServerThatNobodyKnowsTheNameOfAListSaysWhichItIs) {
  auto run = RunOf({{"a.one", Verdict::kFail}});
  run.server = {.words = "nbd://host", .program = "", .version = ""};
  run.target = "nbd://host";
  for (const auto& [name, exit] :
       {std::pair{"srv", reports::ExitCode::kSuccess}, {"other", reports::ExitCode::kFailure}}) {
    const auto list = ParseExpected(name, "[srv]\na.one fail\n  known\n", kIds).value();
    LayOver({&list, 1}, run);
    EXPECT_EQ(run.exit, exit) << name;
    run.outcomes[0].expectation = {};
    run.exit = ExitFor(run);
  }
}

TEST(ExpectedList, OtherExitCodesStay) {
  auto run = RunOf({{"a.one", Verdict::kFail}});
  run.exit = reports::ExitCode::kTargetUnusable;
  const auto list = MustParse("a.one fail\n  known\n");
  LayOver({&list, 1}, run);
  EXPECT_EQ(run.exit, reports::ExitCode::kTargetUnusable);
}

// --- Bringing it up to date ---

UpdatedList Updated(std::string_view text, std::initializer_list<Came> outcomes) {
  auto updated = UpdateExpected("my.list", text, RunOf(outcomes), kIds);
  EXPECT_TRUE(updated.has_value()) << updated.error().sentence;
  return updated.value_or(UpdatedList{});
}

TEST(UpdateExpected, ANewListHasWhatFailsAndIsRefusedUntilReasonsStandInIt) {
  const auto updated = Updated("", {{"a.one", Verdict::kFail}, {"a.two", Verdict::kPass}, {"b.one", Verdict::kWarn}});
  EXPECT_TRUE(updated.text.ends_with("\n\n[srv:raw]\n\na.one  fail\n    # saw \"\\x1b odd\"\n    say why\n"))
      << updated.text;
  EXPECT_EQ(updated.changes, Strings{"+ a.one  fail"});
  EXPECT_TRUE(updated.needs_reasons);
  EXPECT_FALSE(ParseExpected("my.list", updated.text, kIds).has_value());
  const auto again = UpdateExpected("my.list", updated.text, RunOf({{"a.one", Verdict::kFail}}), kIds);
  ASSERT_TRUE(again.has_value()) << again.error().sentence;
  EXPECT_EQ(again->text, updated.text);
  EXPECT_TRUE(again->changes.empty());
}

constexpr std::string_view kCommented =
    "# Mine.\n"
    "a.one  fail\n"
    "a.two  fail\n"
    "    shared reason\n"
    "\n"
    "# About this one:\n"
    "b.one  fail|pass\n"
    "    # found on a Monday\n"
    "    at times\n"
    "\n"
    "[other]\n"
    "a.one  warn\n"
    "    of another\n";

TEST(UpdateExpected, ReasonsCommentsAndOrderStay) {
  const auto same =
      Updated(kCommented, {{"a.one", Verdict::kFail}, {"a.two", Verdict::kSkip}, {"b.one", Verdict::kPass}});
  EXPECT_EQ(same.text, kCommented);
  EXPECT_TRUE(same.changes.empty());
  EXPECT_FALSE(same.needs_reasons);
}

TEST(UpdateExpected, WhatHoldsNoLongerGoesAndItsReasonWithTheLastThatHasIt) {
  const auto one = Updated(kCommented, {{"a.one", Verdict::kPass}, {"a.two", Verdict::kFail}});
  EXPECT_EQ(one.changes, Strings{"- a.one  fail"});
  EXPECT_TRUE(one.text.starts_with("# Mine.\na.two  fail\n    shared reason\n")) << one.text;
  const auto both = Updated(kCommented, {{"a.one", Verdict::kPass}, {"a.two", Verdict::kPass}});
  EXPECT_TRUE(both.text.starts_with("# Mine.\n\n# About this one:\nb.one  fail|pass\n")) << both.text;
  EXPECT_TRUE(both.text.contains("[other]\na.one  warn\n")) << both.text;
}

TEST(UpdateExpected, AVerdictThatChangedKeepsItsReason) {
  const auto updated =
      Updated(kCommented, {{"a.one", Verdict::kFail, "was killed by SIGABRT"}, {"b.one", Verdict::kInconclusive}});
  EXPECT_EQ(updated.changes, (Strings{"~ a.one  crash", "~ b.one  inconclusive|fail|pass"}));
  EXPECT_TRUE(updated.text.starts_with("# Mine.\na.one  crash\na.two  fail\n    shared reason\n")) << updated.text;
}

TEST(UpdateExpected, WhatIsNewComesBehindTheEntriesOfItsTarget) {
  const auto updated = Updated(kCommented, {{"a.two/long", Verdict::kFail}});
  EXPECT_TRUE(
      updated.text.contains("    at times\n\na.two/long  fail\n    # saw \"\\x1b odd\"\n    say why\n\n[other]\n"))
      << updated.text;
  EXPECT_TRUE(
      Updated("[other]\na.one warn\n  x\n", {{"a.two", Verdict::kFail}}).text.contains("  x\n\n[srv:raw]\n\na.two"));
}

TEST(UpdateExpected, WhatAnotherListExpectsIsNotAdded) {
  auto run = RunOf({{"a.one", Verdict::kFail}, {"a.two", Verdict::kFail}});
  run.outcomes[0].expectation = {.overlay = Overlay::kExpected, .reason = "x", .link = "", .place = "nbdkit:3"};
  run.outcomes[1].expectation = {.overlay = Overlay::kExpected, .reason = "x", .link = "", .place = "my.list:3"};
  const auto updated = UpdateExpected("my.list", "", run, kIds);
  ASSERT_TRUE(updated.has_value());
  EXPECT_EQ(updated->changes, Strings{"+ a.two  fail"});
}

TEST(UpdateExpected, WhatCannotBeReadStaysAsItIs) {
  EXPECT_FALSE(UpdateExpected("my.list", "a.one\n", RunOf({}), kIds).has_value());
  EXPECT_FALSE(UpdateExpected("my.list", "a.one fail\n", RunOf({}), kIds).has_value());
}

// --- Those that come with nbdspec ---

TEST(StockServers, AreNamedWithTheVersionsThatDoIt) {
  const auto of = [](std::string_view name, std::string_view text, Strings versions) {
    return StockList{.list = *ParseExpected(name, text, kIds), .versions = std::move(versions)};
  };
  const std::vector<StockList> stock = {
      of("srv", "[srv]\na.one  warn|n/a\n  x\n[srv*TLS]\na.one  crash|pass\n  x\na.*  fail\n  x\n", {"1.0"}),
      of("one", "[one 2*]\na.one  fail\n  x\nb.one  flaky\n  x\n", {"1.4", "2.0", "2.5"}),
      of("two", "[two]\na.two  inconclusive\n  x\n", {"9"})};
  EXPECT_EQ(StockOn(stock, "a.one"), "srv warns, srv TLS dies at times, one (2.0, 2.5) fails; not known of two");
  EXPECT_EQ(StockOn(stock, "a.two"), "two cannot be judged; not known of srv, one");
  EXPECT_EQ(StockOn(stock, "b.one"), "one (2.0, 2.5) fails at times; not known of srv, two");
  EXPECT_EQ(StockOn(stock, "a.two/long"), "not known of srv, one, two");
}

TEST(StockServers, OfAClauseAreThoseOfAllItsChecks) {
  const std::vector<StockList> stock = {
      {.list = *ParseExpected("srv", "[srv]\na.two/long  fail\n  x\n", kIds), .versions = {"1.0"}}};
  EXPECT_EQ(StockOnClause(stock, "a.two"), "srv fails");
  EXPECT_EQ(StockOnClause(stock, "a.one"), "not known of srv");
}

std::vector<std::string_view> AllIds() {
  std::vector<std::string_view> ids;
  std::ranges::transform(AllChecks(), std::back_inserter(ids), &Check::id);
  std::ranges::transform(AllClientChecks(), std::back_inserter(ids), &ClientCheck::id);
  ids.insert(ids.end(), std::begin(kSanityIds), std::end(kSanityIds));
  return ids;
}

TEST(StockLists, OfServersHaveThreeVersionsEachAndThoseOfClientsOne) {
  const std::vector<std::string_view> ids = AllIds();
  std::size_t count = 0;
  for (const auto& [role, versions] : {std::pair(spec::Role::kServer, 3U), std::pair(spec::Role::kClient, 1U)}) {
    const std::vector<StockList> stock = StockLists(role, ids);
    count += stock.size();
    for (const StockList& each : stock) {
      EXPECT_EQ(each.versions.size(), versions) << each.list.name;
      const std::string of_first = StockOn(stock, each.list.entries.front().id);
      EXPECT_TRUE(of_first.contains(each.list.name + " ")) << of_first;
    }
  }
  EXPECT_EQ(count, ShippedLists().size());
}

TEST(ShippedLists, AreInForm) {
  const std::vector<std::string_view> ids = AllIds();
  Strings names;
  for (const ShippedList& shipped : ShippedLists()) {
    const auto list = ParseExpected(shipped.name, shipped.text, ids);
    ASSERT_TRUE(list.has_value()) << list.error().sentence;
    EXPECT_FALSE(list->entries.empty()) << shipped.name;
    for (const ExpectedEntry& entry : list->entries) {
      const std::string place = std::string(shipped.name) + ":" + std::to_string(entry.line);
      EXPECT_FALSE(entry.target.empty()) << place << " is of any peer";
      EXPECT_TRUE(!entry.link.empty() || entry.reason.contains("SECURITY.md") || shipped.judged == spec::Role::kClient)
          << place;
      const spec::Requirement* const clause = spec::TheCatalogue().Find(entry.id.substr(0, entry.id.find('/')));
      EXPECT_TRUE(clause == nullptr || clause->role == shipped.judged) << place;
    }
    names.emplace_back(shipped.name);
  }
  EXPECT_EQ(names, (Strings{"nbd-server", "nbdkit", "qemu-nbd", "fio", "nbd-client", "nbdcopy", "nbdinfo", "nbdkit-nbd",
                            "qemu-img"}));
}

}  // namespace
}  // namespace nbdspec::conformance
