// SPDX-License-Identifier: BSD-3-Clause
// Faults for export_name_checks.cc.
#include "conformance/faulty/fault.h"

namespace nbdspec::conformance {

std::vector<Fault> ExportNameFaults() { return {}; }

}  // namespace nbdspec::conformance
