// SPDX-License-Identifier: BSD-3-Clause
// Faults of EXTENDED_HEADERS and of the options beside it.
#include "engine/faults/fault_tables.h"

namespace nbdspec::engine::faults {

std::vector<Fault> ExtendedHandshakeFaults() { return {}; }

}  // namespace nbdspec::engine::faults
