// SPDX-License-Identifier: BSD-3-Clause
// Checks of NBD_CMD_READ and the structure of structured replies. Spec: proto.md, "Structured reply types".
#include "conformance/checks/check.h"

namespace nbdspec::conformance {

std::vector<Check> ReadChecks() { return {}; }

}  // namespace nbdspec::conformance
