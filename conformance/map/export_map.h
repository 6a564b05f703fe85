// SPDX-License-Identifier: BSD-3-Clause
// The extents of an export, as its server reports them.

#pragma once

#include <cstddef>
#include <expected>
#include <string>

#include "conformance/peer/target.h"
#include "conformance/session/session.h"
#include "engine/base/error.h"
#include "reports/model/extent_map.h"

namespace nbdspec::conformance {

struct MapOptions {
  Session::Limits limits = {};          // What cancels it ends the map, too.
  std::size_t extents_max = 4'000'000;  // 100 MB of them.
};

// Asks NBD_CMD_BLOCK_STATUS for all of the export that `target` names, with extended headers where the server has them.
// What was learnt before an answer that cannot be used is kept, with the reason. Errors: the server cannot be reached,
// lets nobody in, or has no base:allocation.
std::expected<reports::ExtentMap, engine::Trouble> MapExport(Target& target, const MapOptions& options);

}  // namespace nbdspec::conformance
