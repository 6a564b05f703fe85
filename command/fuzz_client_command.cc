// SPDX-License-Identifier: BSD-3-Clause
// `nbdspec fuzz-client`: what it prints, and its exit codes. The work is in fuzz/clients.

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "command/clients.h"
#include "command/command_table.h"
#include "command/finding_runs.h"
#include "command/fuzz_report.h"
#include "command/output.h"
#include "command/report_files.h"
#include "command/servers.h"
#include "engine/base/or_return.h"
#include "fuzz/clients/client_case.h"
#include "fuzz/clients/client_fuzz.h"

namespace nbdspec::command {

namespace {

using fuzz::ClientFuzzReport;

std::string TextOf(const fuzz::Finding& finding, const std::string& directory) {
  std::string text = fmt::format("FOUND  {}\n  expected  {}\n  saw       {}\n", KeyOf(finding), Plain(finding.expected),
                                 Plain(finding.saw));
  if (const auto met = fuzz::ParseClientCase(finding.client_case)) {
    text += fmt::format("  command   {}\n  export    {}\n", Plain(met->command), DescribeTruth(*met));
    for (const std::string& name : met->oddities) {
      text += fmt::format("  server    {}\n", name);
    }
    text += met->pace.piece_bytes_max > 0
                ? fmt::format("  server    speaks in pieces of {} bytes\n", met->pace.piece_bytes_max)
                : "";
    text += met->pace.wait.count() > 0 ? fmt::format("  server    waits {} ms\n", met->pace.wait.count()) : "";
    text += met->tls ? "  server    inside TLS\n" : "";
  }
  return text + fmt::format("  state     {}\n", Name(finding.state)) + WhereSaved(finding, directory);
}

// "412 cases in 20.1 s (20.5/s)"
std::string CountsOf(const ClientFuzzReport& report) {
  const double rate = report.seconds > 0 ? static_cast<double>(report.case_count) / report.seconds : 0;
  return fmt::format("{} cases in {:.1f} s ({:.1f}/s)", report.case_count, report.seconds, rate);
}

std::string SummaryOf(const ClientFuzzReport& report, const Options& options) {
  std::string text;
  for (const auto& [finding, directory] : report.findings) {
    text += finding.count > 1 ? fmt::format("{} times: {}\n", finding.count, KeyOf(finding)) : "";
  }
  if (report.once_count > 0) {
    text += fmt::format("{} times something looked wrong, and did not when the client met the same alone: no finding\n",
                        report.once_count);
  }
  if (!report.unjudged.empty()) {
    text += fmt::format("not judged, for nbdspec's own client fails there, too: cases {}\n",
                        fmt::join(report.unjudged, ", "));
  }
  return text + fmt::format("{}: {}: {} done, {} failed where they may, {} \"cannot do this\"; {} found\n",
                            SeedText(options), CountsOf(report), report.done_count, report.declined_count,
                            report.cannot_count, report.findings.size());
}

fuzz::ClientFuzzOptions FuzzOptionsFrom(const Options& options) {
  const auto print = TakesStdout(options) ? [](const std::string&) {} : Print;
  const int processors = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  fuzz::ClientFuzzOptions fuzz{.seed = options.seed,
                               .shard = options.shard,
                               .cases_max = options.script_count,
                               .time = FuzzTime(options),
                               .align = static_cast<std::uint64_t>(options.align),
                               .tcp = options.tcp,
                               .tls = options.tls,
                               .worker_count = options.targets_at_once == 0 ? processors : options.targets_at_once,
                               .client_time = FromSeconds(options.case_timeout_s),
                               .findings_directory = options.findings,
                               .version = kVersion,
                               .cancelled = &Interrupted()};
  if (options.case_timeout_s != Options().case_timeout_s) {
    fuzz.replay_options = fmt::format("--case-timeout {}s", options.case_timeout_s);
  }
  fuzz.on_cases = NowAndThen<ClientFuzzReport>(CountsOf);
  fuzz.on_saved = [=](const fuzz::Finding& finding, const std::string& directory) {
    print(fmt::format("saved  {}  {}\n", KeyOf(finding), directory));
  };
  fuzz.on_same = [=](const fuzz::Finding& finding, const std::string& directory, const std::string& kept) {
    print(kept.empty() ? fmt::format("once   {}  {}: not again\n", KeyOf(finding), directory)
                       : fmt::format("same   {}  {}, as {}\n", KeyOf(finding), directory, kept));
  };
  fuzz.on_finding = [=](const fuzz::Finding& finding, const std::string& directory) {
    print(TextOf(finding, directory));
  };
  return fuzz;
}

Json ReportOf(const ClientFuzzReport& report, const std::string& client, const Options& options) {
  Json json = ReportHead(options);
  json["shard"] = WhichShard(options);
  json["client"] = client;
  json["cases"] = report.case_count;
  json["done"] = report.done_count;
  json["declined"] = report.declined_count;
  json["cannot"] = report.cannot_count;
  json["once"] = report.once_count;
  json["unjudged"] = report.unjudged;
  json["findings"] = Json::array();
  for (const auto& [finding, directory] : report.findings) {
    json["findings"].push_back(JsonOfFinding(finding, directory));
  }
  return json;
}

}  // namespace

ExitOrRefusal FuzzClientCommand(const Options& given) {
  Options options = given;
  NBDSPEC_RETURN_IF_ERROR(RefuseSharedFiles(options));
  NBDSPEC_ASSIGN_OR_RETURN(client, TakeClient("fuzz-client", options));
  if (!options.words.empty()) {
    return Refuse("fuzz-client takes one client; its options are in `nbdspec fuzz-client --help`");
  }
  CatchInterrupts();
  const ClientFuzzReport report = fuzz::FuzzClient(client, FuzzOptionsFrom(options));
  ShowProgress("");
  if (!TakesStdout(options)) {
    Print(SummaryOf(report, options));
  }
  // What there was no time to look at again accuses nobody.
  const bool has_found = std::ranges::any_of(report.findings, [](const ClientFuzzReport::Found& found) {
    return found.finding.state != fuzz::FindingState::kObserved;
  });
  const int exit = has_found ? reports::ExitCode::kFailure : ExitWithoutFailure(report.trouble, report.is_unusable);
  return Finish(ReportOf(report, client.description, options),
                RunOf(report, {.version = kVersion, .seed = options.seed, .target = client.description, .exit = exit}),
                options);
}

}  // namespace nbdspec::command
