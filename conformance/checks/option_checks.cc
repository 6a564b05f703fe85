// SPDX-License-Identifier: BSD-3-Clause
// Checks of option haggling in general, ABORT, LIST, EXPORT_NAME and unknown options. Spec: proto.md, "Option types".
#include "conformance/checks/check.h"

namespace nbdspec::conformance {

std::vector<Check> OptionChecks() { return {}; }

}  // namespace nbdspec::conformance
