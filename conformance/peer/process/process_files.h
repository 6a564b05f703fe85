// SPDX-License-Identifier: BSD-3-Clause
// What /proc says of processes. They may end at any time: what cannot be read then is left out.

#pragma once

#include <sys/types.h>

#include <optional>
#include <vector>

#include "conformance/peer/target.h"

namespace nbdspec::conformance {

// Its children. None where there is no /proc.
std::vector<pid_t> ChildrenOf(pid_t process);

// All that descend from `ancestor`, without it. None where there is no /proc.
std::vector<pid_t> ProcessesUnder(pid_t ancestor);

// Whether `signal` was sent to the process, and not yet taken.
bool IsPending(pid_t process, int signal);

// What all that descend from `ancestor` use. Nothing when there is none, or no /proc.
std::optional<Usage> UsageUnder(pid_t ancestor);

}  // namespace nbdspec::conformance
