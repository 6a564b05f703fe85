// SPDX-License-Identifier: BSD-3-Clause
// Faults for block_size_checks.cc.
#include "conformance/faulty/fault.h"

namespace nbdspec::conformance {

std::vector<Fault> BlockSizeFaults() { return {}; }

}  // namespace nbdspec::conformance
