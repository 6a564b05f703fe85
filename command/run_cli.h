// SPDX-License-Identifier: BSD-3-Clause
// The nbdspec command as a function, so that tests can call it.

#pragma once

#include <span>
#include <string>

namespace nbdspec::command {

// Runs `nbdspec ARGUMENTS...` (without the program's name) on standard output and error.
// Returns the exit code: see reports::ExitCode; 128 + N after signal N.
int RunCli(std::span<const std::string> arguments);

}  // namespace nbdspec::command
