// SPDX-License-Identifier: BSD-3-Clause
// Fuzzes a server: random scripts, one after the other, until the time or the number is used up. Scripts that brought
// new kinds of answers, edges of the server's code or kinds of operations at its disk are kept, and many of the others
// are changes of these (fuzz/live/learn).
//
// A finding is on the disk before anything else is done with it. It does not keep others from being found: fresh
// servers reproduce and minimise it at the end, or in a share of the time; what shows it comes more rarely (Suspects);
// the same found again is only counted. A server that ended, hung or failed is started again.

#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "conformance/peer/target.h"
#include "engine/base/error.h"
#include "engine/base/shard.h"
#include "fuzz/findings/finding.h"
#include "fuzz/live/coverage/edge_map.h"
#include "fuzz/live/learn/script_corpus.h"
#include "fuzz/live/run/live_server.h"
#include "fuzz/live/run/reproduce.h"

namespace nbdspec::fuzz {

struct FuzzReport {
  struct Found {
    Finding finding;
    std::string directory;  // Empty when findings are not saved.
  };
  std::vector<Found> findings;  // One of each key, with counts. Also what has a public name.
  Warnings warnings;
  std::uint64_t script_count = 0;  // With those of the corpus.
  std::uint64_t command_count = 0;
  std::uint64_t cut_count = 0;
  std::size_t kind_count = 0;          // Of answers: different signatures.
  std::size_t edge_count = 0;          // Of the server's code, with FuzzOptions::coverage.
  std::size_t storage_kind_count = 0;  // Of operations at the server's disk, with LiveOptions::power_cut.
  double seconds = 0;
  std::optional<engine::Trouble> trouble;  // What ended the run before its time.
  bool is_unusable = false;                // The server was not usable, or not any more: `trouble` says why.

  // Whether there is one without a public name.
  [[nodiscard]] bool HasNew() const {
    return std::ranges::any_of(findings, [](const Found& found) { return found.finding.known.empty(); });
  }
};

struct FuzzOptions {
  std::uint64_t seed = 1;
  engine::Shard shard = {};       // Of all scripts, which this run sends.
  std::uint64_t scripts_max = 0;  // Of all shards; 0: as many as the time allows.
  std::chrono::milliseconds time{
      0};  // 0: no limit. What was found last may take a tenth more, and one answer its time.
  int steps_max = 64;
  bool only_offered = false;               // Request nothing that the server does not offer.
  bool only_fresh = false;                 // Change no script: what is sent depends on no answer.
  bool only_bold = false;                  // What ends servers comes as often as all else: to see what that is worth.
  int connections = 4;                     // Where the server offers multi-conn.
  std::uint64_t scripts_per_server = 500;  // Then a server of ours starts afresh.
  int tries_max = 200;                     // Runs to reproduce and minimise one finding.
  std::chrono::milliseconds shrink_time{20000};
  EdgeMap* coverage = nullptr;  // What the server's code marks; a run ends when it does not. Null: that does not count.
  ScriptCorpus* corpus = nullptr;       // What to begin with, and where to keep what showed something new. May be null.
  std::string findings_directory = {};  // Empty: findings are not saved.
  std::string replay_options = {};      // Of each finding, as is the next.
  std::string version = {};
  LiveOptions live = {};
  // Called after each script, with what was counted until then; with each new finding once it is on the disk; and again
  // once it is minimised, or there is no time for that: it is the same as the one in `kept`, and `directory` is removed
  // next, or it is another one.
  std::function<void(const FuzzReport& so_far)> on_script = {};
  std::function<void(const Finding& finding, const std::string& directory)> on_saved = {};
  std::function<void(const Finding& finding, const std::string& directory, const std::string& kept)> on_same = {};
  std::function<void(const Finding& finding, const std::string& directory)> on_finding = {};
  // Called while a finding is minimised, with the smallest so far and how many runs that took.
  std::function<void(const Finding& best, int tries)> on_smaller = {};
};

// The caller may write to `target`.
FuzzReport Fuzz(conformance::Target& target, const FuzzOptions& options);

}  // namespace nbdspec::fuzz
