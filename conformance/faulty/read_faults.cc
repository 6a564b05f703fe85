// SPDX-License-Identifier: BSD-3-Clause
// Faults for read_checks.cc.
#include "conformance/faulty/fault.h"

namespace nbdspec::conformance {

std::vector<Fault> ReadFaults() { return {}; }

}  // namespace nbdspec::conformance
