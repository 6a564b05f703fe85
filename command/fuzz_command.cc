// SPDX-License-Identifier: BSD-3-Clause
// `nbdspec fuzz`: what it prints, and its exit code. The work is in fuzz/live.

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <utility>

#include "command/commands.h"
#include "command/interrupt.h"
#include "command/run_cli.h"
#include "fuzz/live/run/live_fuzz.h"
#include "reports/model/run.h"

namespace nbdspec::conformance {

namespace {

constexpr double kDefaultSeconds = 60;

std::chrono::milliseconds FromSeconds(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

int Refuse(const std::string& sentence, int exit) {
  std::fputs(fmt::format("nbdspec: {}\n", sentence).c_str(), stderr);
  return exit;
}

void ShowProgress(std::uint64_t scripts, std::uint64_t commands) {
  constexpr std::uint64_t kShowEvery = 64;
  if (scripts % kShowEvery == 0 && ::isatty(STDERR_FILENO) == 1) {
    std::fputs(fmt::format("\r\x1b[K{} scripts, {} commands", scripts, commands).c_str(), stderr);
  }
}

std::string TextOf(const fuzz::Finding& finding, const std::string& directory) {
  std::string text = fmt::format("{}  {}{}\n", finding.known.empty() ? "FOUND" : "known", KeyOf(finding),
                                 finding.known.empty() ? "" : "  (" + finding.known + ")");
  text += fmt::format("  expected  {}\n  saw       {}\n", finding.expected, finding.saw);
  if (!finding.server_ended.empty()) {
    text += fmt::format("  server    {}\n", finding.server_ended);
  }
  if (finding.known.empty()) {
    text += fmt::format("  script    {} steps, {}\n", finding.script.steps.size(), Name(finding.state));
  }
  if (!directory.empty()) {
    text += fmt::format("  kept in   {}\n  replay    {}\n", directory, ReplayLine(finding, directory));
  }
  return text;
}

void Print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

// What `nbdspec replay` does otherwise by itself. The connections are in the script.
std::string ReplayOptionsFrom(const FuzzCommandOptions& options) {
  const ReplayCommandOptions by_itself;
  std::string words;
  if (options.in_flight != by_itself.in_flight) {
    words += fmt::format(" --in-flight {}", options.in_flight);
  }
  if (options.reply_timeout_s != by_itself.reply_timeout_s) {
    words += fmt::format(" --reply-timeout {}s", options.reply_timeout_s);
  }
  if (options.target.allow_write) {
    words += " --allow-write";
  }
  return words.empty() ? "" : words.substr(1);
}

fuzz::FuzzOptions FuzzOptionsFrom(const FuzzCommandOptions& options) {
  fuzz::FuzzOptions fuzz{.seed = options.seed,
                         .scripts_max = options.script_count,
                         .time = FromSeconds(options.time_s),
                         .steps_max = options.steps,
                         .only_offered = options.only_offered,
                         .connections = options.connections,
                         .findings_directory = options.findings,
                         .replay_options = ReplayOptionsFrom(options),
                         .version = kVersion,
                         .live = {.in_flight = options.in_flight,
                                  .reply_timeout = FromSeconds(options.reply_timeout_s),
                                  .cancelled = &Interrupted()}};
  if (options.script_count == 0 && options.time_s == 0) {
    fuzz.time = FromSeconds(kDefaultSeconds);
  }
  fuzz.on_script = ShowProgress;
  fuzz.on_saved = [](const fuzz::Finding& finding, const std::string& directory) {
    Print(fmt::format("saved  {}  {}\n", KeyOf(finding), directory));
  };
  fuzz.on_same = [](const fuzz::Finding& finding, const std::string& directory, const std::string& kept) {
    Print(fmt::format("same   {}  {}, as {}\n", KeyOf(finding), directory, kept));
  };
  fuzz.on_finding = [](const fuzz::Finding& finding, const std::string& directory) {
    Print(TextOf(finding, directory));
  };
  return fuzz;
}

void PrintSummary(const fuzz::FuzzReport& report, const FuzzCommandOptions& options) {
  std::string text;
  std::size_t new_count = 0;
  for (const auto& found : report.findings) {
    new_count += found.finding.known.empty() ? 1 : 0;
    if (found.finding.count > 1) {
      text += fmt::format("{} times: {}\n", found.finding.count,
                          found.finding.known.empty() ? KeyOf(found.finding) : found.finding.known);
    }
  }
  text += fmt::format("seed {}: {} scripts, {} commands in {:.1f} s ({:.0f}/s); {} found", options.seed,
                      report.script_count, report.command_count, report.seconds,
                      report.seconds > 0 ? static_cast<double>(report.command_count) / report.seconds : 0.0, new_count);
  text += fmt::format(", {} known\n", report.findings.size() - new_count);
  Print(text);
}

}  // namespace

int FuzzCommand(FuzzCommandOptions options) {
  if (options.target.words.empty() && options.target.spawn.empty()) {
    return Refuse("fuzz needs a TARGET: a server by name, a URI, or --spawn COMMAND", reports::ExitCode::kUsage);
  }
  const auto target = TakeTarget(options.target);
  if (!target) {
    return Refuse(target.error().sentence, reports::ExitCode::kUsage);
  }
  if (!options.target.words.empty()) {
    return Refuse("there is no server " + options.target.words.front() + "; `nbdspec check --help` names them",
                  reports::ExitCode::kUsage);
  }
  if (!(*target)->IsOurs() && !options.target.allow_write) {
    return Refuse("fuzzing overwrites the export at " + (*target)->Describe() + ": pass --allow-write to permit this",
                  reports::ExitCode::kUsage);
  }
  CatchInterrupts();
  const fuzz::FuzzReport report = fuzz::Fuzz(**target, FuzzOptionsFrom(options));
  if (::isatty(STDERR_FILENO) == 1) {
    std::fputs("\r\x1b[K", stderr);
  }
  PrintSummary(report, options);
  if (report.trouble) {
    const int exit = report.is_unusable ? reports::ExitCode::kTargetUnusable : reports::ExitCode::kOurError;
    return Refuse(report.trouble->sentence, report.HasNew() ? reports::ExitCode::kFailure : exit);
  }
  if (InterruptSignal() != 0) {
    return 128 + InterruptSignal();
  }
  return report.HasNew() ? reports::ExitCode::kFailure : reports::ExitCode::kSuccess;
}

}  // namespace nbdspec::conformance
