// SPDX-License-Identifier: BSD-3-Clause
// Faults for chunk_checks.cc.
#include "conformance/faulty/fault.h"

namespace nbdspec::conformance {

std::vector<Fault> ChunkFaults() { return {}; }

}  // namespace nbdspec::conformance
