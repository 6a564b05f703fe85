// SPDX-License-Identifier: BSD-3-Clause
// What a client and our server said to each other, for people.

#pragma once

#include "conformance/peer/clients/client_process.h"
#include "conformance/session/transcript.h"

namespace nbdspec::conformance {

// A line for each thing seen on the connections of `run`, one connection after the other: the first kKeptMax of them.
Transcript TranscriptOf(const ClientRun& run);

}  // namespace nbdspec::conformance
