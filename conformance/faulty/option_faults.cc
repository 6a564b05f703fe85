// SPDX-License-Identifier: BSD-3-Clause
// Faults for option_checks.cc.
#include "conformance/faulty/fault.h"

namespace nbdspec::conformance {

std::vector<Fault> OptionFaults() { return {}; }

}  // namespace nbdspec::conformance
