// SPDX-License-Identifier: BSD-3-Clause
// `nbdspec check`: the checks on a server.

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "command/command_table.h"
#include "command/output.h"
#include "command/progress.h"
#include "command/selection.h"
#include "command/servers.h"
#include "conformance/peer/process/process.h"
#include "conformance/runner/runner.h"
#include "engine/base/or_return.h"
#include "engine/base/quoted.h"
#include "reports/model/run.h"
#include "reports/render/render.h"

namespace nbdspec::command {

namespace {

// Writes the reports of a run that go to files, each even if another cannot be written. Errors: a sentence.
std::expected<void, std::string> WriteReports(const reports::Run& run, const Options& options, bool is_finished) {
  std::expected<void, std::string> written;
  for (const auto& [file, render] :
       {std::pair{options.json_file, &reports::RenderJson}, std::pair{options.junit_file, &reports::RenderJunit}}) {
    // What has been found so far goes only to files that can be replaced.
    const bool is_wanted = !file.empty() && (is_finished || (file != "-" && IsPlain(file)));
    if (std::string why = is_wanted ? WriteOutput(file, render(run)) : ""; !why.empty()) {
      written = std::unexpected(std::move(why));
    }
  }
  return written;
}

conformance::RunOptions RunOptionsFrom(const Options& options) {
  conformance::RunOptions run{.seed = options.seed,
                              .worker_count = options.worker_count,
                              .case_timeout = FromSeconds(options.case_timeout_s),
                              .deadline = FromSeconds(options.deadline_s),
                              .allow_write = options.allow_write,
                              .extended = options.extended,
                              .version = kVersion,
                              .cancelled = &Interrupted()};
  run.limits.reply_timeout = FromSeconds(options.reply_timeout_s);
  const Options defaults{.reply_timeout_s = kCheckReplyTimeoutSeconds};
  const auto add = [&](bool differs, const std::string& flag) { run.replay_flags += differs ? " " + flag : ""; };
  add(options.reply_timeout_s != defaults.reply_timeout_s, fmt::format("--reply-timeout {}", options.reply_timeout_s));
  add(options.case_timeout_s != defaults.case_timeout_s, fmt::format("--case-timeout {}", options.case_timeout_s));
  add(options.allow_write, "--allow-write");
  add(options.power_cut, "--power-cut");
  add(options.extended, "--extended");
  add(options.tls, "--tls");
  for (const auto& [flag, value] : {std::pair{"--tls-certificates", &options.tls_certificates},
                                    {"--tls-psk", &options.tls_psk},
                                    {"--tls-hostname", &options.tls_hostname}}) {
    add(!value->empty(), fmt::format("{} {}", flag, conformance::QuoteWord(*value)));
  }
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

ExitOrRefusal CheckCommand(const Options& given) {
  Options options = given;
  if (!options.json_file.empty() && options.json_file == options.junit_file) {
    return Refuse("--json and --junit name the same file: give each its own");
  }
  NBDSPEC_ASSIGN_OR_RETURN(target, TakeTarget(options));
  NBDSPEC_ASSIGN_OR_RETURN(checks, SelectChecks(options.words));
  CatchInterrupts();
  conformance::RunOptions run_options = RunOptionsFrom(options);
  reports::Run so_far{.version = kVersion,
                      .seed = options.seed,
                      .target = target->CommandLine(),
                      .trouble = "the run is not finished",
                      .exit = reports::ExitCode::kOurError};
  if (const auto written = WriteReports(so_far, options, /*is_finished=*/false); !written) {
    return Refuse(written.error());  // Before anything is found that could be lost.
  }
  const Shown shown = IsTerminal(stderr) ? Shown::kInPlace : Shown::kAsLines;
  Progress progress(checks.size(), shown, Progress::Clock::now());
  run_options.on_outcome = [&](const reports::Outcome& outcome) {
    const auto before = std::ranges::find(so_far.outcomes, outcome.id, &reports::Outcome::id);
    if (before == so_far.outcomes.end()) {
      so_far.outcomes.push_back(outcome);
    } else {
      *before = outcome;
    }
    if (outcome.verdict != reports::Verdict::kPass && outcome.verdict != reports::Verdict::kNotApplicable) {
      (void)WriteReports(so_far, options, /*is_finished=*/false);
    }
    if (const auto line = progress.Add(outcome.id, Progress::Clock::now()); line && shown == Shown::kInPlace) {
      ShowProgress(*line);
    } else if (line && !options.quiet) {
      Complain(*line);
    }
  };
  reports::Run run = conformance::RunChecks(*target, checks, run_options);
  ShowProgress("");
  if (InterruptSignal() != 0) {
    run.exit = 128 + InterruptSignal();
  }
  const auto written = WriteReports(run, options, /*is_finished=*/true);
  const int error = PrintReport(run, options);
  if (!written) {
    return Refuse(written.error(), reports::ExitCode::kOurError);
  }
  if (error != 0) {
    return Refuse("cannot print the report: " + std::generic_category().message(error), reports::ExitCode::kOurError);
  }
  return run.exit;
}

}  // namespace nbdspec::command
