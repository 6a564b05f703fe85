// SPDX-License-Identifier: BSD-3-Clause
// Replay: does what was found still show? On a server for findings and scripts, in this process for corpus files.
//
// A server need not do the same twice, so a finding is tried several times before it counts as fixed.

#pragma once

#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "conformance/peer/target.h"
#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "engine/script/script.h"
#include "fuzz/findings/finding.h"
#include "fuzz/live/run/live_fuzz.h"
#include "fuzz/replay/replay_subject.h"

namespace nbdspec::fuzz {

enum class ReplayVerdict {
  kPass,        // A corpus file or a script: nothing is wrong.
  kFail,        // The same: something is.
  kReproduced,  // A finding: the same kind of wrong, of the same rule.
  kFixed,       // Nothing is wrong, however often it was tried.
  kDifferent,   // Something else is wrong.
  kUnusable,    // The target could not be started or entered.
};
std::string_view Name(ReplayVerdict verdict);  // "REPRODUCED"

struct Replayed {
  ReplayVerdict verdict = ReplayVerdict::kPass;
  std::string now = {};   // What is wrong now; of kUnusable why.
  std::string note = {};  // What a reader should know besides; may be empty.
};

struct ReplayOptions {
  int tries = 3;  // Of a finding, each on a fresh server.
  LiveOptions live = {};
};

// "wrong-data of transmission.read.data: expected ...; saw ...".
std::string WrongText(const Finding& finding);

Replayed ReplayFinding(conformance::Target& target, const Finding& finding, const ReplayOptions& options);

// Range: a corpus subject whose target is linked, or a script, which goes through the map and the oracle.
// Errors: the input is no text of its target's.
std::expected<Replayed, engine::Trouble> ReplayInput(const CorpusSubject& subject);

Replayed ReplayScript(conformance::Target& target, const engine::Script& script, const ReplayOptions& options);

// --- Smaller ---

struct Shrunk {
  engine::Script script;  // What it is now, unless bytes.
  engine::Bytes bytes;    // Of a target that takes bytes.
  std::string wrong;      // What it still shows.
};

// What `script` shows on `target`, as a finding to be shrunk; nothing when nothing is wrong.
// Errors: the target is not usable.
std::expected<std::optional<Finding>, engine::Trouble> FindingOf(conformance::Target& target,
                                                                 const engine::Script& script,
                                                                 const ReplayOptions& options);

// A smaller input that its target still refuses. Nothing when it passes. The same input gives the same result.
// Errors: as ReplayInput.
std::expected<std::optional<Shrunk>, engine::Trouble> ShrinkInput(const CorpusSubject& subject);

}  // namespace nbdspec::fuzz
