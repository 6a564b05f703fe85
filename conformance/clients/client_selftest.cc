// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/clients/client_selftest.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "conformance/clients/client_way.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

namespace {

using engine::ClientFault;

// Faults of how a client ends, which each check that plays a scenario of its own has to see.
constexpr std::array<std::string_view, 3> kWrongEnds = {"client_fails_though_all_went_well",
                                                        "client_says_it_succeeded_though_it_failed",
                                                        "client_swaps_the_first_two_bytes"};

// Where the fault shows, as a scenario; nothing of exports that scenarios do not have.
Scenario ScenarioFor(const ClientFault& fault) {
  return {.name = "self-test",
          .serves = fault.stage.is_wrong ? Serves::kWrong : Serves::kRight,
          .server = fault.stage.server,
          .offers = fault.stage.offers,
          .changes = {fault.stage.change},
          .is_met_by_all = true,
          .tls = {.is_wanted = fault.stage.demands_tls}};
}

bool Breaks(const ClientFault& fault, const ClientCheck& check) {
  const bool is_of_end = !check.scenario.empty() && std::ranges::count(kWrongEnds, fault.name) > 0;
  return is_of_end || std::ranges::count(fault.checks, check.requirement()) > 0;
}

// A rule of the wire is tried where the fault shows, and where nobody is let in.
bool IsCaught(const ClientCheck& check, const ClientFault& fault) {
  const Scenario& refusing = ScenarioNamed(spec::kBaselineAbortClient);
  return JudgeConduct(check, fault.conduct, ScenarioFor(fault)).is_broken() ||
         (check.scenario.empty() && JudgeConduct(check, fault.conduct, refusing).is_broken());
}

}  // namespace

Judgement JudgeConduct(const ClientCheck& check, const engine::ClientConduct& conduct, const Scenario& scenario) {
  const Scenario& played = check.scenario.empty() ? scenario : ScenarioNamed(check.scenario);
  // The reference client always can be run.
  return check.judge(*Play(played, ReferenceClientWays(conduct), std::chrono::milliseconds(0))).judgement;
}

bool IsCaughtByOneOf(std::span<const ClientCheck> checks, const ClientFault& fault) {
  return std::ranges::any_of(checks, [&](const ClientCheck& check) { return IsCaught(check, fault); });
}

std::vector<ClientSelfTestRow> RunClientSelfTest(std::span<const ClientCheck> checks, std::size_t enough) {
  std::vector<ClientSelfTestRow> rows;
  for (const ClientCheck& check : checks) {
    ClientSelfTestRow& row = rows.emplace_back();
    row.check = check.id;
    for (const ClientFault& fault : engine::AllClientFaults()) {
      if (row.caught.size() < enough && Breaks(fault, check) && IsCaught(check, fault)) {
        row.caught.push_back(fault.name);
      }
    }
  }
  return rows;
}

}  // namespace nbdspec::conformance
