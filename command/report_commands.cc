// SPDX-License-Identifier: BSD-3-Clause
// `nbdspec report` and `nbdspec compare`: runs that are over, from their JSON reports.

#include <cstdio>
#include <string>

#include "command/command_table.h"
#include "command/output.h"
#include "command/report_files.h"
#include "engine/base/or_return.h"
#include "reports/model/comparison.h"
#include "reports/render/render.h"

namespace nbdspec::command {

ExitOrRefusal ReportCommand(const Options& options) {
  NBDSPEC_RETURN_IF_ERROR(RefuseSharedFiles(options));
  NBDSPEC_ASSIGN_OR_RETURN(run, ReadReport(options.words.front()));
  if (!AsksForFiles(options)) {
    NBDSPEC_RETURN_IF_ERROR(PrintReport(run, options));
  } else if (const auto written = WriteReports(run, options, /*is_finished=*/true); !written) {
    return Refuse(written.error(), reports::ExitCode::kOurError);
  }
  return reports::ExitCode::kSuccess;
}

ExitOrRefusal CompareCommand(const Options& options) {
  NBDSPEC_RETURN_IF_ERROR(RefuseSharedFiles(options));
  NBDSPEC_ASSIGN_OR_RETURN(before, ReadReport(options.words[0]));
  NBDSPEC_ASSIGN_OR_RETURN(after, ReadReport(options.words[1]));
  const reports::Comparison comparison = reports::Compare(before, after);
  if (!TakesStdout(options)) {
    NBDSPEC_RETURN_IF_ERROR(PrintText(reports::RenderText(comparison, TextOptionsFrom(options)), stdout));
  }
  NBDSPEC_RETURN_IF_ERROR(WriteFiles({{options.json_file, [&] { return reports::RenderJson(comparison); }},
                                      {options.html_file, [&] { return reports::RenderHtml(comparison); }}}));
  return comparison.exit;
}

}  // namespace nbdspec::command
