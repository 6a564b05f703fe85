// SPDX-License-Identifier: BSD-3-Clause
// What the commands that run servers share: which server it is, what ends a run early, how warnings and reports look.

#pragma once

#include <atomic>
#include <chrono>
#include <expected>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "command/options.h"
#include "command/output.h"
#include "conformance/peer/target.h"
#include "engine/base/error.h"
#include "fuzz/live/run/live_server.h"

namespace nbdspec::command {

// --- Which server the words of a command line name ---

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

// --- SIGINT, SIGTERM and SIGHUP end a run in good order: what was found is reported, servers are stopped ---

// From now on the first such signal only sets the flag; a second one kills the process. A SIGHUP that nbdspec was
// started to ignore stays ignored.
void CatchInterrupts();

// True once a signal came.
const std::atomic<bool>& Interrupted();

// The signal that came, 0 for none.
int InterruptSignal();

// --- Fuzzing ---

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
ExitOrRefusal WriteReport(Json report, const std::optional<engine::Trouble>& trouble, int exit, const Options& options);

// The exit code of a run that was not usable, or was interrupted, or has found nothing.
int ExitWithoutFailure(const std::optional<engine::Trouble>& trouble, bool is_unusable);

}  // namespace nbdspec::command
