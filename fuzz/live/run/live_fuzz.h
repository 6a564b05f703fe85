// SPDX-License-Identifier: BSD-3-Clause
// Fuzzes a server: random scripts, one after the other, until the time or the number is used up.
//
// A finding is on the disk before anything else is done with it; then it is tried again on fresh servers and made
// small. The same found again is only counted. A server that ended, hung or lied is started again.

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "conformance/peer/target.h"
#include "engine/base/error.h"
#include "fuzz/findings/finding.h"
#include "fuzz/live/run/live_server.h"

namespace nbdspec::fuzz {

struct FuzzOptions {
  std::uint64_t seed = 1;
  std::uint64_t scripts_max = 0;      // 0: as many as the time allows.
  std::chrono::milliseconds time{0};  // 0: no limit.
  int steps_max = 64;
  bool only_offered = false;               // Ask for nothing that the server does not offer.
  int connections = 4;                     // Where the server offers multi-conn.
  std::uint64_t scripts_per_server = 500;  // Then a server of ours starts afresh.
  int tries_max = 200;                     // Runs to reproduce and shrink one finding.
  std::chrono::milliseconds shrink_time{20000};
  std::string findings_directory = {};  // Empty: nothing is kept.
  std::string replay_options = {};      // Of each finding, as is the next.
  std::string version = {};
  LiveOptions live = {};
  // Called after each script; with each new finding once it is on the disk; and again once more is known of it: it is
  // the same as the one in `kept`, and `directory` goes next, or it is one of its own.
  std::function<void(std::uint64_t scripts, std::uint64_t commands)> on_script = {};
  std::function<void(const Finding& finding, const std::string& directory)> on_saved = {};
  std::function<void(const Finding& finding, const std::string& directory, const std::string& kept)> on_same = {};
  std::function<void(const Finding& finding, const std::string& directory)> on_finding = {};
};

struct FuzzReport {
  struct Found {
    Finding finding;
    std::string directory;  // Empty when nothing is kept.
  };
  std::vector<Found> findings;  // One of each key, with counts. Also what has a public name.
  std::uint64_t script_count = 0;
  std::uint64_t command_count = 0;
  double seconds = 0;
  std::optional<engine::Trouble> trouble;  // What ended the run before its time.
  bool is_unusable = false;                // The trouble is the server's, which nothing could be asked.

  // Whether there is one without a public name.
  [[nodiscard]] bool HasNew() const;
};

// `target` may be written to: the caller has asked.
FuzzReport Fuzz(conformance::Target& target, const FuzzOptions& options);

// The same requests, each after the answer to the one before: no two overlap in time.
engine::Script OneAtATime(engine::Script script);

// Whether `a` and `b` are the same wrong; the place may differ once a script is shorter.
bool IsSameFinding(const Finding& a, const Finding& b);

// What `finding` shows, on fresh servers, with the smallest script found; nothing when it does not show there, not even
// after what was sent before, nor one request at a time (then of what was sent before only the last is tried).
// Takes at most options.tries_max runs and options.shrink_time.
std::optional<Finding> Reproduce(conformance::Target& target, const Finding& finding, const FuzzOptions& options);

}  // namespace nbdspec::fuzz
