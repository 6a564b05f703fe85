// SPDX-License-Identifier: BSD-3-Clause
// `nbdspec diff`: what it prints, and its exit code. The work is in fuzz/live.

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <utility>

#include "conformance/cli/commands.h"
#include "conformance/cli/interrupt.h"
#include "engine/wire/messages.h"
#include "fuzz/live/live_diff.h"
#include "reports/model/run.h"

namespace nbdspec::conformance {

namespace {

int Refuse(const std::string& sentence, int exit) {
  std::fputs(fmt::format("nbdspec: {}\n", sentence).c_str(), stderr);
  return exit;
}

std::expected<std::unique_ptr<Target>, engine::Trouble> TargetFor(const std::string& word, bool allow_write) {
  CheckOptions options;
  if (word.find("{socket}") != std::string::npos) {
    options.spawn = word;
  } else {
    options.words = {word};
  }
  auto target = TakeTarget(options);
  if (target && !options.words.empty()) {
    return std::unexpected(
        engine::Trouble{"there is no server " + engine::Quoted(word, 200) + "; `nbdspec diff --help` names them"});
  }
  if (target && !(*target)->IsOurs() && !allow_write) {
    return std::unexpected(engine::Trouble{"a script overwrites the export at " + (*target)->Describe() +
                                           ": say --allow-write if it may"});
  }
  return target;
}

std::expected<engine::Script, engine::Trouble> ReadScriptFile(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    return std::unexpected(engine::Trouble{"cannot read the script " + engine::Quoted(file, 200)});
  }
  return engine::ParseScript(std::string{std::istreambuf_iterator<char>(stream), {}});
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

}  // namespace

int DiffCommand(const DiffCommandOptions& options) {
  const auto first = TargetFor(options.targets[0], options.allow_write);
  const auto second = first ? TargetFor(options.targets[1], options.allow_write) : std::unexpected(first.error());
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
  const fuzz::DiffReport report = fuzz::Diff(**first, **second, diff);
  Print(report, options);
  const bool is_bad =
      report.count(fuzz::DifferenceKind::kSoundness) > 0 || report.count(fuzz::DifferenceKind::kDisconnect) > 0;
  if (report.trouble) {
    const int exit = report.is_unusable ? reports::ExitCode::kTargetUnusable : reports::ExitCode::kOurError;
    return Refuse(report.trouble->sentence, is_bad ? reports::ExitCode::kNewFailure : exit);
  }
  if (InterruptSignal() != 0) {
    return 128 + InterruptSignal();
  }
  return is_bad ? reports::ExitCode::kNewFailure : reports::ExitCode::kNothingNew;
}

}  // namespace nbdspec::conformance
