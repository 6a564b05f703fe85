// SPDX-License-Identifier: BSD-3-Clause
// The self-test as a test. While writing checks: bazel test //conformance/selftest:selftest_test
// --test_env=NBDSPEC_PREFIX=block-status --test_output=all
#include "conformance/selftest/selftest.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <set>

#include "conformance/checks/check.h"
#include "engine/spec/catalogue.h"

namespace nbdspec::conformance {
namespace {

using engine::faults::Fault;

std::string_view Prefix() {
  const char* prefix = std::getenv("NBDSPEC_PREFIX");
  return prefix == nullptr ? "" : prefix;
}

TEST(SelfTest, EveryCheckAsksARequirementThatCanBeBroken) {
  std::set<std::string_view> ids;
  for (const Check& check : AllChecks()) {
    EXPECT_TRUE(ids.insert(check.id).second) << check.id << " is there twice";
    const spec::Requirement* requirement = spec::TheCatalogue().Find(check.requirement());
    ASSERT_NE(requirement, nullptr) << check.id << " asks a requirement that is not in the catalogue";
    EXPECT_NE(requirement->level, spec::Level::kMay) << check.id << " asks a permission";
    EXPECT_EQ(requirement->role, spec::Role::kServer) << check.id;
    EXPECT_FALSE(check.claim.empty()) << check.id;
    EXPECT_NE(requirement->harm, spec::Harm::kUnsaid) << check.id << " asks a row whose harm is not said";
  }
}

TEST(SelfTest, EveryRequirementOfServersHasACheckOrAReasonAndNotBoth) {
  std::set<std::string_view> asked;
  for (const Check& check : AllChecks()) {
    asked.insert(check.requirement());
  }
  for (const spec::Requirement& requirement : spec::TheCatalogue().all()) {
    if (requirement.role == spec::Role::kServer) {
      EXPECT_NE(asked.contains(requirement.id), !requirement.untested.empty()) << requirement.id;
    }
  }
}

void ExpectAllCaught(const SelfTest& result) {
  for (const SelfTestRow& row : result.rows) {
    for (const Catch& each : row.catches) {
      EXPECT_TRUE(each.holds()) << row.fault.name << ": " << each.check << " says " << reports::Word(each.got)
                                << " and not " << reports::Word(each.expected) << ": " << each.saw << each.why_not;
      EXPECT_TRUE(each.shows_judged || !each.caught())
          << row.fault.name << ": " << each.check << " shows no message that was judged";
    }
  }
  for (const std::string_view check : result.checks_unproven) {
    ADD_FAILURE() << check << " has no fault that shows it can fail";
  }
  for (const reports::Outcome& outcome : result.false_alarms) {
    ADD_FAILURE() << outcome.id << ": the reference server gets " << reports::Word(outcome.verdict) << ": "
                  << outcome.evidence.saw;
    for (const std::string& line : outcome.evidence.transcript) {
      std::cout << "    " << line << "\n";
    }
  }
  for (const FormTest& form : result.forms) {
    for (const std::string_view check : form.checks_unproven) {
      ADD_FAILURE() << form.form << ": " << check << " catches none of its faults";
    }
    for (const reports::Outcome& outcome : form.false_alarms) {
      ADD_FAILURE() << form.form << ": " << outcome.id << " accuses the sound server: " << outcome.evidence.saw;
    }
    EXPECT_TRUE(form.proven_count > 0 || !Prefix().empty()) << form.form;
  }
  EXPECT_FALSE(result.rows.empty());
  EXPECT_TRUE(result.holds());
}

// NBDSPEC_SELFTEST_STEP: only every so many of the faults.
std::size_t Step() {
  const char* const step = std::getenv("NBDSPEC_SELFTEST_STEP");
  return step == nullptr ? 1 : std::strtoul(step, nullptr, 10);
}

TEST(SelfTest, EveryCheckCatchesItsFaultsAndAccusesNobodyElse) {
  ExpectAllCaught(RunSelfTest({.seed = 1, .prefix = Prefix(), .fault_step = Step()}));
}

TEST(SelfTest, EveryCheckDoesSoWithExtendedHeaders) {
  ExpectAllCaught(RunSelfTest({.seed = 1, .prefix = Prefix(), .extended = true, .fault_step = Step()}));
}

TEST(SelfTest, EveryCheckDoesSoInsideTls) {
  ExpectAllCaught(RunSelfTest({.seed = 1, .prefix = Prefix(), .tls = true, .fault_step = Step()}));
}

TEST(SelfTest, FaultsKnowTheNumberOfTheirConnection) {
  const auto greets_wrongly_from = [](std::uint64_t number) {
    return Fault{.name = "server_greets_wrongly_later",
                 .detectors = spec::kHandshakeMagic,
                 .change = {.sent = [number](const engine::ClientMessage* to, const engine::faults::Connection& on,
                                             engine::faults::Messages& sent) {
                   if (to == nullptr && on.number >= number) {
                     engine::faults::ForEach<engine::Greeting>(sent, [](engine::Greeting& each) { each.magic = 0; });
                   }
                 }}};
  };
  const Fault soon = greets_wrongly_from(2);  // The sanity conversation has two.
  const Fault never = greets_wrongly_from(1000);
  EXPECT_TRUE(RunFault(soon, {.seed = 1}).caught());
  EXPECT_FALSE(RunFault(never, {.seed = 1}).caught());
}

}  // namespace
}  // namespace nbdspec::conformance
