// SPDX-License-Identifier: BSD-3-Clause
#include "command/planned_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "command/expected_lists.h"
#include "command/report_files.h"
#include "command/selection.h"
#include "command/servers.h"
#include "conformance/peer/process/process.h"
#include "conformance/peer/process/room.h"
#include "engine/base/or_return.h"
#include "engine/base/quoted.h"

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

// The words that select what failed in the report that --again names; `is_named`: so is the target.
std::expected<void, Refusal> SelectWhatFailed(Options& options, const conformance::Target& target, bool is_named) {
  if (options.again.empty()) {
    return {};
  }
  if (!options.words.empty()) {
    return Refuse(fmt::format("--again and {} both say what to run: leave one out", engine::Quoted(options.words[0])));
  }
  NBDSPEC_ASSIGN_OR_RETURN(run, ReadReport(options.again));
  if (!is_named && run.server.words != target.CommandLine()) {
    return Refuse(fmt::format("name the server, too: {} is a report of {}", engine::Quoted(options.again),
                              engine::Quoted(run.server.words)));
  }
  for (const reports::Outcome& outcome : run.outcomes) {
    const bool is_check = std::ranges::find(conformance::AllChecks(), outcome.id, &conformance::Check::id) !=
                          conformance::AllChecks().end();
    if (is_check && reports::IsFailure(outcome.verdict)) {
      options.words.push_back(outcome.id);
    }
  }
  if (options.words.empty()) {
    return Refuse(fmt::format("no check failed in {}: there is nothing to run again", engine::Quoted(options.again)));
  }
  return {};
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

// Each worker has servers, as many as there are ways to set one up, and a check may hold many connections. Where there
// are too few descriptors, what cannot be opened would look like the server's fault.
constexpr int kDescriptorsOfAll = 16;
constexpr int kDescriptorsOfWorker = 48;

// How many of `wanted` workers there is room for. Errors: for none.
std::expected<int, Refusal> WorkersThereIsRoomFor(int wanted) {
  const int free = conformance::FreeDescriptors();
  const int workers = std::min(wanted, (free - kDescriptorsOfAll) / kDescriptorsOfWorker);
  if (workers < 1) {
    return Refuse(fmt::format("nbdspec may open {} more files, and a run of checks takes {}: raise the limit, as with "
                              "ulimit -n 256",
                              free, kDescriptorsOfAll + kDescriptorsOfWorker),
                  reports::ExitCode::kOurError);
  }
  return workers;
}

}  // namespace

reports::Run PlannedCheck::Begun() const {
  return {.version = kVersion,
          .seed = run.seed,
          .target = target->Describe(),
          .server = {.words = target->CommandLine(), .program = target->Program(), .version = target->Version()},
          .trouble = "the run is not finished",
          .exit = reports::ExitCode::kOurError};
}

reports::Run PlannedCheck::Run() {
  conformance::RunOptions telling = run;
  telling.on_outcome = TellingOfStock(run.on_outcome);
  reports::Run done = conformance::RunChecks(*target, checks, telling);
  std::ranges::for_each(done.outcomes, TellOfStock);
  done.outcomes.insert(done.outcomes.end(), excluded.begin(), excluded.end());
  conformance::LayOver(lists, done);
  if (InterruptSignal() != 0) {
    done.exit = 128 + InterruptSignal();
  }
  return done;
}

std::expected<PlannedCheck, Refusal> PlanCheck(Options options) {
  NBDSPEC_ASSIGN_OR_RETURN(lists, ReadLists(options.expected));
  const bool is_named = !options.words.empty() || !options.spawn.empty();
  NBDSPEC_ASSIGN_OR_RETURN(target, TakeTarget(options));
  NBDSPEC_RETURN_IF_ERROR(SelectWhatFailed(options, *target, is_named));
  NBDSPEC_ASSIGN_OR_RETURN(checks, SelectChecks(options.words));
  NBDSPEC_ASSIGN_OR_RETURN(worker_count, WorkersThereIsRoomFor(options.worker_count));
  options.worker_count = worker_count;
  PlannedCheck planned = {.target = std::move(target),
                          .checks = std::move(checks),
                          .excluded = ExcludedOutcomes(options),
                          .lists = std::move(lists),
                          .run = RunOptionsFrom(options)};
  if (options.fail_fast) {
    const auto is_new_failure = [begun = planned.Begun(), lists = planned.lists](const reports::Outcome& outcome) {
      reports::Run alone = begun;
      alone.outcomes = {outcome};
      conformance::LayOver(lists, alone);
      return reports::FailuresOf(alone).fresh > 0;
    };
    planned.run.ends_with = is_new_failure;
  }
  return planned;
}

}  // namespace nbdspec::command
