// SPDX-License-Identifier: BSD-3-Clause
#include "command/fuzz_report.h"

#include <fmt/format.h>

#include "command/finding_runs.h"
#include "command/report_files.h"
#include "command/servers.h"
#include "engine/base/or_return.h"
#include "reports/render/render.h"

namespace nbdspec::command {

Json ReportHead(const Options& options) {
  return {{"format", 1}, {"tool", "nbdspec"}, {"version", kVersion}, {"seed", options.seed}};
}

Json JsonOfFinding(const fuzz::Finding& finding, const std::string& directory) {
  return {
      {"key", KeyOf(finding)},           {"kind", Name(finding.kind)},   {"requirement", finding.rule},
      {"request", finding.request_kind}, {"expected", finding.expected}, {"saw", finding.saw},
      {"timeline", finding.timeline},    {"known", finding.known},       {"state", Name(finding.state)},
      {"count", finding.count},          {"directory", directory},       {"replay", LineToReplay(finding, directory)}};
}

std::string WhichShard(const Options& options) {
  return fmt::format("{}/{}", options.shard.index + 1, options.shard.count);
}

std::string SeedText(const Options& options) {
  const std::string shard = options.shard == engine::Shard() ? "" : ", shard " + WhichShard(options);
  return fmt::format("seed {}{}", options.seed, shard);
}

std::string WhereSaved(const fuzz::Finding& finding, const std::string& directory) {
  return directory.empty()
             ? ""
             : fmt::format("  saved in  {}\n  replay    {}\n", Plain(directory), LineToReplay(finding, directory));
}

std::chrono::milliseconds FuzzTime(const Options& options) {
  constexpr double kDefaultSeconds = 60;
  const bool has_no_limit = options.script_count == 0 && options.time_s == 0;
  return FromSeconds(has_no_limit ? kDefaultSeconds : options.time_s);
}

ExitOrRefusal Finish(Json report, const reports::Run& run, const Options& options) {
  if (!run.trouble.empty()) {
    Complain(run.trouble);
  }
  report["trouble"] = run.trouble;
  report["exit"] = run.exit;
  const auto json = [&] { return report.dump(2, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace) + "\n"; };
  NBDSPEC_RETURN_IF_ERROR(
      WriteFiles({{options.json_file, json}, {options.html_file, [&] { return reports::RenderHtml(run); }}}));
  return run.exit;
}

int ExitWithoutFailure(const std::optional<engine::Trouble>& trouble, bool is_unusable) {
  if (trouble) {
    return is_unusable ? reports::ExitCode::kTargetUnusable : reports::ExitCode::kOurError;
  }
  return InterruptSignal() != 0 ? 128 + InterruptSignal() : reports::ExitCode::kSuccess;
}

}  // namespace nbdspec::command
