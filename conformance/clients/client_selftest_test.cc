// SPDX-License-Identifier: BSD-3-Clause
// The checks of clients on the reference client: right, with each of its habits, and with its faults.
#include "conformance/clients/client_selftest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/clients/client_check.h"
#include "conformance/clients/client_runner.h"
#include "conformance/clients/client_way.h"
#include "engine/client/habits.h"
#include "engine/spec/catalogue.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {
namespace {

using engine::ClientConduct;
using reports::Verdict;

std::vector<std::string> IdsWith(const reports::Run& run, Verdict verdict) {
  std::vector<std::string> ids;
  for (const reports::Outcome& outcome : run.outcomes) {
    if (outcome.verdict == verdict) {
      ids.push_back(outcome.id + ": " + outcome.evidence.sent + ": " + outcome.evidence.saw);
    }
  }
  return ids;
}

reports::Run RunChecksOn(const ClientConduct& conduct, std::span<const ClientCheck> checks) {
  const ClientWays ways = ReferenceClientWays(conduct);
  return RunClientChecks(ways, checks, {.worker_count = 2, .client_words = "reference", .description = "reference"});
}

using Texts = std::vector<std::string>;

// NBDSPEC_CLIENTS_STEP: only every so many of them.
template <typename Each>
std::vector<Each> Chosen(std::span<const Each> all) {
  const char* const step = std::getenv("NBDSPEC_CLIENTS_STEP");
  std::vector<Each> chosen;
  for (std::size_t i = 0; i < all.size(); i += step == nullptr ? 1 : std::strtoul(step, nullptr, 10)) {
    chosen.push_back(all[i]);
  }
  return chosen;
}

TEST(ClientChecks, HaveIdsOfTheirOwnOfClausesThatBindClients) {
  std::set<std::string_view> ids;
  for (const ClientCheck& check : AllClientChecks()) {
    EXPECT_TRUE(ids.insert(check.id).second) << check.id;
    EXPECT_EQ(spec::RequirementOf(check.id).role, spec::Role::kClient) << check.id;
    EXPECT_NE(spec::RequirementOf(check.id).harm, spec::Harm::kUnsaid) << check.id << " asks a row of no harm";
  }
}

TEST(ClientChecks, AskEveryRequirementOfClientsThatHasNoReason) {
  std::set<std::string_view> asked;
  for (const ClientCheck& check : AllClientChecks()) {
    asked.insert(check.requirement());
  }
  for (const spec::Requirement& requirement : spec::TheCatalogue().all()) {
    if (requirement.role == spec::Role::kClient) {
      EXPECT_NE(asked.contains(requirement.id), !requirement.untested.empty()) << requirement.id;
    }
  }
}

TEST(ClientChecks, AccuseTheRightClientOfNothing) {
  const reports::Run run = RunChecksOn({}, Chosen(AllClientChecks()));
  EXPECT_EQ(IdsWith(run, Verdict::kFail), Texts());
  EXPECT_EQ(IdsWith(run, Verdict::kWarn), Texts());
  EXPECT_EQ(IdsWith(run, Verdict::kFlaky), Texts());
  EXPECT_EQ(IdsWith(run, Verdict::kInconclusive), Texts());
}

// By the rules of the wire, on plain, strict and slow servers, and inside TLS.
TEST(ClientChecks, AccuseNoHabitThatClausesPermit) {
  std::vector<ClientCheck> checks;
  std::ranges::copy_if(AllClientChecks(), std::back_inserter(checks), [](const ClientCheck& check) {
    return check.scenario.empty() || check.scenario.contains("/strict") || check.scenario.contains("/slow-server") ||
           check.scenario.contains("/odd-size") || check.requirement() == spec::kTlsClientAllModes;
  });
  ASSERT_GE(engine::AllHabits().size(), 30U);
  for (const engine::ClientHabit& habit : Chosen(engine::AllHabits())) {
    EXPECT_EQ(IdsWith(RunChecksOn(habit.conduct, checks), Verdict::kFail), Texts()) << habit.name;
  }
}

TEST(ClientChecks, EachCatchesAFault) {
  for (const ClientSelfTestRow& row : RunClientSelfTest(Chosen(AllClientChecks()))) {
    EXPECT_FALSE(row.caught.empty()) << row.check << " catches nothing";
  }
}

// Faults that no check of their clauses catches, and why.
const std::set<std::string_view> kUncaught = {
    "client_begins_tls_though_it_was_refused",     // It is no TLS session that the check waits for.
    "client_fails_when_abort_is_not_answered",     // It looks around first, where the check lets nobody in.
    "client_goes_on_after_err_shutdown",           // It is not let in either, and leaves by ABORT.
    "client_goes_on_after_eshutdown",              // What it still asks may have crossed the answer.
    "client_hangs_at_errors",                      // In memory nobody hangs: its link gives up.
    "client_hangs_at_wrong_answers",               // The same.
    "client_hangs_when_all_is_done",               // The same.
    "client_keeps_ids_for_other_connections",      // Scenarios have the same ids on all connections.
    "client_keeps_unknown_status_bits",            // Maps as they are compared have no place for them.
    "client_lists_nothing_when_asked_to",          // Nobody at the other end knows that it was asked to.
    "client_selects_what_a_list_had_that_failed",  // It fails with a server that numbers contexts in two ways.
    "client_writes_past_the_end",                  // At the end of its stage, which is in the midst of a scenario.
};

TEST(ClientChecks, CatchEachFaultButThoseWithAReason) {
  for (const engine::ClientFault& fault : Chosen(engine::AllClientFaults())) {
    std::vector<ClientCheck> checks;
    std::ranges::copy_if(AllClientChecks(), std::back_inserter(checks), [&](const ClientCheck& check) {
      return std::ranges::count(fault.checks, check.requirement()) > 0;
    });
    if (!checks.empty()) {
      EXPECT_NE(IsCaughtByOneOf(checks, fault), kUncaught.contains(fault.name)) << fault.name;
    }
  }
}

}  // namespace
}  // namespace nbdspec::conformance
