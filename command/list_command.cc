// SPDX-License-Identifier: BSD-3-Clause
#include <fmt/format.h>

#include "command/commands.h"
#include "command/output.h"
#include "command/selection.h"
#include "conformance/checks/check.h"
#include "engine/faults/fault.h"
#include "engine/spec/catalogue.h"
#include "reports/model/run.h"

namespace nbdspec::command {

int ListCommand(const Options& options) {
  const auto checks = SelectChecks(options.words);
  if (!checks) {
    return Refuse(checks.error().sentence, reports::ExitCode::kUsage);
  }
  for (const conformance::Check& check : *checks) {
    fmt::print("{:<10} {}\n           {}\n", Word(spec::RequirementOf(check.id).level), check.id, check.claim);
    if (options.faults) {
      for (const auto& caught : engine::faults::DetectionsBy(engine::faults::Detector::Kind::kCheck, check.id)) {
        fmt::print("           catches {}\n", caught.fault.name);
      }
    }
  }
  return reports::ExitCode::kSuccess;
}

}  // namespace nbdspec::command
