// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/checks/check.h"

namespace nbdspec::conformance {

std::vector<Check> FlagChecks() { return {}; }

}  // namespace nbdspec::conformance
