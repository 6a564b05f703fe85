// SPDX-License-Identifier: BSD-3-Clause
#include "command/live_command.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "command/interrupt.h"
#include "command/output.h"
#include "engine/spec/catalogue.h"
#include "reports/model/run.h"

namespace nbdspec::command {

std::chrono::milliseconds FromSeconds(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(std::ceil(seconds * 1000)));
}

fuzz::LiveOptions LiveOptionsFrom(const Options& options) {
  return {.in_flight = options.in_flight,
          .reply_timeout = FromSeconds(options.reply_timeout_s),
          .cancelled = &Interrupted()};
}

std::string WarningsText(const fuzz::Warnings& warnings, const std::string& whose) {
  std::string text;
  for (const auto& [requirement, warning] : warnings) {
    text += fmt::format("warn  {}{}, {} time{}, first in script {}: {}\n  expected  {}\n  saw       {}\n", whose,
                        requirement, warning.count, warning.count == 1 ? "" : "s", warning.script_number, warning.step,
                        warning.expected, warning.saw);
  }
  return text;
}

Json JsonOf(const fuzz::Warnings& warnings) {
  Json all = Json::array();
  for (const auto& [requirement, warning] : warnings) {
    all.push_back({{"requirement", requirement},
                   {"level", Word(spec::RequirementOf(requirement).level)},
                   {"count", warning.count},
                   {"script", warning.script_number},
                   {"step", warning.step},
                   {"expected", warning.expected},
                   {"saw", warning.saw}});
  }
  return all;
}

Json ReportHead(const Options& options) {
  return {{"format", 1}, {"tool", "nbdspec"}, {"version", kVersion}, {"seed", options.seed}};
}

int WriteReport(Json report, const std::optional<engine::Trouble>& trouble, int exit, const Options& options) {
  if (trouble) {
    Refuse(trouble->sentence, exit);
  }
  if (options.json_file.empty()) {
    return exit;
  }
  report["trouble"] = trouble ? trouble->sentence : "";
  report["exit"] = exit;
  const std::string why =
      WriteOutput(options.json_file, report.dump(2, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace) + "\n");
  return why.empty() ? exit : Refuse(why, reports::ExitCode::kOurError);
}

int ExitWithoutFailure(const std::optional<engine::Trouble>& trouble, bool is_unusable) {
  if (trouble) {
    return is_unusable ? reports::ExitCode::kTargetUnusable : reports::ExitCode::kOurError;
  }
  return InterruptSignal() != 0 ? 128 + InterruptSignal() : reports::ExitCode::kSuccess;
}

}  // namespace nbdspec::command
