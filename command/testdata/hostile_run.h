// SPDX-License-Identifier: BSD-3-Clause
// Runs the real program in surroundings that may be hostile, and looks at how it ended and what it left.

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "conformance/peer/testdata/shell_run.h"

namespace nbdspec::command {

using Ended = conformance::ShellRun;
using conformance::Moment;

inline constexpr const char* kHurried = "100ms";
inline constexpr const char* kPatient = "60s";  // Of a right server, which never takes that long.

// Each has a directory of its own, which is TMPDIR too.
class HostileRun {
 public:
  HostileRun();
  ~HostileRun();
  HostileRun(const HostileRun&) = delete;
  HostileRun& operator=(const HostileRun&) = delete;

  [[nodiscard]] std::string tmpdir() const { return directory_ + "/t"; }
  // A path in a directory for what the program is to write.
  [[nodiscard]] std::string Out(const std::string& name) const { return directory_ + "/out/" + name; }

  // As --spawn and --target take it: the faulty server with this in its fault file, started by way of hostile_server
  // with these words.
  std::string Server(const std::string& fault, const std::string& hostile_words = "");
  // A script of a few requests, which shows that writes are forgotten.
  [[nodiscard]] std::string Script() const;
  // The words of one of TalkingCommands() or PowerCutCommands() for a server as --spawn takes it, or "reference": a
  // short run that writes every report. `patience` is how long a reply may take.
  [[nodiscard]] std::string WordsFor(const std::string& command, const std::string& server,
                                     const std::string& patience = kHurried) const;

  // From now on so much memory more may be used than is said of every run.
  void MayHold(std::uint64_t bytes) { bytes_more_ = bytes; }

  // Runs `before` and then `nbdspec WORDS` in a shell, to its end: that it ends is awaited for minutes. Expects an exit
  // code among `exits`, or what the signal gives; and what is said of every run: no process and no file is left, each
  // report is whole or absent, nothing that was written controls a terminal, and little memory was used.
  Ended Run(const std::string& words, const std::set<int>& exits, const std::string& before = "",
            std::optional<Moment> moment = {});

 private:
  void ExpectNothingLeft(const Ended& ended) const;
  void ExpectWholeReports(const Ended& ended, bool was_killed) const;

  std::string directory_;
  int server_count_ = 0;
  std::uint64_t bytes_more_ = 0;
};

// Does each with a HostileRun of its own, many at once: most of their time are waits.
void DoAll(const std::vector<std::function<void(HostileRun&)>>& all);

// The commands that talk to a server.
std::vector<std::string> TalkingCommands();

// Those that cut its power, and start it again on what that left; it need not use its disk.
std::vector<std::string> PowerCutCommands();
// The command of --spawn with a disk of nbdspec's, whose power can be cut.
std::string OnDisk(const std::string& server);

// Every nth of what could be tried, as a slow build has time for: NBDSPEC_SURROUNDINGS_STEP.
std::size_t SurroundingsStep();

}  // namespace nbdspec::command
