// SPDX-License-Identifier: BSD-3-Clause
// `nbdspec client`: the checks on a client.

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <vector>

#include "command/clients.h"
#include "command/command_table.h"
#include "command/expected_lists.h"
#include "command/output.h"
#include "command/progress.h"
#include "command/report_files.h"
#include "command/selection.h"
#include "command/servers.h"
#include "conformance/clients/client_runner.h"
#include "conformance/expected/expected.h"
#include "engine/base/or_return.h"
#include "engine/base/quoted.h"

namespace nbdspec::command {

namespace {

using conformance::ClientCheck;

std::expected<std::vector<ClientCheck>, Refusal> SelectClientChecks(const std::vector<std::string>& words) {
  const auto all = conformance::AllClientChecks();
  std::vector<std::string_view> ids;
  std::ranges::transform(all, std::back_inserter(ids), &ClientCheck::id);
  NBDSPEC_ASSIGN_OR_RETURN(indices, SelectFrom(ids, words));
  std::vector<ClientCheck> checks;
  for (const std::size_t index : indices) {
    checks.push_back(all[index]);
  }
  return checks;
}

}  // namespace

ExitOrRefusal ClientCommand(const Options& given) {
  Options options = given;
  NBDSPEC_RETURN_IF_ERROR(RefuseSharedFiles(options));
  NBDSPEC_ASSIGN_OR_RETURN(client, TakeClient("client", options));
  NBDSPEC_ASSIGN_OR_RETURN(checks, SelectClientChecks(options.words));
  NBDSPEC_ASSIGN_OR_RETURN(lists, ReadLists(options.expected));
  CatchInterrupts();
  const reports::Server peer{.words = client.words, .program = client.program, .version = client.version};
  reports::Run begun{.version = kVersion,
                     .spec = "",
                     .target = client.description,
                     .server = peer,
                     .trouble = "the run is not finished",
                     .exit = reports::ExitCode::kOurError};
  LiveReports live(options, begun);
  NBDSPEC_RETURN_IF_ERROR(live.Begin());
  const Shown shown = IsTerminal(stderr) ? Shown::kInPlace : Shown::kAsLines;
  Progress progress(checks.size(), shown, Progress::Clock::now());
  const auto on_outcome = [&](const reports::Outcome& given_outcome) {
    reports::Outcome outcome = given_outcome;
    TellOfStock(outcome);
    live.Add(outcome);
    if (const auto line = progress.Add(outcome.id, Progress::Clock::now()); line && shown == Shown::kInPlace) {
      ShowProgress(*line);
    } else if (line && !options.quiet) {
      Complain(*line);
    }
  };
  reports::Run run = conformance::RunClientChecks(client.ways, checks,
                                                  {.worker_count = options.worker_count,
                                                   .time = FromSeconds(options.case_timeout_s),
                                                   .deadline = FromSeconds(options.deadline_s),
                                                   .version = kVersion,
                                                   .client_words = client.words,
                                                   .description = client.description,
                                                   .cancelled = &Interrupted(),
                                                   .on_outcome = on_outcome});
  run.server = peer;
  std::ranges::for_each(run.outcomes, TellOfStock);
  conformance::LayOver(lists, run);
  run.exit = InterruptSignal() != 0 ? 128 + InterruptSignal() : run.exit;
  ShowProgress("");
  NBDSPEC_RETURN_IF_ERROR(live.Finish(run));
  HintAtList(run, options);
  return run.exit;
}

}  // namespace nbdspec::command
