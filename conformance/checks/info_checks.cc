// SPDX-License-Identifier: BSD-3-Clause
// Checks of INFO and GO and what they tell. Spec: proto.md, "NBD_OPT_INFO", "NBD_OPT_GO", "Size constraints".
#include "conformance/checks/check.h"

namespace nbdspec::conformance {

std::vector<Check> InfoChecks() { return {}; }

}  // namespace nbdspec::conformance
