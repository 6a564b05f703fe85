// SPDX-License-Identifier: BSD-3-Clause
// Faults for starttls_checks.cc.
#include "conformance/faulty/fault.h"

namespace nbdspec::conformance {

std::vector<Fault> StarttlsFaults() { return {}; }

}  // namespace nbdspec::conformance
