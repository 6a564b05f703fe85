// SPDX-License-Identifier: BSD-3-Clause
// What the commands that fuzz share of their reports: docs/json.md describes them.

#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "command/command_table.h"
#include "command/output.h"
#include "engine/base/error.h"
#include "fuzz/findings/finding.h"
#include "reports/model/run.h"

namespace nbdspec::command {

using Json = nlohmann::ordered_json;

// How each begins.
Json ReportHead(const Options& options);

Json JsonOfFinding(const fuzz::Finding& finding, const std::string& directory);

// Completes `report` with `trouble` and `exit`, and writes it where --json says, and `run` where --html says. Prints
// the trouble too. Returns the exit code: that of `run`, or of our own error.
ExitOrRefusal Finish(Json report, const reports::Run& run, const Options& options);

// The exit code of a run that was not usable, or was interrupted, or has found nothing.
int ExitWithoutFailure(const std::optional<engine::Trouble>& trouble, bool is_unusable);

}  // namespace nbdspec::command
