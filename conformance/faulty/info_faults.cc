// SPDX-License-Identifier: BSD-3-Clause
// Faults for info_checks.cc.
#include "conformance/faulty/fault.h"

namespace nbdspec::conformance {

std::vector<Fault> InfoFaults() { return {}; }

}  // namespace nbdspec::conformance
