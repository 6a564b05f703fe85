// SPDX-License-Identifier: BSD-3-Clause
// Checks of the commands that change an export. Spec: proto.md, "Request types".
#include "conformance/checks/check.h"

namespace nbdspec::conformance {

std::vector<Check> WriteChecks() { return {}; }

}  // namespace nbdspec::conformance
