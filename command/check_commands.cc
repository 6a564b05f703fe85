// SPDX-License-Identifier: BSD-3-Clause
// `nbdspec check`: the checks on a server.

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include "command/command_table.h"
#include "command/output.h"
#include "command/progress.h"
#include "command/report_files.h"
#include "command/selection.h"
#include "command/servers.h"
#include "conformance/peer/process/process.h"
#include "conformance/runner/runner.h"
#include "engine/base/or_return.h"
#include "reports/model/run.h"

namespace nbdspec::command {

namespace {

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

// What the words of the command line took away, as outcomes.
std::vector<reports::Outcome> ExcludedOutcomes(const Options& options) {
  std::vector<reports::Outcome> outcomes;
  for (const auto& [check, word] : ExcludedChecks(options.words)) {
    reports::Outcome& outcome = outcomes.emplace_back(conformance::BlankOutcome(check));
    outcome.verdict = reports::Verdict::kSkip;
    outcome.evidence.saw = "left out by " + conformance::QuoteWord(word);
  }
  return outcomes;
}

}  // namespace

ExitOrRefusal CheckCommand(const Options& given) {
  Options options = given;
  NBDSPEC_RETURN_IF_ERROR(RefuseSharedFiles(options));
  NBDSPEC_ASSIGN_OR_RETURN(target, TakeTarget(options));
  NBDSPEC_ASSIGN_OR_RETURN(checks, SelectChecks(options.words));
  CatchInterrupts();
  conformance::RunOptions run_options = RunOptionsFrom(options);
  LiveReports live(options, {.version = kVersion,
                             .seed = options.seed,
                             .target = target->CommandLine(),
                             .trouble = "the run is not finished",
                             .exit = reports::ExitCode::kOurError});
  NBDSPEC_RETURN_IF_ERROR(live.Begin());
  const std::vector<reports::Outcome> excluded = ExcludedOutcomes(options);
  std::ranges::for_each(excluded, [&](const reports::Outcome& outcome) { live.Add(outcome); });
  const Shown shown = IsTerminal(stderr) ? Shown::kInPlace : Shown::kAsLines;
  Progress progress(checks.size(), shown, Progress::Clock::now());
  run_options.on_outcome = [&](const reports::Outcome& outcome) {
    live.Add(outcome);
    if (const auto line = progress.Add(outcome.id, Progress::Clock::now()); line && shown == Shown::kInPlace) {
      ShowProgress(*line);
    } else if (line && !options.quiet) {
      Complain(*line);
    }
  };
  reports::Run run = conformance::RunChecks(*target, checks, run_options);
  run.outcomes.insert(run.outcomes.end(), excluded.begin(), excluded.end());
  ShowProgress("");
  if (InterruptSignal() != 0) {
    run.exit = 128 + InterruptSignal();
  }
  NBDSPEC_RETURN_IF_ERROR(live.Finish(run));
  return run.exit;
}

}  // namespace nbdspec::command
