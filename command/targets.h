// SPDX-License-Identifier: BSD-3-Clause
// Which server the words of a command line name.

#pragma once

#include <expected>
#include <memory>
#include <string>

#include "command/options.h"
#include "conformance/peer/target.h"
#include "engine/base/error.h"

namespace nbdspec::command {

using TargetOrTrouble = std::expected<std::unique_ptr<conformance::Target>, engine::Trouble>;

// The target that `options` name, its word taken off their front, or the reference server when they name none.
// Errors: a malformed URI, a spawn command that cannot work, more than one server named.
TargetOrTrouble TakeTarget(Options& options);

// A target to be written to, with no word left over.
// Errors: as TakeTarget; it names no server; nbdspec does not start it, and --allow-write is not given.
TargetOrTrouble WritableTarget(Options options);

// The same of one word: a server by name, a URI, or a command that has {socket} in it.
TargetOrTrouble WritableTarget(const std::string& word, bool allow_write);

// The same of --target, or where that is not given of `recorded`, which Target::CommandLine() wrote.
TargetOrTrouble TargetOf(const std::string& recorded, const Options& options);

}  // namespace nbdspec::command
