// SPDX-License-Identifier: BSD-3-Clause
// What the commands that fuzz share of their reports: docs/json.md describes them.

#pragma once

#include <chrono>
#include <functional>
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

// "2/4".
std::string WhichShard(const Options& options);

// "seed 7", or "seed 7, shard 2/4": what has the same run again.
std::string SeedText(const Options& options);

Json JsonOfFinding(const fuzz::Finding& finding, const std::string& directory);

// For a finding's text: the last lines, where it is kept.
std::string WhereSaved(const fuzz::Finding& finding, const std::string& directory);

// How long a run goes on: a minute, where nothing limits it.
std::chrono::milliseconds FuzzTime(const Options& options);

// Shows what `counts` makes of a report as the progress of the run, five times a second at most.
template <typename Report>
std::function<void(const Report&)> NowAndThen(std::string (*counts)(const Report&)) {
  return [counts, shown_at = 0.0](const Report& so_far) mutable {
    constexpr double kEverySeconds = 0.2;
    if (so_far.seconds - shown_at >= kEverySeconds) {
      shown_at = so_far.seconds;
      ShowProgress(counts(so_far));
    }
  };
}

// Completes `report` with `trouble` and `exit`, and writes it where --json says, and `run` where --html says. Prints
// the trouble too. Returns the exit code: that of `run`, or of our own error.
ExitOrRefusal Finish(Json report, const reports::Run& run, const Options& options);

// The exit code of a run that was not usable, or was interrupted, or has found nothing.
int ExitWithoutFailure(const std::optional<engine::Trouble>& trouble, bool is_unusable);

}  // namespace nbdspec::command
