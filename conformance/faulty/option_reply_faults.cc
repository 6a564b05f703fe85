// SPDX-License-Identifier: BSD-3-Clause
// Faults for option_reply_checks.cc.
#include "conformance/faulty/fault.h"

namespace nbdspec::conformance {

std::vector<Fault> OptionReplyFaults() { return {}; }

}  // namespace nbdspec::conformance
