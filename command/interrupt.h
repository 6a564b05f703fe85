// SPDX-License-Identifier: BSD-3-Clause
// SIGINT, SIGTERM and SIGHUP end a run in good order: what was found is reported, servers are stopped.

#pragma once

#include <atomic>

namespace nbdspec::command {

// From now on the first such signal only sets the flag; a second one kills the process. A SIGHUP that nbdspec was
// started to ignore stays ignored.
void CatchInterrupts();

// True once a signal came.
const std::atomic<bool>& Interrupted();

// The signal that came, 0 for none.
int InterruptSignal();

}  // namespace nbdspec::command
