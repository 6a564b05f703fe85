// SPDX-License-Identifier: BSD-3-Clause
// What the command line can say, as plain data.

#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "conformance/peer/target.h"
#include "engine/base/error.h"

namespace nbdspec::conformance {

struct CheckOptions {
  std::vector<std::string> words = {};  // [TARGET] [SELECT...]
  std::string spawn = {};
  std::string export_name = {};
  std::string json_file = {};
  std::string junit_file = {};
  std::uint64_t seed = 1;
  int worker_count = 0;  // 0: the default.
  double reply_timeout_s = 2;
  double case_timeout_s = 10;
  double deadline_s = 0;
  bool allow_write = false;
  bool no_color = false;
  bool verbose = false;
  bool quiet = false;
};

struct ListOptions {
  std::vector<std::string> select = {};
  bool faults = false;
};

struct CoverageOptions {
  bool untested = false;
  bool markdown = false;
};

struct SelfTestOptions {
  std::string prefix = {};
  std::uint64_t seed = 1;
  bool no_color = false;
};

struct FuzzCommandOptions {
  CheckOptions target = {};  // words, spawn, export_name and allow_write name it.
  std::string findings = "nbdspec-findings";
  std::uint64_t seed = 1;
  std::uint64_t script_count = 0;  // 0: until the time is over.
  double time_s = 0;               // 0: no limit; when neither is given, a minute.
  double reply_timeout_s = 5;
  int steps = 64;
  int in_flight = 16;
  int connections = 4;
  bool only_offered = false;
};

struct DiffCommandOptions {
  std::vector<std::string> targets = {};  // Two: as TakeTarget has them, or a command with {socket}.
  std::string script_file = {};
  std::string json = {};  // Where to write the report for programs; "-" is standard output.
  std::uint64_t seed = 1;
  std::uint64_t script_count = 100;
  double reply_timeout_s = 5;
  int steps = 32;
  bool allow_write = false;
};

struct ReplayCommandOptions {
  std::vector<std::string> paths = {};
  std::string target = {};  // As TargetFromWord has it; empty: the finding's own.
  std::string as = {};      // The fuzz target whose input it is; empty: by its folder.
  double reply_timeout_s = 5;
  int in_flight = 16;
  int tries = 3;
  bool allow_write = false;
  bool verbose = false;
};

struct ShrinkCommandOptions {
  ReplayCommandOptions subject = {};  // One path; tries is how many runs at most.
  std::string output = "-";
};

// Whether to write colour to standard output: it is a terminal, NO_COLOR is not set, and `refused` is false.
bool UseColor(bool refused);

// The target that the words name, taken off their front, or the reference server when they name none.
// Errors: a malformed URI, a spawn command that cannot work, more than one server named.
std::expected<std::unique_ptr<Target>, engine::Trouble> TakeTarget(CheckOptions& options);

// The target that one word names: a server by name, a URI, or a command with {socket} in it.
// Errors: as TakeTarget; it is none; it may be written to only with --allow-write, and `allow_write` is false.
std::expected<std::unique_ptr<Target>, engine::Trouble> TargetFromWord(const std::string& word, bool allow_write);

// The target that Target::CommandLine() wrote. Errors: as TargetFromWord.
std::expected<std::unique_ptr<Target>, engine::Trouble> TargetFromCommandLine(const std::string& line,
                                                                              bool allow_write);

}  // namespace nbdspec::conformance
