// SPDX-License-Identifier: BSD-3-Clause
// Checks of NBD_OPT_EXTENDED_HEADERS, and of the options beside it, in the handshake.
// Spec: proto.md of the branch extension-ext-header, "NBD_OPT_EXTENDED_HEADERS", "Transmission flags", and what it adds
// to the options there were.
#include "conformance/checks/check.h"

namespace nbdspec::conformance {

std::vector<Check> ExtendedHandshakeChecks() { return {}; }

}  // namespace nbdspec::conformance
