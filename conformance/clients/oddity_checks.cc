// SPDX-License-Identifier: BSD-3-Clause
// The checks of what a client copes with: every oddity that the project knows of servers that are right and unlike
// others.
#include <fmt/format.h>

#include <string_view>
#include <utility>
#include <vector>

#include "conformance/clients/client_check.h"
#include "conformance/clients/odd_scenario.h"
#include "engine/oddities/oddity.h"
#include "engine/spec/catalogue.h"

namespace nbdspec::conformance {

namespace {

using namespace spec;  // The ids of requirements.

// The clause that says, for a client, that it copes with what `oddity` does.
std::string_view ClauseFor(const spec::Requirement& permitted) {
  const std::string_view id = permitted.id;
  if (id.starts_with("structured.") || id.starts_with("transmission.simple")) {
    return kStructuredReadClientReassemble;
  }
  if (id.contains("meta-context")) {
    return kOptionSetMetaContextClientIdOpaque;
  }
  if (id.starts_with("block-status") || id.starts_with("base-allocation")) {
    return kBlockStatusClientProgress;
  }
  if (permitted.phase == spec::Phase::kHandshake || permitted.phase == spec::Phase::kOptions) {
    return kBaselineInfoGoClient;
  }
  return permitted.phase == spec::Phase::kExtendedHeaders ? kExtOptionClientUnsup : kBaselineReadClient;
}

}  // namespace

std::vector<ScenarioCheck> OddityChecks() {
  std::vector<ScenarioCheck> rows;
  for (const engine::oddities::Oddity& oddity : engine::oddities::AllOddities()) {
    Scenario scenario;
    MakeOdd(oddity, scenario);
    const std::string_view clause = ClauseFor(spec::RequirementOf(oddity.permitted_by));
    rows.push_back({fmt::format("{}/{}", clause, oddity.name),
                    fmt::format("by {}, which {} permits", oddity.name, oddity.permitted_by), std::move(scenario)});
  }
  return rows;
}

}  // namespace nbdspec::conformance
