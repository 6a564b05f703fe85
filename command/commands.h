// SPDX-License-Identifier: BSD-3-Clause
// The commands: each returns the exit code of the program. run_cli.cc has the table of them and of their options.

#pragma once

#include "command/options.h"

namespace nbdspec::command {

int CheckCommand(const Options& options);
int ListCommand(const Options& options);
int ExplainCommand(const Options& options);
int CoverageCommand(const Options& options);
int SelfTestCommand(const Options& options);
int FuzzCommand(const Options& options);
int DiffCommand(const Options& options);
int ReplayCommand(const Options& options);
int ShrinkCommand(const Options& options);

}  // namespace nbdspec::command
