// SPDX-License-Identifier: BSD-3-Clause
// `nbdspec client`: the checks on a client.

#include <cstdio>

#include "command/command_table.h"
#include "command/expected_lists.h"
#include "command/output.h"
#include "command/planned_client.h"
#include "command/progress.h"
#include "command/report_files.h"
#include "command/servers.h"
#include "engine/base/or_return.h"

namespace nbdspec::command {

ExitOrRefusal ClientCommand(const Options& options) {
  NBDSPEC_RETURN_IF_ERROR(RefuseSharedFiles(options));
  NBDSPEC_ASSIGN_OR_RETURN(planned, PlanClient(options));
  CatchInterrupts();
  LiveReports live(options, planned.Begun());
  NBDSPEC_RETURN_IF_ERROR(live.Begin());
  const Shown shown = IsTerminal(stderr) ? Shown::kInPlace : Shown::kAsLines;
  Progress progress(planned.checks.size(), shown, Progress::Clock::now());
  planned.run.on_outcome = [&](const reports::Outcome& outcome) {
    live.Add(outcome);
    if (const auto line = progress.Add(outcome.id, Progress::Clock::now()); line && shown == Shown::kInPlace) {
      ShowProgress(*line);
    } else if (line && !options.quiet) {
      Complain(*line);
    }
  };
  const reports::Run run = planned.Run();
  ShowProgress("");
  NBDSPEC_RETURN_IF_ERROR(live.Finish(run));
  HintAtList(run, options);
  return run.exit;
}

}  // namespace nbdspec::command
