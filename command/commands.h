// SPDX-License-Identifier: BSD-3-Clause
// The subcommands: each returns the exit code of the program.

#pragma once

#include <string>

#include "command/options.h"

namespace nbdspec::conformance {

int CheckCommand(CheckOptions options);
int ListCommand(const ListOptions& options);
int ExplainCommand(const std::string& id);
int CoverageCommand(const CoverageOptions& options);
int SelfTestCommand(const SelfTestOptions& options);
int FuzzCommand(FuzzCommandOptions options);
int DiffCommand(const DiffCommandOptions& options);
int ReplayCommand(const ReplayCommandOptions& options);
int ShrinkCommand(const ShrinkCommandOptions& options);

}  // namespace nbdspec::conformance
