// SPDX-License-Identifier: BSD-3-Clause
// Checks of NBD_CMD_BLOCK_STATUS and base:allocation. Spec: proto.md, "Structured reply types", type 5.
#include "conformance/checks/check.h"

namespace nbdspec::conformance {

std::vector<Check> BlockStatusChecks() { return {}; }

}  // namespace nbdspec::conformance
