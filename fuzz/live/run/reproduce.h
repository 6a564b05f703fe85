// SPDX-License-Identifier: BSD-3-Clause
// Does a finding still show, and which is the smallest script that shows it? Every try runs on a fresh server.

#pragma once

#include <chrono>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "conformance/peer/target.h"
#include "engine/base/error.h"
#include "engine/script/script.h"
#include "fuzz/findings/finding.h"
#include "fuzz/live/run/live_server.h"

namespace nbdspec::fuzz {

// Whether `a` and `b` are of one kind and violate one rule, and no two assertions failed in them. The place may differ
// once a script is shorter.
bool IsSameFinding(const Finding& a, const Finding& b);

// The same requests, each after the answer to the one before: no two overlap in time.
engine::Script OneAtATime(engine::Script script);

// A script that may show a finding.
struct Attempt {
  engine::Script script;
  std::string how;  // What it does otherwise than the script of the finding; empty for that script.
};

// What to try in order to see `finding` again: its script, then all that was sent to that server, where that is known;
// `overlapping` as they are, `one_at_a_time` with the last steps of each, one request after the other.
struct Attempts {
  std::vector<Attempt> overlapping;
  std::vector<Attempt> one_at_a_time;
};
Attempts AttemptsOf(const Finding& finding);

// What a run shows, when `wanted` is looked for.
struct Shown {
  std::optional<Finding> wanted = {};
  std::optional<Finding> other = {};    // Another one, without a public name.
  std::optional<Warning> warning = {};  // Of the rule of `wanted`.
};
// Errors: as RunOnFreshServer.
std::expected<Shown, engine::Trouble> RunFor(const Finding& wanted, conformance::Target& target,
                                             const engine::Script& script, const LiveOptions& options);

// Whether the public bug that `finding` is called by shows on `target` when it is provoked, or, where no script
// provokes it everywhere, shows again as it did. Time: up to 20 seconds, or to the deadline of `options`.
bool ShowsKnownBug(conformance::Target& target, const Finding& finding, const LiveOptions& options);

struct ReproduceOptions {
  int tries_max = 200;
  std::chrono::milliseconds time{20000};
  LiveOptions live = {};
  // Called with the best so far, once it is known to show the same, and how many runs that took.
  std::function<void(const Finding& best, int tries)> on_smaller = {};
};

// `finding` as the smallest script found shows it; nothing when none of its attempts shows it.
std::optional<Finding> Reproduce(conformance::Target& target, const Finding& finding, const ReproduceOptions& options);

}  // namespace nbdspec::fuzz
