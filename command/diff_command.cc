// SPDX-License-Identifier: BSD-3-Clause
// `nbdspec diff`: what it prints, and its exit code. The work is in fuzz/live.

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "command/commands.h"
#include "command/interrupt.h"
#include "command/output_file.h"
#include "command/run_cli.h"
#include "engine/base/quoted.h"
#include "engine/wire/messages.h"
#include "fuzz/findings/read_file.h"
#include "fuzz/live/run/live_diff.h"
#include "reports/model/run.h"

namespace nbdspec::conformance {

namespace {

constexpr std::uint64_t kScriptBytesMax = std::uint64_t{64} << 20;

int Refuse(const std::string& sentence, int exit) {
  std::fputs(fmt::format("nbdspec: {}\n", sentence).c_str(), stderr);
  return exit;
}

std::expected<engine::Script, engine::Trouble> ReadScriptFile(const std::string& file) {
  const auto text = fuzz::ReadFile(file, kScriptBytesMax);
  return text ? engine::ParseScript(*text) : std::unexpected(text.error());
}

void Print(const fuzz::DiffReport& report, const DiffCommandOptions& options) {
  std::string text;
  for (const fuzz::Difference& each : report.differences) {
    text += fmt::format("{}  script {}: {}\n  A  {}\n  B  {}\n", Name(each.kind), each.script_number, each.step,
                        each.first, each.second);
  }
  text += fmt::format("A is {}, B is {}\n", options.targets[0], options.targets[1]);
  text += fmt::format("{} scripts, {} commands:", report.script_count, report.command_count);
  for (int kind = 0; kind < fuzz::kDifferenceKindCount; ++kind) {
    text += fmt::format("{} {} {}", kind == 0 ? "" : ",", report.counts[static_cast<std::size_t>(kind)],
                        Name(static_cast<fuzz::DifferenceKind>(kind)));
  }
  std::fputs((text + "\n").c_str(), stdout);
}

// docs/json.md describes it.
std::string JsonOf(const fuzz::DiffReport& report, const DiffCommandOptions& options, int exit) {
  using Json = nlohmann::ordered_json;
  Json counts;
  for (int kind = 0; kind < fuzz::kDifferenceKindCount; ++kind) {
    counts[Name(static_cast<fuzz::DifferenceKind>(kind))] = report.counts[static_cast<std::size_t>(kind)];
  }
  Json differences = Json::array();
  for (const fuzz::Difference& each : report.differences) {
    differences.push_back({{"kind", Name(each.kind)},
                           {"script", each.script_number},
                           {"step", each.step},
                           {"first", each.first},
                           {"second", each.second}});
  }
  const Json json = {{"format", 1},
                     {"tool", "nbdspec"},
                     {"version", kVersion},
                     {"targets", options.targets},
                     {"seed", options.seed},
                     {"scripts", report.script_count},
                     {"commands", report.command_count},
                     {"counts", counts},
                     {"differences", differences},
                     {"trouble", report.trouble ? report.trouble->sentence : ""},
                     {"exit", exit}};
  return json.dump(2, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace) + "\n";
}

int ExitOf(const fuzz::DiffReport& report) {
  if (report.count(fuzz::DifferenceKind::kSoundness) > 0 || report.count(fuzz::DifferenceKind::kDisconnect) > 0) {
    return reports::ExitCode::kFailure;
  }
  if (report.trouble) {
    return report.is_unusable ? reports::ExitCode::kTargetUnusable : reports::ExitCode::kOurError;
  }
  return InterruptSignal() != 0 ? 128 + InterruptSignal() : reports::ExitCode::kSuccess;
}

// Returns the exit code.
int Tell(const fuzz::DiffReport& report, const DiffCommandOptions& options) {
  const int exit = ExitOf(report);
  if (options.json != "-") {
    Print(report, options);
  }
  if (report.trouble) {
    Refuse(report.trouble->sentence, exit);
  }
  const int error = options.json.empty() ? 0 : WriteOutput(options.json, JsonOf(report, options, exit));
  return error == 0 ? exit
                    : Refuse("cannot write " + engine::Quoted(options.json, 200) + ": " +
                                 std::generic_category().message(error),
                             reports::ExitCode::kOurError);
}

}  // namespace

int DiffCommand(const DiffCommandOptions& options) {
  const auto first = TargetFromWord(options.targets[0], options.allow_write);
  const auto second = first ? TargetFromWord(options.targets[1], options.allow_write) : std::unexpected(first.error());
  if (!second) {
    return Refuse(second.error().sentence, reports::ExitCode::kUsage);
  }
  fuzz::DiffOptions diff{
      .seed = options.seed,
      .scripts_max = options.script_count,
      .steps_max = options.steps,
      .reply_timeout = std::chrono::milliseconds(static_cast<std::int64_t>(options.reply_timeout_s * 1000)),
      .cancelled = &Interrupted()};
  if (!options.script_file.empty()) {
    auto script = ReadScriptFile(options.script_file);
    if (!script) {
      return Refuse(script.error().sentence, reports::ExitCode::kUsage);
    }
    diff.script = *std::move(script);
  }
  CatchInterrupts();
  return Tell(fuzz::Diff(**first, **second, diff), options);
}

}  // namespace nbdspec::conformance
