// SPDX-License-Identifier: BSD-3-Clause
// Fuzzes a client: plays the server, which keeps the rules, with random truths and random oddities; runs the client;
// compares what it made with the truth.
//
// A finding is on the disk before anything else is done with it. Then the client meets the same again, alone: who hung,
// crashed or failed only once is not accused. Then it is made small. The same seed gives the same cases, whatever the
// machine; cases are put together in batches, so that it does not matter how many run at once.

#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "conformance/clients/named_clients.h"
#include "engine/base/error.h"
#include "engine/base/shard.h"
#include "fuzz/findings/finding.h"

namespace nbdspec::fuzz {

struct ClientFuzzReport {
  struct Found {
    Finding finding;
    std::string directory;  // Empty when findings are not saved.
  };
  std::vector<Found> findings;               // One of each key, with counts.
  std::uint64_t case_count = 0;              // Runs of a command, each on a case of its own.
  std::uint64_t done_count = 0;              // Of them: the client did what it was asked to, and rightly.
  std::uint64_t declined_count = 0;          // It failed where it may, for the server does not offer what it needs,
  std::uint64_t cannot_count = 0;            // or said that it cannot do this.
  std::uint64_t once_count = 0;              // Something but its bytes looked wrong, and when it was alone it did not.
  std::vector<std::uint64_t> unjudged = {};  // Cases that look like findings, and that our own client fails at, too.
  double seconds = 0;
  std::optional<engine::Trouble> trouble;  // What ended the run before its time, or why it shows nothing.
  bool is_unusable = false;                // No case was judged: `trouble` says why.
};

struct ClientFuzzOptions {
  std::uint64_t seed = 1;
  engine::Shard shard = {};                       // Of all cases, which this run has.
  std::uint64_t cases_max = 0;                    // Of all shards; 0: as many as the time allows.
  std::chrono::milliseconds time{0};              // 0: no limit. What was found last may take a tenth more.
  std::uint64_t align = 1;                        // Of sizes and edges: bytes. In [1, 2^20].
  bool tcp = false;                               // The client's commands connect by TCP: for the text of cases.
  bool tls = false;                               // Some cases are inside TLS, for commands that can play them.
  int worker_count = 1;                           // Clients at once. In [1, 64].
  std::chrono::milliseconds client_time{10'000};  // Of one run of a command; then it is stopped.
  int tries_max = 200;                            // Runs to make one finding small.
  std::chrono::milliseconds shrink_time{20'000};
  std::string findings_directory = {};  // Empty: findings are not saved.
  std::string replay_options = {};      // Of each finding, as is the next.
  std::string version = {};
  const std::atomic<bool>* cancelled = nullptr;
  // As FuzzOptions has them.
  std::function<void(const ClientFuzzReport& so_far)> on_cases = {};
  std::function<void(const Finding& finding, const std::string& directory)> on_saved = {};
  // `kept` is empty where it is no finding after all.
  std::function<void(const Finding& finding, const std::string& directory, const std::string& kept)> on_same = {};
  std::function<void(const Finding& finding, const std::string& directory)> on_finding = {};
};

ClientFuzzReport FuzzClient(const conformance::ClientUnderTest& client, const ClientFuzzOptions& options);

}  // namespace nbdspec::fuzz
