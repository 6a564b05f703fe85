// SPDX-License-Identifier: BSD-3-Clause
// nbdinfo (libnbd-bin): a client that shares no code with ours.

#pragma once

#include <expected>
#include <string>
#include <vector>

#include "engine/extents/extent.h"

namespace nbdspec::fuzz {

// What `nbdinfo --map --json` says of the default export at the unix socket. Errors: a sentence.
std::expected<std::vector<engine::Extent>, std::string> NbdinfoMap(const std::string& socket_path);

}  // namespace nbdspec::fuzz
