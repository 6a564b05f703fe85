// SPDX-License-Identifier: BSD-3-Clause
// A run of checks on a client as a command line asks for it: `nbdspec client` runs one, `nbdspec matrix` one for each
// of its lines that begin with "client".

#pragma once

#include <expected>
#include <memory>
#include <vector>

#include "command/command_table.h"
#include "command/output.h"
#include "conformance/clients/client_check.h"
#include "conformance/clients/client_runner.h"
#include "conformance/clients/named_clients.h"
#include "conformance/expected/expected.h"
#include "reports/model/run.h"

namespace nbdspec::command {

struct PlannedClient {
  conformance::ClientUnderTest client;
  std::vector<conformance::ClientCheck> checks;
  std::vector<conformance::ExpectedList> lists;
  conformance::ClientRunOptions run;

  // A run of it before its first outcome, in case there is no other.
  [[nodiscard]] reports::Run Begun() const;
  // Runs the checks, and lays the lists over what they found.
  reports::Run Run();
};

// What `options` ask for. Errors: no such client or check; it cannot be run.
std::expected<PlannedClient, Refusal> PlanClient(Options options);

}  // namespace nbdspec::command
