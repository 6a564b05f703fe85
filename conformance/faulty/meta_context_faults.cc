// SPDX-License-Identifier: BSD-3-Clause
// Faults for meta_context_checks.cc.
#include "conformance/faulty/fault.h"

namespace nbdspec::conformance {

std::vector<Fault> MetaContextFaults() { return {}; }

}  // namespace nbdspec::conformance
