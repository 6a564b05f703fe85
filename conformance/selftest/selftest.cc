// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/selftest/selftest.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iterator>
#include <set>

#include "conformance/checks/check.h"
#include "conformance/peer/reference_target.h"
#include "conformance/runner/runner.h"
#include "engine/spec/catalogue.h"

namespace nbdspec::conformance {

namespace {

using engine::faults::Detector;
using engine::faults::Fault;

// No check may run out of time here, however busy the machine is.
RunOptions OptionsFor(std::uint64_t seed) { return {.seed = seed, .case_timeout = std::chrono::minutes(2)}; }

// The reference server turns faulty when the sanity conversation is over: a check must catch its fault by what it
// sends itself.
Catch Run(const Fault& fault, const Check& check, std::uint64_t seed) {
  std::atomic<bool> is_faulty = false;
  const auto target = ReferenceTarget({.interposers = [&](engine::Layer& layer) -> std::unique_ptr<engine::Interposer> {
    return is_faulty ? engine::faults::Interpose(fault.change, /*number=*/0, &layer) : nullptr;
  }});
  const RunOptions options = OptionsFor(seed);
  Knowledge knowledge;
  Worker worker(*target, options, Transport::Clock::time_point::max(), knowledge);
  worker.Open(check.setup);
  is_faulty = true;
  reports::Outcome outcome = worker.Run(check);
  return {.check = check.id,
          .expected = VerdictFor(Judgement::Kind::kBroken, spec::RequirementOf(check.id)),
          .got = outcome.verdict,
          .saw = outcome.evidence.saw};
}

}  // namespace

bool SelfTest::holds() const {
  return std::ranges::all_of(rows, &SelfTestRow::caught) && checks_unproven.empty() && false_alarms.empty();
}

SelfTestRow RunFault(const Fault& fault, std::uint64_t seed, std::string_view prefix) {
  SelfTestRow row{.fault = fault};
  for (const Detector& detector : fault.detectors) {
    if (detector.kind == Detector::Kind::kCheck && detector.id.starts_with(prefix)) {
      const auto check = std::ranges::find(AllChecks(), detector.id, &Check::id);
      row.catches.push_back(check != AllChecks().end() ? Run(fault, *check, seed)
                                                       : Catch{.check = detector.id, .saw = "there is no such check"});
    }
  }
  return row;
}

SelfTest RunSelfTest(std::uint64_t seed, std::string_view prefix) {
  SelfTest result;
  std::set<std::string_view> proven;
  for (const Fault& fault : engine::faults::AllFaults()) {
    SelfTestRow row = RunFault(fault, seed, prefix);
    std::ranges::transform(row.catches, std::inserter(proven, proven.end()), &Catch::check);
    if (!row.catches.empty() || prefix.empty()) {
      result.rows.push_back(std::move(row));
    }
  }
  const auto sound = ReferenceTarget();
  const RunOptions options = OptionsFor(seed);
  Knowledge knowledge;
  Worker worker(*sound, options, Transport::Clock::time_point::max(), knowledge);
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
