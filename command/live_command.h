// SPDX-License-Identifier: BSD-3-Clause
// What fuzz, diff, replay and shrink share: how a server is talked to, and how warnings and reports look.

#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "command/options.h"
#include "engine/base/error.h"
#include "fuzz/live/run/live_server.h"

namespace nbdspec::command {

std::chrono::milliseconds FromSeconds(double seconds);  // Rounded up: 0 would be no limit.

fuzz::LiveOptions LiveOptionsFrom(const Options& options);

// Each warning with its first example; `whose` goes before the requirement: "B ".
std::string WarningsText(const fuzz::Warnings& warnings, const std::string& whose);

// docs/json.md describes these.
using Json = nlohmann::ordered_json;
Json JsonOf(const fuzz::Warnings& warnings);
Json ReportHead(const Options& options);

// Completes `report` with `trouble` and `exit`, and writes it where --json says. Prints the trouble too.
// Returns the exit code: `exit`, or that of our own error.
int WriteReport(Json report, const std::optional<engine::Trouble>& trouble, int exit, const Options& options);

// The exit code of a run that was not usable, or was interrupted, or has found nothing.
int ExitWithoutFailure(const std::optional<engine::Trouble>& trouble, bool is_unusable);

}  // namespace nbdspec::command
