// SPDX-License-Identifier: BSD-3-Clause
// Checks.
#include "conformance/checks/check.h"

namespace nbdspec::conformance {

std::vector<Check> ZeroClaimChecks() { return {}; }

}  // namespace nbdspec::conformance
