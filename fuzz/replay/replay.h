// SPDX-License-Identifier: BSD-3-Clause
// Replay: does a finding still show, and is every answer to a script allowed?
//
// A path on the command line holds a finding, a script for a server, a case for a client (client_replay.h), or an input
// of a fuzz target, which is for another program (docs/decisions/0006). A server need not do the same twice, so a
// finding is tried several times before it counts as fixed.

#pragma once

#include <chrono>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "conformance/peer/target.h"
#include "engine/base/error.h"
#include "engine/script/script.h"
#include "fuzz/clients/client_case.h"
#include "fuzz/findings/finding.h"
#include "fuzz/live/run/live_server.h"

namespace nbdspec::fuzz {

// --- What to replay ---

struct FindingSubject {
  std::string path;  // Of its directory.
  Finding finding;
};

struct ScriptSubject {
  std::string path;
  engine::Script script = {};
  std::vector<std::string> header = {};  // Its comments: what, when, why it is right.
};

// What a client met, as a person wrote or edited it.
struct ClientCaseSubject {
  std::string path;
  ClientCase met = {};
};

struct TargetInput {
  std::string path;
  std::string target = {};  // "extent_map". Empty: nothing says of which target it is an input, or that it is one.
};

using ReplaySubject = std::variant<FindingSubject, ScriptSubject, ClientCaseSubject, TargetInput>;

// The paths to replay: `path` itself, or what the directory holds, sorted: its findings when it has some, else every
// file in it and below. Errors: it is not there, or nothing is in it.
std::expected<std::vector<std::string>, engine::Trouble> SubjectsIn(const std::string& path);

// Reads `path`. `for_server`: a script with requests is for a server, also where it is an input of a fuzz target.
// Errors: a sentence that says what it should have been.
std::expected<ReplaySubject, engine::Trouble> ReadSubject(const std::string& path, bool for_server);

// Says that `input`, and so many more of its target, is for another program. The line that does `what` ("replay") with
// it follows.
std::string DescribeInput(const TargetInput& input, const std::string& what, std::size_t more_count = 0);

// The command that replays `input`, and the one that makes it smaller.
std::string TargetReplayLine(const TargetInput& input);
std::string TargetShrinkLine(const TargetInput& input);

// The comments that stand before the first step of a script's text, its header aside, without "# ".
std::vector<std::string> CommentsOf(std::string_view text);

// The same script as text, with these comments again.
std::string PrintWithComments(const engine::Script& script, const std::vector<std::string>& comments);

// --- Replaying it ---

enum class ReplayVerdict {
  kPass,        // A script: every answer is allowed.
  kFail,        // A script: some answer is not.
  kReproduced,  // A finding: the same kind of failure, by the same rule.
  kFixed,       // A finding: every answer is allowed, however often it was tried.
  kWarning,     // A finding of an older nbdspec: the same shows, but the rule only warns a server.
  kDifferent,   // A finding: another failure shows.
  kUnusable,    // The target could not be started or entered, or there was no time to see what it does.
};
inline constexpr std::size_t kReplayVerdictCount = 7;
std::string_view Name(ReplayVerdict verdict);  // "REPRODUCED"

struct Replayed {
  ReplayVerdict verdict = ReplayVerdict::kPass;
  std::string now = {};              // What fails now; of kUnusable why.
  std::string note = {};             // What a reader should know besides; may be empty.
  Warnings warnings = {};            // Of a script.
  std::optional<Finding> seen = {};  // What fails now.
};

struct ReplayOptions {
  int tries = 3;  // Each on a fresh server.
  std::chrono::milliseconds time{
      0};  // For all of one; 0: no limit. An answer that is waited for takes its time besides.
  LiveOptions live = {};
};

Replayed ReplayFinding(conformance::Target& target, const Finding& finding, const ReplayOptions& options);
Replayed ReplayScript(conformance::Target& target, const engine::Script& script, const ReplayOptions& options);

// What `ran` shows as a finding, a public bug included; nothing when every answer is allowed.
std::optional<Finding> FindingOf(RunResult ran);

}  // namespace nbdspec::fuzz
