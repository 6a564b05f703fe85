// SPDX-License-Identifier: BSD-3-Clause
// A disk with the extents of a script, and bytes that fit them.

#pragma once

#include <expected>

#include "engine/base/error.h"
#include "engine/layers/disk.h"
#include "engine/script/script.h"

namespace nbdspec::engine {

// Runs the steps of `script` that change a map; a step that the map refuses changes nothing.
// Errors: a sentence, if the script's size is above Disk::kDiskBytesMax or memory is short.
std::expected<Disk, Trouble> MakeScriptedDisk(const Script& script);

}  // namespace nbdspec::engine
