// SPDX-License-Identifier: BSD-3-Clause
// Runs a program for tests, sends it a signal when that is asked for, and tells how it ended and what it took.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace nbdspec::conformance {

// A signal to the program, so long after its start.
struct Moment {
  int signal_number = 0;
  std::chrono::microseconds after{0};
};

struct ShellRun {
  std::string line;
  std::string output;              // Both outputs.
  int exit = -1;                   // As a shell has it.
  bool has_ended = true;           // Within `patience`; else it was killed then.
  bool was_signalled = false;      // By Moment.
  bool is_killed = false;          // By a signal, and did not exit.
  std::uint64_t memory_bytes = 0;  // The most that it, or a process that it waited for, had resident.

  [[nodiscard]] bool Says(const std::string& text) const { return output.contains(text); }
};

// `line` in a shell, which is to end with "exec PROGRAM", without standard input.
ShellRun RunInShell(const std::string& line, const std::optional<Moment>& moment, std::chrono::milliseconds patience);

}  // namespace nbdspec::conformance
