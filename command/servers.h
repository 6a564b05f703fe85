// SPDX-License-Identifier: BSD-3-Clause
// What the commands that run servers share: which server it is, what ends a run early, how warnings look.

#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <expected>
#include <string>

#include "command/command_table.h"
#include "conformance/peer/target.h"
#include "fuzz/live/run/live_server.h"

namespace nbdspec::command {

// --- Which server the words of a command line name ---

using conformance::TargetOrTrouble;

// The target that `options` name, its word taken off their front, or the reference server when they name none.
// Errors: a malformed URI, a spawn command that cannot work, more than one server named, no disk for power cuts.
TargetOrTrouble TakeTarget(Options& options);

// Of `given`, how servers are started and reached; not which they are.
Options ServerOptionsOf(const Options& given);

// A target to be written to, with no word left over.
// Errors: as TakeTarget; it names no server; nbdspec does not start it, and --allow-write is not given.
TargetOrTrouble WritableTarget(Options options);

// The same of one word: a server by name, a URI, or a command that has {socket} or {port} in it, and ServerOptionsOf
// `given`.
TargetOrTrouble WritableTarget(const std::string& word, const Options& given);

// --- What nbdspec and the servers that it starts need of the machine ---

// That so many files may be open at once. Errors: they may not, and what to do.
inline constexpr std::uint64_t kDescriptorsMin = 64;
std::expected<void, Refusal> NeedDescriptors();

// --- SIGINT, SIGTERM and SIGHUP end a run in good order: what was found is reported, servers are stopped ---

// From now on the first such signal only sets the flag; a second one kills the process. A SIGHUP that nbdspec was
// started to ignore stays ignored.
void CatchInterrupts();

// True once a signal came.
const std::atomic<bool>& Interrupted();

// The signal that came, 0 for none.
int InterruptSignal();

// How a command ends that could not use its server, or, after such a signal, did not wait for it.
ExitOrRefusal Unusable(const engine::Trouble& trouble);

// --- Fuzzing ---

std::chrono::milliseconds FromSeconds(double seconds);  // Rounded up: 0 would be no limit.

fuzz::LiveOptions LiveOptionsFrom(const Options& options);

// Each warning with its first example; `whose` goes before the requirement: "B ".
std::string WarningsText(const fuzz::Warnings& warnings, const std::string& whose);

}  // namespace nbdspec::command
