// SPDX-License-Identifier: BSD-3-Clause
// Faults for block_limit_checks.cc.
#include "conformance/faulty/fault.h"

namespace nbdspec::conformance {

std::vector<Fault> BlockLimitFaults() { return {}; }

}  // namespace nbdspec::conformance
