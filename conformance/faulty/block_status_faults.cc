// SPDX-License-Identifier: BSD-3-Clause
// Faults for block_status_checks.cc.
#include "conformance/faulty/fault.h"

namespace nbdspec::conformance {

std::vector<Fault> BlockStatusFaults() { return {}; }

}  // namespace nbdspec::conformance
