// SPDX-License-Identifier: BSD-3-Clause
// The reference server as a target, in this process: no sockets, no threads, no waiting.
//
// A receive that finds nothing to say is a time-out at once, whatever the deadline: the server would never say more.

#pragma once

#include <functional>
#include <memory>

#include "conformance/peer/target.h"
#include "engine/server/interposer.h"

namespace nbdspec::conformance {

// Makes a new interposer for each connection; a null function for none.
using InterposerFactory = std::function<std::unique_ptr<engine::Interposer>()>;

// Exports: "" (the default, writable, with data, holes and zeroes), "read-only", and "strict" with a minimum block
// size of 4096. Setup::kReadOnly gives a server whose default export is read-only.
std::unique_ptr<Target> ReferenceTarget(InterposerFactory interposers = {});

}  // namespace nbdspec::conformance
