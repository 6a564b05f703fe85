// SPDX-License-Identifier: BSD-3-Clause
// Reads command lines, as command_table.cc describes them.

#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "command/command_table.h"
#include "command/output.h"
#include "engine/base/error.h"

namespace nbdspec::command {

// Runs `nbdspec ARGUMENTS...` (without the program's name) on standard output and error.
// Returns the exit code: see reports::ExitCode; 128 + N after signal N.
ExitOrRefusal RunCommandLine(const std::vector<std::string>& arguments);

// What `words` behind the name of `command`, one of the table, ask of it. Errors: they are not understood.
std::expected<Options, engine::Trouble> ReadOptions(std::string_view command, const std::vector<std::string>& words);

}  // namespace nbdspec::command
