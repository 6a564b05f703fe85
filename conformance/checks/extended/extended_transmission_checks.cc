// SPDX-License-Identifier: BSD-3-Clause
// Checks of requests and replies with extended headers.
// Spec: proto.md of the branch extension-ext-header, "Request message", "Extended reply chunk message",
// "NBD_REPLY_TYPE_BLOCK_STATUS_EXT", "NBD_CMD_BLOCK_STATUS".
#include "conformance/checks/check.h"

namespace nbdspec::conformance {

std::vector<Check> ExtendedTransmissionChecks() { return {}; }

}  // namespace nbdspec::conformance
