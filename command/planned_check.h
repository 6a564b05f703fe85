// SPDX-License-Identifier: BSD-3-Clause
// A run of checks as a command line asks for it: `nbdspec check` runs one, `nbdspec matrix` one for each of its lines.

#pragma once

#include <expected>
#include <memory>
#include <vector>

#include "command/command_table.h"
#include "command/output.h"
#include "conformance/checks/check.h"
#include "conformance/expected/expected.h"
#include "conformance/peer/target.h"
#include "conformance/runner/runner.h"
#include "reports/model/run.h"

namespace nbdspec::command {

struct PlannedCheck {
  std::unique_ptr<conformance::Target> target;
  std::vector<conformance::Check> checks;
  std::vector<reports::Outcome> excluded;  // Of checks that words took away.
  std::vector<conformance::ExpectedList> lists;
  conformance::RunOptions run;

  // A run of it before its first outcome, in case there is no other.
  [[nodiscard]] reports::Run Begun() const;
  // Runs the checks, and lays the lists over what they found.
  reports::Run Run();
};

// What `options` ask for. Errors: no such target, check or list.
std::expected<PlannedCheck, Refusal> PlanCheck(Options options);

}  // namespace nbdspec::command
