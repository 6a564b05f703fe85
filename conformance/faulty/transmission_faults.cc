// SPDX-License-Identifier: BSD-3-Clause
// Faults for transmission_checks.cc.
#include "conformance/faulty/fault.h"

namespace nbdspec::conformance {

std::vector<Fault> TransmissionFaults() { return {}; }

}  // namespace nbdspec::conformance
