// SPDX-License-Identifier: BSD-3-Clause
// Faults of what answers a request with extended headers.
#include "engine/faults/fault_tables.h"

namespace nbdspec::engine::faults {

std::vector<Fault> ExtendedReplyFaults() { return {}; }

}  // namespace nbdspec::engine::faults
