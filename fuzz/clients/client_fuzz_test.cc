// SPDX-License-Identifier: BSD-3-Clause
// What the fuzzer of clients finds, and what it accuses nobody of. Clients are processes (conformance/clients:
// faulty_client), or the reference client in this one.
#include "fuzz/clients/client_fuzz.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "conformance/clients/client_way.h"
#include "engine/client/client_fault.h"
#include "engine/client/habits.h"
#include "fuzz/clients/client_case.h"
#include "fuzz/clients/random_case.h"
#include "fuzz/findings/store.h"

namespace nbdspec::fuzz {
namespace {

using conformance::ClientTask;
using conformance::ClientUnderTest;

std::string FileFor(const std::string& name) { return std::string(std::getenv("TEST_TMPDIR")) + "/" + name; }

// JOB: as faulty_client has it.
ClientUnderTest Faulty(const std::string& name, const std::string& job) {
  const std::string file = job == "out" ? " {output}" : job == "in" ? " {input}" : job == "map" ? " {map}" : "";
  return conformance::ClientFromCommands({"conformance/clients/faulty_client " + name + " {socket} " + job + file}, {})
      .value();
}

ClientUnderTest InProcess(const engine::ClientConduct& conduct = {}) {
  return {.description = "reference", .words = "reference", .ways = conformance::ReferenceClientWays(conduct)};
}

ClientFuzzReport Fuzz(const ClientUnderTest& client, std::uint64_t cases, std::uint64_t seed = 1) {
  return FuzzClient(client, {.seed = seed, .cases_max = cases, .worker_count = 2, .tries_max = 60});
}

std::string Told(const ClientFuzzReport& report) {
  std::string text = report.trouble ? report.trouble->sentence + "\n" : "";
  for (const auto& found : report.findings) {
    text += SummaryOf(found.finding) + "\n" + found.finding.client_case + found.finding.server_stderr;
  }
  return text;
}

// NBDSPEC_CLIENTS_STEP: only every so many faults and habits.
std::size_t Step() {
  const char* const step = std::getenv("NBDSPEC_CLIENTS_STEP");
  return step == nullptr ? 1 : std::strtoul(step, nullptr, 10);
}

// --- What is found ---

struct Row {
  const char* fault;
  const char* job;
  FindingKind kind;
  std::uint64_t cases = 48;  // Within so many it is found.
};

class Finds : public testing::TestWithParam<Row> {};

std::vector<Row> Chosen(const std::vector<Row>& all) {
  std::vector<Row> chosen;
  for (std::size_t i = 0; i < all.size(); i += Step()) {
    chosen.push_back(all[i]);
  }
  return chosen;
}

TEST_P(Finds, ADamagingClientAndMakesItSmall) {
  const Row& row = GetParam();
  const ClientFuzzReport report = Fuzz(Faulty(row.fault, row.job), row.cases);
  const auto found = std::ranges::find(report.findings, row.kind, [](const auto& each) { return each.finding.kind; });
  ASSERT_NE(found, report.findings.end()) << Told(report);
  EXPECT_EQ(found->finding.state, FindingState::kReproduced);
  const auto met = ParseClientCase(found->finding.client_case);
  ASSERT_TRUE(met) << found->finding.client_case;
  EXPECT_LE(met->oddities.size(), 1U) << Told(report);
  EXPECT_LE(met->truth.steps.size(), 2U) << Told(report);
}

INSTANTIATE_TEST_SUITE_P(Faults, Finds,
                         testing::ValuesIn(Chosen({
                             {"client_swaps_the_first_two_bytes", "out", FindingKind::kWrongData, 16},
                             {"client_shifts_what_it_copies", "out", FindingKind::kWrongData, 16},
                             {"client_copies_half", "out", FindingKind::kWrongData, 16},
                             {"client_leaves_holes_as_they_were", "out", FindingKind::kWrongData, 16},
                             {"client_takes_chunks_in_order_only", "out", FindingKind::kWrongData, 128},
                             {"client_takes_missing_status_for_zeroes", "map", FindingKind::kFalseClaim, 128},
                             {"client_shifts_its_map", "map", FindingKind::kFalseClaim, 16},
                             {"client_does_not_copy_in", "in", FindingKind::kWrongData, 16},
                             {"client_writes_wrong_last_byte", "in", FindingKind::kWrongData, 16},
                             {"rounds-up", "out", FindingKind::kWrongData},
                             {"rounds-down", "out", FindingKind::kWrongData},
                             {"spoils-byte-64k", "out", FindingKind::kWrongData},
                             {"takes-holes-for-zeroes", "map", FindingKind::kFalseClaim},
                             {"client_fails_at_holes", "out", FindingKind::kWrongFailure, 16},
                             {"client_fails_at_short_status", "map", FindingKind::kWrongFailure, 128},
                             {"dies", "out", FindingKind::kCrash, 16},
                             {"client_closes_without_disc", "out", FindingKind::kBrokenRule, 16},
                         })),
                         [](const testing::TestParamInfo<Row>& info) {
                           std::string name = info.param.fault;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

// After the first was saved the folder goes, and something else has its name.
TEST(FuzzClient, WhatCannotBeSavedIsReportedAndCounted) {
  ClientFuzzOptions options{.cases_max = 32, .tries_max = 1, .findings_directory = FileFor("gone")};
  int saved_count = 0;
  options.on_saved = [&](const Finding&, const std::string& directory) {
    ++saved_count;
    EXPECT_TRUE(directory.starts_with(options.findings_directory)) << directory;
    std::filesystem::remove_all(options.findings_directory);
    std::ofstream(options.findings_directory) << "not a folder";
  };
  std::size_t reported_count = 0;
  options.on_finding = [&](const Finding&, const std::string&) { ++reported_count; };
  const ClientFuzzReport report = FuzzClient(Faulty("client_closes_without_disc", "out"), options);
  EXPECT_EQ(saved_count, 1);
  EXPECT_GE(reported_count, 2U) << Told(report);
  EXPECT_EQ(report.findings.size(), reported_count);
  EXPECT_EQ(report.case_count, 32U);
  EXPECT_FALSE(report.is_unusable);
  ASSERT_TRUE(report.trouble);
  EXPECT_TRUE(report.trouble->sentence.contains(options.findings_directory)) << report.trouble->sentence;
}

// --- What is not ---

TEST(FuzzClient, TheRightClientIsAccusedOfNothing) {
  const std::uint64_t cases = 400 / Step();
  const ClientFuzzReport report = Fuzz(InProcess(), cases);
  EXPECT_EQ(Told(report), "");
  EXPECT_EQ(report.case_count, cases);
  EXPECT_TRUE(report.unjudged.empty());
  EXPECT_GE(report.done_count, cases * 7 / 8);
}

TEST(FuzzClient, NoHabitIsAccused) {
  std::uint64_t seed = 100;
  for (std::size_t i = 0; i < engine::AllHabits().size(); i += Step()) {
    const engine::ClientHabit& habit = engine::AllHabits()[i];
    if (!habit.conduct.transfer.first_requests.empty()) {
      continue;  // They are for an export of 256 KiB.
    }
    const ClientFuzzReport report = Fuzz(InProcess(habit.conduct), 16, ++seed);
    EXPECT_EQ(Told(report), "") << habit.name;
    EXPECT_GE(report.done_count, 8U) << habit.name;
  }
}

TEST(FuzzClient, WhoHangsOnlyOnceIsNotAccused) {
  const ClientUnderTest once = Faulty("hangs-once=" + FileFor("hung"), "out");
  const ClientFuzzOptions options{.cases_max = 2, .client_time = std::chrono::milliseconds(4000), .tries_max = 2};
  const ClientFuzzReport report = FuzzClient(once, options);
  EXPECT_EQ(Told(report), "");
  EXPECT_EQ(report.once_count, 1U);
  const ClientFuzzReport always = FuzzClient(
      Faulty("hangs", "out"), {.cases_max = 1, .client_time = std::chrono::milliseconds(700), .tries_max = 1});
  ASSERT_EQ(always.findings.size(), 1U);
  EXPECT_EQ(always.findings[0].finding.kind, FindingKind::kHang);
}

TEST(FuzzClient, ARunThatJudgesNothingIsUnusable) {
  const auto run = [](const std::string& command) {
    return FuzzClient(conformance::ClientFromCommands({command}, {}).value(), {.cases_max = 4});
  };
  const ClientFuzzReport never = run("true {uri}");
  EXPECT_TRUE(never.is_unusable);
  EXPECT_TRUE(never.trouble && never.trouble->sentence.contains("never connected")) << Told(never);
  EXPECT_TRUE(run("no-such-program {uri}").is_unusable);
  const ClientFuzzReport cannot = run("sh -c 'conformance/clients/faulty_client none $0 visit; exit 89' {socket}");
  EXPECT_EQ(cannot.cannot_count, 4U);
  EXPECT_TRUE(cannot.is_unusable);
}

// --- Seeds, and what is kept ---

TEST(FuzzClient, TheSameSeedGivesTheSameRun) {
  const auto run = [](std::uint64_t seed) {
    const auto faults = engine::AllClientFaults();
    const auto fault = std::ranges::find(faults, "client_shifts_what_it_copies", &engine::ClientFault::name);
    return Told(Fuzz(InProcess(fault->conduct), 32, seed));
  };
  EXPECT_EQ(run(7), run(7));
  EXPECT_EQ(Print(RandomCase(7, {})), Print(RandomCase(7, {})));
  EXPECT_NE(Print(RandomCase(7, {})), Print(RandomCase(8, {})));
}

TEST(FuzzClient, AFindingIsKeptWithItsCase) {
  const std::string directory = FileFor("kept");
  const auto report = FuzzClient(Faulty("client_copies_half", "out"),
                                 {.cases_max = 16, .tries_max = 30, .findings_directory = directory});
  ASSERT_EQ(report.findings.size(), 1U) << Told(report);
  const auto kept = ListFindings(directory);
  ASSERT_EQ(kept, std::vector{report.findings[0].directory});
  auto read = ReadFinding(kept[0]);
  ASSERT_TRUE(read) << read.error().sentence;
  ASSERT_EQ(read->seen_by.size(), 1U);
  EXPECT_EQ(read->seen_by[0].shard, "1/1");
  read->seen_by.clear();
  EXPECT_EQ(*read, report.findings[0].finding);
  EXPECT_TRUE(ParseClientCase(read->client_case));
  EXPECT_FALSE(std::filesystem::exists(kept[0] + "/script.txt"));
}

// --- Cases ---

TEST(ClientCase, PrintsAndParses) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    ClientCase met = RandomCase(seed, {.may_be_tls = true});
    met.command = "my-client 'a # b' {uri}";
    const auto parsed = ParseClientCase(Print(met));
    ASSERT_TRUE(parsed) << Print(met) << parsed.error().sentence;
    EXPECT_EQ(*parsed, met) << Print(met);
    EXPECT_EQ(ScenarioOf(met).extents().size(), ScenarioOf(met).size);
  }
}

TEST(ClientCase, MistakesAreNamedWithTheirLine) {
  const std::string head = std::string(kClientCaseHeader) + "\ncommand c {uri}\n";
  for (const auto& [text, says] : std::vector<std::pair<std::string, std::string>>{
           {"size 1\n", "line 1"},
           {head + "odd server_that_is_not_there\nsize 1\n", "line 3: nbdspec knows of no oddity"},
           {head + "pieces many\nsize 1\n", "line 3: pieces takes a number"},
           {head + "\nsize many\n", "line 4"},
           {head + "size 1G\n", "at most 256M"},
           {head + "size 4K\nread 0 +512\n", "only add"},
           {head + "size 4K\nadd 0 +512 0x84\n", "only add"}}) {
    const auto parsed = ParseClientCase(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_TRUE(parsed.error().sentence.contains(says)) << parsed.error().sentence;
  }
}

TEST(ClientCase, KeepsToItsLimits) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const CaseLimits limits{.align = 512, .tasks = ClientTask::kVisits};
    EXPECT_TRUE(KeepsTo(limits, RandomCase(seed, limits))) << Print(RandomCase(seed, limits));
  }
}

// A server with blocks of 64 KiB has whole ones.
TEST(ClientCase, IsFilledUpToWholeBlocks) {
  const auto met = ParseClientCase(std::string(kClientCaseHeader) +
                                   "\ncommand c {uri}\nodd server_serves_blocks_of_64_kib\nsize 1000\ninitial data\n");
  ASSERT_TRUE(met);
  EXPECT_EQ(ScenarioOf(*met).size, 65536U);
  EXPECT_EQ(ScenarioOf(*met).extents().extent_count(), 2U);
}

}  // namespace
}  // namespace nbdspec::fuzz
