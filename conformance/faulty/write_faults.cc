// SPDX-License-Identifier: BSD-3-Clause
// Faults for write_checks.cc.
#include "conformance/faulty/fault.h"

namespace nbdspec::conformance {

std::vector<Fault> WriteFaults() { return {}; }

}  // namespace nbdspec::conformance
