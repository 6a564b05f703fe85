// SPDX-License-Identifier: BSD-3-Clause
// The reference client's way from the greeting into an export. Private to this folder.

#pragma once

#include <vector>

#include "engine/client/connection.h"

namespace nbdspec::engine {

// Enters the job's export, with base:allocation selected where `wants_contexts` and the server has it.
OrGivesUp<void> EnterExport(ClientConnection& on, bool wants_contexts);

// Only looks: asks what the conduct has, and enters nothing.
OrGivesUp<void> LookAround(ClientConnection& on);

}  // namespace nbdspec::engine
