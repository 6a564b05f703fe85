// SPDX-License-Identifier: BSD-3-Clause
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "command/commands.h"
#include "command/interrupt.h"
#include "command/output_file.h"
#include "command/run_cli.h"
#include "command/selection.h"
#include "conformance/runner/runner.h"
#include "engine/base/quoted.h"
#include "engine/wire/messages.h"
#include "reports/model/run.h"
#include "reports/render/render.h"

namespace nbdspec::conformance {

namespace {

constexpr int kWorkerCount = 4;  // Checks mostly wait, so this does not depend on the processors there are.

std::chrono::milliseconds FromSeconds(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(std::ceil(seconds * 1000)));  // 0 would be no limit.
}

// The reports of a run that go to files.
class Reports {
 public:
  explicit Reports(const CheckOptions& options) : options_(options) {}

  // What has been found so far goes to the disk at once, marked as unfinished. Errors: a sentence; empty for none.
  std::string WriteUnfinished(const reports::Run& run) {
    return Write(run, [](const std::string& file) { return file != "-" && IsPlain(file); });
  }

  std::string Write(const reports::Run& run) {
    return Write(run, [](const std::string&) { return true; });
  }

 private:
  // Writes those files that are `wanted`, each even if another cannot be.
  std::string Write(const reports::Run& run, bool (*wanted)(const std::string&)) {
    std::string trouble;
    for (const auto& [file, render] : {std::pair{&options_.json_file, &reports::RenderJson},
                                       std::pair{&options_.junit_file, &reports::RenderJunit}}) {
      if (file->empty() || !wanted(*file)) {
        continue;
      }
      if (const int error = WriteOutput(*file, render(run)); error != 0) {
        trouble = fmt::format("cannot write {}: {}; name a file in a directory that may be written to",
                              *file == "-" ? "standard output" : engine::Quoted(*file, 200),
                              std::generic_category().message(error));
      }
    }
    return trouble;
  }

  const CheckOptions& options_;
};

RunOptions RunOptionsFrom(const CheckOptions& options) {
  RunOptions run{.seed = options.seed,
                 .worker_count = options.worker_count,
                 .case_timeout = FromSeconds(options.case_timeout_s),
                 .deadline = FromSeconds(options.deadline_s),
                 .allow_write = options.allow_write,
                 .version = kVersion,
                 .cancelled = &Interrupted()};
  run.limits.reply_timeout = FromSeconds(options.reply_timeout_s);
  if (run.worker_count == 0) {
    run.worker_count = kWorkerCount;
  }
  const CheckOptions defaults;
  const auto add = [&](bool differs, const std::string& flag) { run.replay_flags += differs ? " " + flag : ""; };
  add(options.reply_timeout_s != defaults.reply_timeout_s, fmt::format("--reply-timeout {}", options.reply_timeout_s));
  add(options.case_timeout_s != defaults.case_timeout_s, fmt::format("--case-timeout {}", options.case_timeout_s));
  add(options.allow_write, "--allow-write");
  return run;
}

void ShowProgress(std::size_t done, std::size_t all, const std::string& id) {
  if (::isatty(STDERR_FILENO) == 1) {
    const std::string line = fmt::format("\r\x1b[K[{}/{}] {}{}", done, all, id, done == all ? "\r\x1b[K" : "");
    std::fputs(line.c_str(), stderr);  // Not fmt::print, which throws: the terminal may be gone.
  }
}

int Refuse(const std::string& sentence, int exit) {
  std::fputs(fmt::format("nbdspec: {}\n", sentence).c_str(), stderr);
  return exit;
}

// Returns 0, or the errno that says why it cannot be printed.
int Print(const reports::Run& run, const CheckOptions& options) {
  const bool takes_stdout = options.json_file == "-" || options.junit_file == "-";
  std::string text =
      reports::RenderText(run, {.color = UseColor(options.no_color) && !takes_stdout, .verbose = options.verbose});
  if (options.quiet) {
    const std::size_t last = text.find_last_of('\n', text.size() - 2);
    text.erase(0, last == std::string::npos ? 0 : last + 1);
  }
  const int error = WriteTo(takes_stdout ? stderr : stdout, text);
  return error == EPIPE ? 0 : error;  // Who reads only the beginning has read enough.
}

}  // namespace

int CheckCommand(CheckOptions options) {
  if (!options.json_file.empty() && options.json_file == options.junit_file) {
    return Refuse("--json and --junit name the same file: give each its own", reports::ExitCode::kUsage);
  }
  auto target = TakeTarget(options);
  if (!target) {
    return Refuse(target.error().sentence, reports::ExitCode::kUsage);
  }
  const auto checks = SelectChecks(options.words);
  if (!checks) {
    return Refuse(checks.error().sentence, reports::ExitCode::kUsage);
  }
  CatchInterrupts();
  Reports reports(options);
  RunOptions run_options = RunOptionsFrom(options);
  reports::Run so_far{.version = kVersion,
                      .seed = options.seed,
                      .target = (*target)->CommandLine(),
                      .trouble = "the run is not finished",
                      .exit = reports::ExitCode::kOurError};
  if (const std::string trouble = reports.WriteUnfinished(so_far); !trouble.empty()) {
    return Refuse(trouble, reports::ExitCode::kUsage);  // Before anything is found that could be lost.
  }
  run_options.on_outcome = [&](const reports::Outcome& outcome) {
    so_far.outcomes.push_back(outcome);
    if (outcome.verdict != reports::Verdict::kPass && outcome.verdict != reports::Verdict::kNotApplicable) {
      reports.WriteUnfinished(so_far);
    }
    ShowProgress(so_far.outcomes.size(), checks->size(), outcome.id);
  };
  reports::Run run = RunChecks(**target, *checks, run_options);
  if (InterruptSignal() != 0) {
    run.exit = 128 + InterruptSignal();
  }
  const std::string trouble = reports.Write(run);
  const int error = Print(run, options);
  if (!trouble.empty()) {
    return Refuse(trouble, reports::ExitCode::kOurError);
  }
  return error == 0 ? run.exit
                    : Refuse("cannot print the report: " + std::generic_category().message(error),
                             reports::ExitCode::kOurError);
}

}  // namespace nbdspec::conformance
