// SPDX-License-Identifier: BSD-3-Clause
// Checks.
#include "conformance/checks/check.h"

namespace nbdspec::conformance {

std::vector<Check> SetMetaContextChecks() { return {}; }

}  // namespace nbdspec::conformance
