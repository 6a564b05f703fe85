// SPDX-License-Identifier: BSD-3-Clause
// Runs checks against a target and makes outcomes of what they find.
//
// Here a judgement becomes a verdict: what does not apply is never run, the level comes from the catalogue, whatever
// did not hold is run again on a fresh server before it is believed, and a server that died is seen.

#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "conformance/checks/check.h"
#include "conformance/peer/target.h"
#include "conformance/session/session.h"
#include "reports/model/run.h"

namespace nbdspec::conformance {

struct RunOptions {
  std::uint64_t seed = 0;
  int worker_count = 1;  // In [1, 64]. Each has a server of its own; more than 1 only where Target::IsOurs.
  Session::Limits limits = {};
  std::chrono::milliseconds case_timeout{10'000};
  std::chrono::milliseconds deadline{0};  // For the whole run; 0 for none.
  bool allow_write = false;               // To a server that nbdspec did not start.
  std::string version = {};
  std::string replay_flags = {};  // Added to each replay line: " --reply-timeout 500".
  const std::atomic<bool>* cancelled = nullptr;
  // Called with each outcome as soon as it is known, from one thread at a time.
  std::function<void(const reports::Outcome&)> on_outcome = {};
};

// Runs `checks` in order and returns everything there is to report, with `exit` set. Run::exit is kTargetUnusable,
// with Run::trouble, when the server could never be reached.
reports::Run RunChecks(Target& target, std::span<const Check> checks, const RunOptions& options);

}  // namespace nbdspec::conformance
