// SPDX-License-Identifier: BSD-3-Clause
// Checks of STRUCTURED_REPLY and of the options for metadata contexts. Spec: proto.md, "Metadata querying".
#include "conformance/checks/check.h"

namespace nbdspec::conformance {

std::vector<Check> MetaContextChecks() { return {}; }

}  // namespace nbdspec::conformance
