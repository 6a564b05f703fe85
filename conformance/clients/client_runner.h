// SPDX-License-Identifier: BSD-3-Clause
// Runs checks of clients: plays their scenarios, several at once, and makes one report of what is judged.

#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "conformance/clients/client_check.h"
#include "conformance/clients/client_way.h"
#include "reports/model/run.h"

namespace nbdspec::conformance {

struct ClientRunOptions {
  int worker_count = 1;                    // In [1, 64]. Each plays one scenario.
  std::chrono::milliseconds time{10'000};  // Of one run of a command; then it is stopped.
  std::chrono::milliseconds deadline{0};   // For the whole run; 0 for none.
  bool plays_again = true;                 // What did not hold.
  std::string version = {};
  std::string client_words = {};  // What names it on a command line.
  std::string description = {};
  const std::atomic<bool>* cancelled = nullptr;
  // Called with each outcome as soon as it is known, from one thread at a time.
  std::function<void(const reports::Outcome&)> on_outcome = {};
};

// Plays the scenarios of `checks`; where rules of the wire are among them and no check of a right server is, all of
// those. What did not hold is played again, and is flaky when it holds then. Run::exit is kTargetUnusable, with
// Run::trouble, where a command could not be run at all.
reports::Run RunClientChecks(const ClientWays& ways, std::span<const ClientCheck> checks,
                             const ClientRunOptions& options);

}  // namespace nbdspec::conformance
