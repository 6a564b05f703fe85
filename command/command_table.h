// SPDX-License-Identifier: BSD-3-Clause
// What the command line says, as plain data; the commands, which obey it; both as tables. To add a command: its row in
// Commands, its name in the rows of the options that it takes, and its function. To add an option: its row in
// AllOptions, and a member of Options; a format of reports is such an option.

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "command/output.h"
#include "engine/base/shard.h"
#include "reports/model/matrix.h"

namespace nbdspec::command {

// As --version prints it, and every report and finding: generated, see //command:version.
extern const char* const kVersion;

// Of the program, for --help.
inline constexpr char kAbout[] =
    "nbdspec: is what an NBD server says allowed by the truth and by the specification?\n"
    "Exit codes: 0 nothing wrong, 1 a failure, 2 usage, 3 the target could not be used, or not all of it, 5 nbdspec's "
    "own error.";

inline constexpr double kCheckReplyTimeoutSeconds = 2;  // Unless the command line says otherwise.

struct Options {
  std::vector<std::string> words = {};  // What has no name: [TARGET] [SELECT...], A B, FILE|DIR..., ID.

  // The server.
  std::string spawn = {};
  std::string export_name = {};
  std::vector<std::string> client_commands = {};
  bool listen = false;
  bool tcp = false;
  std::string client_name = {};   // Of replay, as is the next.
  std::string target = {};        // Of replay and shrink, in place of the recorded one.
  bool runs_its_command = false;  // The recorded one may be a command.
  bool allow_write = false;
  bool power_cut = false;
  bool tls = false;
  std::string tls_certificates = {};
  std::string tls_psk = {};
  std::string tls_hostname = {};
  bool extended = false;

  // How long, and how many.
  std::uint64_t seed = 1;
  double reply_timeout_s = 5;
  double case_timeout_s = 10;
  double deadline_s = 0;
  double time_s = 0;               // 0: no limit; when script_count is 0 too, a minute.
  std::uint64_t script_count = 0;  // 0: as many as the time allows.
  engine::Shard shard = {};
  int targets_at_once = 0;  // 0: as many as there are processors.
  int worker_count = 8;     // Checks mostly wait, so this does not depend on the processors there are.
  int steps = 64;
  int align = 1;  // Of what clients are given: bytes.
  int in_flight = 16;
  int connections = 4;
  int tries = 3;

  // What is read and written; "-" is standard output.
  std::string script_file = {};
  std::string again = {};
  std::string json_file = {};
  std::string junit_file = {};
  std::string tap_file = {};
  std::string markdown_file = {};
  std::string ndjson_file = {};
  std::string svg_file = {};
  std::string html_file = {};
  std::string findings = "nbdspec-findings";
  std::string corpus = {};
  std::string output = "-";

  std::vector<std::string> expected = {};  // Lists of expected failures.

  bool fail_fast = false;
  bool only_offered = false;
  bool only_fresh = false;
  bool coverage = false;
  bool faults = false;
  bool storage = false;
  bool untested = false;
  bool markdown = false;
  bool no_color = false;
  bool verbose = false;
  bool quiet = false;
};

// Each returns the exit code of the program.
ExitOrRefusal CheckCommand(const Options& options);
ExitOrRefusal ClientCommand(const Options& options);
ExitOrRefusal MatrixCommand(const Options& options);
ExitOrRefusal ExpectedCommand(const Options& options);
ExitOrRefusal ReportCommand(const Options& options);
ExitOrRefusal CompareCommand(const Options& options);
ExitOrRefusal CompletionCommand(const Options& options);
ExitOrRefusal ManCommand(const Options& options);
ExitOrRefusal MapCommand(const Options& options);
ExitOrRefusal ListCommand(const Options& options);
ExitOrRefusal ExplainCommand(const Options& options);
ExitOrRefusal CoverageCommand(const Options& options);
ExitOrRefusal SelfTestCommand(const Options& options);
ExitOrRefusal FuzzCommand(const Options& options);
ExitOrRefusal FuzzClientCommand(const Options& options);
ExitOrRefusal DiffCommand(const Options& options);
ExitOrRefusal ReplayCommand(const Options& options);
ExitOrRefusal ShrinkCommand(const Options& options);
ExitOrRefusal MergeCommand(const Options& options);

struct CommandRow {
  std::string_view name;
  const char* summary;
  const char* words = "";  // How its words are called where one is wrong.
  const char* usage = "";  // How help shows them.
  int words_min = 0;
  int words_max = 0;
  ExitOrRefusal (*run)(const Options& options) = nullptr;
  bool needs_descriptors = false;  // See NeedDescriptors; those without ask for what they need.
  Options defaults = {};
  const char* footer = "";
};

struct OptionRow {
  const char* name;           // "-v,--verbose".
  std::string_view commands;  // Their names, between blanks.
  const char* summary;
  std::variant<bool Options::*, int Options::*, double Options::*, std::uint64_t Options::*, std::string Options::*,
               std::vector<std::string> Options::*, engine::Shard Options::*>
      member;                // Of double: seconds.
  const char* value = "";    // How help shows the value of a string.
  double least = 0;          // Of a number.
  double most = 30 * 86400;  // Of int and double.
  // Of an option that names the file of a report: the functions that make it.
  std::string (*render)(const reports::Run& run) = nullptr;
  std::string (*render_matrix)(const reports::Matrix& matrix) = nullptr;
};

std::span<const CommandRow> Commands();
std::span<const OptionRow> AllOptions();

// In the order of AllOptions.
std::vector<OptionRow> OptionsOf(const CommandRow& command);

// "-v" and "--verbose" of "-v,--verbose".
std::vector<std::string> NamesOf(const OptionRow& option);

inline bool TakesValue(const OptionRow& option) { return !std::holds_alternative<bool Options::*>(option.member); }

}  // namespace nbdspec::command
