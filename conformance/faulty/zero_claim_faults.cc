// SPDX-License-Identifier: BSD-3-Clause
// Faults for zero_claim_checks.cc.
#include "conformance/faulty/fault.h"

namespace nbdspec::conformance {

std::vector<Fault> ZeroClaimFaults() { return {}; }

}  // namespace nbdspec::conformance
