// SPDX-License-Identifier: BSD-3-Clause
// Replay: does a finding still show, and is every answer to a script allowed?
//
// A server need not do the same twice, so a finding is tried several times before it counts as fixed.

#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "conformance/peer/target.h"
#include "engine/base/error.h"
#include "engine/script/script.h"
#include "fuzz/findings/finding.h"
#include "fuzz/live/run/live_server.h"

namespace nbdspec::fuzz {

enum class ReplayVerdict {
  kPass,        // A script: every answer is allowed.
  kFail,        // A script: some answer is not.
  kReproduced,  // A finding: the same kind of failure, by the same rule.
  kFixed,       // A finding: every answer is allowed, however often it was tried.
  kWarning,     // A finding of an older nbdspec: the same shows, but the rule only warns a server.
  kDifferent,   // A finding: another failure shows.
  kUnusable,    // The target could not be started or entered.
};
inline constexpr std::size_t kReplayVerdictCount = 7;
std::string_view Name(ReplayVerdict verdict);  // "REPRODUCED"

struct Replayed {
  ReplayVerdict verdict = ReplayVerdict::kPass;
  std::string now = {};    // What fails now; of kUnusable why.
  std::string note = {};   // What a reader should know besides; may be empty.
  Warnings warnings = {};  // Of a script.
};

struct ReplayOptions {
  int tries = 3;  // Of a finding, each on a fresh server.
  LiveOptions live = {};
};

Replayed ReplayFinding(conformance::Target& target, const Finding& finding, const ReplayOptions& options);
Replayed ReplayScript(conformance::Target& target, const engine::Script& script, const ReplayOptions& options);

// What `ran` shows as a finding, a public bug included; nothing when every answer is allowed.
std::optional<Finding> FindingOf(RunResult ran);

}  // namespace nbdspec::fuzz
