// SPDX-License-Identifier: BSD-3-Clause
// Faults for error_checks.cc.
#include "conformance/faulty/fault.h"

namespace nbdspec::conformance {

std::vector<Fault> ErrorFaults() { return {}; }

}  // namespace nbdspec::conformance
