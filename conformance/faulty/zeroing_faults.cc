// SPDX-License-Identifier: BSD-3-Clause
// Faults for zeroing_checks.cc.
#include "conformance/faulty/fault.h"

namespace nbdspec::conformance {

std::vector<Fault> ZeroingFaults() { return {}; }

}  // namespace nbdspec::conformance
