// SPDX-License-Identifier: BSD-3-Clause
// Checks of requests, simple replies, errors and the end of transmission. Spec: proto.md, "Transmission".
#include "conformance/checks/check.h"

namespace nbdspec::conformance {

std::vector<Check> TransmissionChecks() { return {}; }

}  // namespace nbdspec::conformance
