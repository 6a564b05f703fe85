// SPDX-License-Identifier: BSD-3-Clause
// Faults for set_meta_context_checks.cc.
#include "conformance/faulty/fault.h"

namespace nbdspec::conformance {

std::vector<Fault> SetMetaContextFaults() { return {}; }

}  // namespace nbdspec::conformance
