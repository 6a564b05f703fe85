// SPDX-License-Identifier: BSD-3-Clause
// Faults for list_meta_context_checks.cc.
#include "conformance/faulty/fault.h"

namespace nbdspec::conformance {

std::vector<Fault> ListMetaContextFaults() { return {}; }

}  // namespace nbdspec::conformance
