// SPDX-License-Identifier: BSD-3-Clause
#include <fmt/format.h>

#include "command/commands.h"
#include "command/selection.h"
#include "conformance/checks/check.h"
#include "conformance/faulty/fault.h"
#include "engine/base/check.h"
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
    for (const Fault& fault : AllFaults()) {
      if (options.faults && fault.check == check.id) {
        fmt::print("           catches {}\n", fault.name);
      }
    }
  }
  return reports::ExitCode::kSuccess;
}

}  // namespace nbdspec::conformance
