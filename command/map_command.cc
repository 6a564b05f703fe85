// SPDX-License-Identifier: BSD-3-Clause
// `nbdspec map`: what a server says of its export.

#include <cerrno>

#include "command/command_table.h"
#include "command/output.h"
#include "command/servers.h"
#include "conformance/map/export_map.h"
#include "engine/base/or_return.h"
#include "reports/render/render.h"

namespace nbdspec::command {

ExitOrRefusal MapCommand(const Options& given) {
  Options options = given;
  if (!options.json_file.empty() && options.json_file == options.svg_file) {
    return Refuse("--json and --svg name the same file: give each its own");
  }
  NBDSPEC_ASSIGN_OR_RETURN(target, TakeTarget(options));
  if (!options.words.empty()) {
    return Refuse("map takes one server");
  }
  CatchInterrupts();
  conformance::MapOptions how{.limits = {.cancelled = &Interrupted()}};
  how.limits.reply_timeout = FromSeconds(options.reply_timeout_s);
  const auto map = conformance::MapExport(*target, how);
  if (!map) {
    return Unusable(map.error());
  }
  bool takes_stdout = false;
  for (const auto& [file, text] : {std::pair{&options.json_file, reports::RenderJson(*map)},
                                   std::pair{&options.svg_file, reports::RenderSvg(*map)}}) {
    takes_stdout = takes_stdout || *file == "-";
    if (std::string why = file->empty() ? "" : WriteOutput(*file, text); !why.empty()) {
      return Refuse(std::move(why), reports::ExitCode::kOurError);
    }
  }
  if (!takes_stdout) {
    const int error = WriteTo(stdout, reports::RenderText(*map, Columns(), options.verbose));
    if (error != 0 && error != EPIPE) {
      return Refuse(CannotWrite("-", error), reports::ExitCode::kOurError);
    }
  }
  if (InterruptSignal() != 0) {
    return 128 + InterruptSignal();
  }
  return map->trouble.empty() ? reports::ExitCode::kSuccess : reports::ExitCode::kTargetUnusable;
}

}  // namespace nbdspec::command
