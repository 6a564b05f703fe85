// SPDX-License-Identifier: BSD-3-Clause
#include <fmt/format.h>

#include "command/commands.h"
#include "command/selection.h"
#include "conformance/checks/check.h"
#include "engine/base/check.h"
#include "engine/faults/fault.h"
#include "engine/spec/catalogue.h"
#include "reports/model/run.h"

namespace nbdspec::conformance {

int ListCommand(const ListOptions& options) {
  const auto checks = SelectChecks(options.select);
  if (!checks) {
    fmt::print(stderr, "nbdspec: {}\n", checks.error().sentence);
    return reports::ExitCode::kUsage;
  }
  for (const Check& check : *checks) {
    const spec::Requirement* requirement = spec::TheCatalogue().Find(check.requirement());
    NBDSPEC_CHECK(requirement != nullptr);
    fmt::print("{:<10} {}\n           {}\n", Word(requirement->level), check.id, check.claim);
    if (options.faults) {
      for (const auto& caught : engine::faults::DetectionsBy(engine::faults::Detector::Kind::kCheck, check.id)) {
        fmt::print("           catches {}\n", caught.fault.name);
      }
    }
  }
  return reports::ExitCode::kSuccess;
}

}  // namespace nbdspec::conformance
