// SPDX-License-Identifier: BSD-3-Clause
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "command/commands.h"
#include "command/interrupt.h"
#include "command/live_command.h"
#include "command/output.h"
#include "command/selection.h"
#include "command/targets.h"
#include "conformance/runner/runner.h"
#include "reports/model/run.h"
#include "reports/render/render.h"

namespace nbdspec::command {

namespace {

// The reports of a run that go to files.
class Reports {
 public:
  explicit Reports(const Options& options) : options_(options) {}

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
      if (std::string why = WriteOutput(*file, render(run)); !why.empty()) {
        trouble = std::move(why);
      }
    }
    return trouble;
  }

  const Options& options_;
};

conformance::RunOptions RunOptionsFrom(const Options& options) {
  conformance::RunOptions run{.seed = options.seed,
                              .worker_count = options.worker_count,
                              .case_timeout = FromSeconds(options.case_timeout_s),
                              .deadline = FromSeconds(options.deadline_s),
                              .allow_write = options.allow_write,
                              .version = kVersion,
                              .cancelled = &Interrupted()};
  run.limits.reply_timeout = FromSeconds(options.reply_timeout_s);
  const Options defaults{.reply_timeout_s = kCheckReplyTimeoutSeconds};
  const auto add = [&](bool differs, const std::string& flag) { run.replay_flags += differs ? " " + flag : ""; };
  add(options.reply_timeout_s != defaults.reply_timeout_s, fmt::format("--reply-timeout {}", options.reply_timeout_s));
  add(options.case_timeout_s != defaults.case_timeout_s, fmt::format("--case-timeout {}", options.case_timeout_s));
  add(options.allow_write, "--allow-write");
  return run;
}

// Returns 0, or the errno that says why it cannot be printed.
int PrintReport(const reports::Run& run, const Options& options) {
  const bool takes_stdout = options.json_file == "-" || options.junit_file == "-";
  std::string text =
      reports::RenderText(run, {.color = UseColor(options.no_color) && !takes_stdout, .verbose = options.verbose});
  if (options.quiet) {
    const std::size_t last = text.find_last_of('\n', text.size() - 2);
    text.erase(0, last == std::string::npos ? 0 : last + 1);
  }
  const int error = WriteTo(takes_stdout ? stderr : stdout, text);
  return error == EPIPE ? 0 : error;  // A reader who closed the pipe has read enough.
}

}  // namespace

int CheckCommand(const Options& given) {
  Options options = given;
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
  conformance::RunOptions run_options = RunOptionsFrom(options);
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
    const std::size_t done = so_far.outcomes.size();
    ShowProgress(done == checks->size() ? "" : fmt::format("[{}/{}] {}", done, checks->size(), outcome.id));
  };
  reports::Run run = conformance::RunChecks(**target, *checks, run_options);
  if (InterruptSignal() != 0) {
    run.exit = 128 + InterruptSignal();
  }
  const std::string trouble = reports.Write(run);
  const int error = PrintReport(run, options);
  if (!trouble.empty()) {
    return Refuse(trouble, reports::ExitCode::kOurError);
  }
  return error == 0 ? run.exit
                    : Refuse("cannot print the report: " + std::generic_category().message(error),
                             reports::ExitCode::kOurError);
}

}  // namespace nbdspec::command
