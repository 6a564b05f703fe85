// SPDX-License-Identifier: BSD-3-Clause
// A server that is down: nbdspec could not start it again, though it should run. Nobody meets it then, which says
// nothing of what it was asked before; Peer::Restart may help.

#pragma once

#include <string_view>

#include "conformance/peer/target.h"

namespace nbdspec::conformance {

// Peer::Ended of such a server.
inline constexpr std::string_view kIsDown = "could not be started";

inline bool IsDown(Peer& peer) { return peer.Ended() == kIsDown; }

}  // namespace nbdspec::conformance
