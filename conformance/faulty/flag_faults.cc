// SPDX-License-Identifier: BSD-3-Clause
// Faults for flag_checks.cc.
#include "conformance/faulty/fault.h"

namespace nbdspec::conformance {

std::vector<Fault> FlagFaults() { return {}; }

}  // namespace nbdspec::conformance
