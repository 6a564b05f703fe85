// SPDX-License-Identifier: BSD-3-Clause
// `nbdspec diff`: what it prints, and its exit code. The work is in fuzz/live.

#include <fmt/format.h>

#include <utility>

#include "command/options.h"
#include "command/output.h"
#include "command/servers.h"
#include "engine/base/or_return.h"
#include "fuzz/findings/read_file.h"
#include "fuzz/live/run/live_diff.h"
#include "reports/model/run.h"

namespace nbdspec::command {

namespace {

using fuzz::DifferenceKind;

constexpr std::uint64_t kScriptBytesMax = std::uint64_t{64} << 20;

std::string TextOf(const fuzz::DiffReport& report, const Options& options) {
  std::string text;
  for (const fuzz::Difference& each : report.differences) {
    text += fmt::format("{}  script {}: {}\n  A  {}\n  B  {}\n", Name(each.kind), each.script_number, each.step,
                        each.first, each.second);
  }
  text += WarningsText(report.warnings[0], "A ") + WarningsText(report.warnings[1], "B ");
  text += fmt::format("A is {}, B is {}\n", options.words[0], options.words[1]);
  text += fmt::format("{} scripts, {} commands:", report.script_count, report.command_count);
  for (std::size_t i = 0; i < fuzz::kDifferenceKindCount; ++i) {
    text += fmt::format("{} {} {}", i == 0 ? "" : ",", report.counts[i], Name(static_cast<DifferenceKind>(i)));
  }
  return text + "\n";
}

// docs/json.md describes it.
Json ReportOf(const fuzz::DiffReport& report, const Options& options) {
  Json json = ReportHead(options);
  json["targets"] = options.words;
  json["scripts"] = report.script_count;
  json["commands"] = report.command_count;
  for (std::size_t i = 0; i < fuzz::kDifferenceKindCount; ++i) {
    json["counts"][std::string(Name(static_cast<DifferenceKind>(i)))] = report.counts[i];
  }
  json["differences"] = Json::array();
  for (const fuzz::Difference& each : report.differences) {
    json["differences"].push_back({{"kind", Name(each.kind)},
                                   {"script", each.script_number},
                                   {"step", each.step},
                                   {"first", each.first},
                                   {"second", each.second}});
  }
  json["warnings"] = {{"first", JsonOf(report.warnings[0])}, {"second", JsonOf(report.warnings[1])}};
  return json;
}

}  // namespace

ExitOrRefusal DiffCommand(const Options& options) {
  NBDSPEC_ASSIGN_OR_RETURN(first, WritableTarget(options.words[0], options.allow_write));
  NBDSPEC_ASSIGN_OR_RETURN(second, WritableTarget(options.words[1], options.allow_write));
  fuzz::DiffOptions diff{.seed = options.seed,
                         .scripts_max = options.script_count,
                         .steps_max = options.steps,
                         .live = LiveOptionsFrom(options)};
  if (!options.script_file.empty()) {
    NBDSPEC_ASSIGN_OR_RETURN(text, fuzz::ReadFile(options.script_file, kScriptBytesMax));
    NBDSPEC_ASSIGN_OR_RETURN(script, engine::ParseScript(text));
    diff.script = std::move(script);
  }
  CatchInterrupts();
  const fuzz::DiffReport report = fuzz::Diff(*first, *second, diff);
  if (options.json_file != "-") {
    Print(TextOf(report, options));
  }
  const bool fails = report.count(DifferenceKind::kSoundness) > 0 || report.count(DifferenceKind::kDisconnect) > 0;
  const int exit = fails ? reports::ExitCode::kFailure : ExitWithoutFailure(report.trouble, report.is_unusable);
  return WriteReport(ReportOf(report, options), report.trouble, exit, options);
}

}  // namespace nbdspec::command
