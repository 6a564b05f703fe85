// SPDX-License-Identifier: BSD-3-Clause
// Faults for error_chunk_checks.cc.
#include "conformance/faulty/fault.h"

namespace nbdspec::conformance {

std::vector<Fault> ErrorChunkFaults() { return {}; }

}  // namespace nbdspec::conformance
