// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/faulty/selftest.h"

#include <algorithm>
#include <atomic>
#include <set>

#include "conformance/checks/check.h"
#include "conformance/faulty/fault.h"
#include "conformance/peer/reference_target.h"
#include "conformance/runner/runner.h"
#include "conformance/runner/worker.h"
#include "engine/base/check.h"
#include "engine/spec/catalogue.h"

namespace nbdspec::conformance {

namespace {

// The reference server that turns faulty when told to, so that the sanity conversation is held with it when sound: a
// check must catch its fault by its own asking.
SelfTestRow Meet(const Fault& fault, const Check& check, std::uint64_t seed) {
  std::atomic<bool> faulty = false;
  const auto target = ReferenceTarget(
      {.interposers = [&]() -> std::unique_ptr<engine::Interposer> { return faulty ? fault.make() : nullptr; }});
  const RunOptions options{.seed = seed};
  Worker worker(*target, options, Transport::Clock::time_point::max());
  worker.Prepare(check.setup);
  faulty = true;
  reports::Outcome outcome = worker.Run(check);
  const spec::Requirement* requirement = spec::TheCatalogue().Find(check.requirement());
  NBDSPEC_CHECK(requirement != nullptr);
  return {.fault = fault.name,
          .check = fault.check,
          .expected = VerdictFor(Judgement::Kind::kBroken, *requirement),
          .got = outcome.verdict,
          .saw = outcome.evidence.saw};
}

}  // namespace

bool SelfTest::holds() const {
  return std::ranges::all_of(rows, &SelfTestRow::caught) && checks_unproven.empty() && false_alarms.empty();
}

SelfTest RunSelfTest(std::uint64_t seed, std::string_view prefix) {
  SelfTest result;
  std::set<std::string_view> proven;
  for (const Fault& fault : AllFaults()) {
    const auto check = std::ranges::find(AllChecks(), fault.check, &Check::id);
    if (check == AllChecks().end()) {  // It would be caught by nothing.
      result.rows.push_back({.fault = fault.name, .check = fault.check, .saw = "there is no such check"});
    } else if (fault.check.starts_with(prefix)) {
      result.rows.push_back(Meet(fault, *check, seed));
      proven.insert(fault.check);
    }
  }
  const auto sound = ReferenceTarget();
  const RunOptions options{.seed = seed};
  Worker worker(*sound, options, Transport::Clock::time_point::max());
  for (const Check& check : AllChecks()) {
    if (!check.id.starts_with(prefix)) {
      continue;
    }
    if (!proven.contains(check.id)) {
      result.checks_unproven.push_back(check.id);
    }
    reports::Outcome outcome = worker.Run(check);
    if (outcome.verdict != reports::Verdict::kPass && outcome.verdict != reports::Verdict::kNotApplicable) {
      result.false_alarms.push_back(std::move(outcome));
    }
  }
  return result;
}

}  // namespace nbdspec::conformance
