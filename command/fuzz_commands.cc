// SPDX-License-Identifier: BSD-3-Clause
// `nbdspec fuzz` and `nbdspec diff`: what they print, and their exit codes. The work is in fuzz/live.

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "command/command_table.h"
#include "command/finding_runs.h"
#include "command/fuzz_report.h"
#include "command/output.h"
#include "command/report_files.h"
#include "command/servers.h"
#include "conformance/peer/process/process.h"
#include "engine/base/or_return.h"
#include "engine/spec/catalogue.h"
#include "fuzz/findings/read_file.h"
#include "fuzz/findings/script_file.h"
#include "fuzz/live/coverage/edge_map.h"
#include "fuzz/live/learn/script_corpus.h"
#include "fuzz/live/run/live_diff.h"
#include "fuzz/live/run/live_fuzz.h"
#include "reports/model/run.h"
#include "reports/render/render.h"

namespace nbdspec::command {

namespace {

using fuzz::DifferenceKind;

constexpr std::uint64_t kScriptBytesMax = std::uint64_t{64} << 20;

// --- The report, as docs/json.md describes it ---

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

// --- fuzz ---

std::string TextOf(const fuzz::Finding& finding, const std::string& directory) {
  const bool is_new = finding.known.empty();
  std::string text =
      fmt::format("{}  {}{}\n", is_new ? "FOUND" : "known", KeyOf(finding), is_new ? "" : "  (" + finding.known + ")");
  text += fmt::format("  expected  {}\n  saw       {}\n", Plain(finding.expected), Plain(finding.saw));
  for (const std::string& line : finding.timeline) {
    text += fmt::format("            {}\n", Plain(line));
  }
  text += finding.server_ended.empty() ? "" : fmt::format("  server    {}\n", finding.server_ended);
  const std::size_t count = finding.script.steps.size();
  text += is_new ? fmt::format("  script    {} step{}, {}\n", count, count == 1 ? "" : "s", Name(finding.state)) : "";
  return text + WhereSaved(finding, directory);
}

// Those that `nbdspec replay` needs, unless they are its defaults. The connections are in the script.
std::string ReplayOptionsFrom(const Options& options) {
  const Options defaults;
  std::string words;
  if (options.in_flight != defaults.in_flight) {
    words += fmt::format(" --in-flight {}", options.in_flight);
  }
  if (options.reply_timeout_s != defaults.reply_timeout_s) {
    words += fmt::format(" --reply-timeout {}s", options.reply_timeout_s);
  }
  words += options.allow_write ? " --allow-write" : "";
  words += options.power_cut ? " --power-cut" : "";
  words += options.tls ? " --tls" : "";
  const auto add_path = [&](const char* name, const std::string& path) {
    words += path.empty()
                 ? ""
                 : fmt::format(" {} {}", name, conformance::QuoteWord(std::filesystem::absolute(path).string()));
  };
  add_path("--tls-certificates", options.tls_certificates);
  add_path("--tls-psk", options.tls_psk);
  words += options.tls_hostname.empty() ? "" : " --tls-hostname " + conformance::QuoteWord(options.tls_hostname);
  return words.empty() ? "" : words.substr(1);
}

// "20 scripts, 612 commands, 15 power cuts, 87 kinds of answers, 912 edges in 1.2 s (510/s)"
std::string CountsOf(const fuzz::FuzzReport& report) {
  const double rate = report.seconds > 0 ? static_cast<double>(report.command_count) / report.seconds : 0;
  const std::string cuts = report.cut_count == 0 ? "" : fmt::format(", {} power cuts", report.cut_count);
  std::string inside = report.edge_count == 0 ? "" : fmt::format(", {} edges", report.edge_count);
  inside += report.storage_kind_count == 0 ? "" : fmt::format(", {} of disk operations", report.storage_kind_count);
  return fmt::format("{} scripts, {} commands{}, {} kinds of answers{} in {:.1f} s ({:.0f}/s)", report.script_count,
                     report.command_count, cuts, report.kind_count, inside, report.seconds, rate);
}

fuzz::FuzzOptions FuzzOptionsFrom(const Options& options) {
  const auto print = TakesStdout(options) ? [](const std::string&) {} : Print;
  fuzz::FuzzOptions fuzz{.seed = options.seed,
                         .shard = options.shard,
                         .scripts_max = options.script_count,
                         .time = FuzzTime(options),
                         .steps_max = options.steps,
                         .only_offered = options.only_offered,
                         .only_fresh = options.only_fresh,
                         .connections = options.connections,
                         .tries_max = options.tries,
                         .findings_directory = options.findings,
                         .replay_options = ReplayOptionsFrom(options),
                         .version = kVersion,
                         .live = LiveOptionsFrom(options)};
  fuzz.on_script = NowAndThen<fuzz::FuzzReport>(CountsOf);
  fuzz.on_saved = [=](const fuzz::Finding& finding, const std::string& directory) {
    print(fmt::format("saved  {}  {}\n", KeyOf(finding), directory));
  };
  fuzz.on_same = [=](const fuzz::Finding& finding, const std::string& directory, const std::string& kept) {
    print(fmt::format("same   {}  {}, as {}\n", KeyOf(finding), directory, kept));
  };
  fuzz.on_finding = [=](const fuzz::Finding& finding, const std::string& directory) {
    print(TextOf(finding, directory));
  };
  fuzz.on_smaller = [](const fuzz::Finding& best, int tries) {
    ShowProgress(fmt::format("making it small: {} steps after {} runs", best.script.steps.size(), tries));
  };
  return fuzz;
}

std::string SummaryOf(const fuzz::FuzzReport& report, const Options& options) {
  std::string text = WarningsText(report.warnings, "");
  std::size_t new_count = 0;
  for (const auto& [finding, directory] : report.findings) {
    new_count += finding.known.empty() ? 1 : 0;
    if (finding.count > 1) {
      text += fmt::format("{} times: {}\n", finding.count, finding.known.empty() ? KeyOf(finding) : finding.known);
    }
  }
  return text + fmt::format("{}: {}; {} found, {} known\n", SeedText(options), CountsOf(report), new_count,
                            report.findings.size() - new_count);
}

Json ReportOf(const fuzz::FuzzReport& report, const std::string& target, const Options& options) {
  Json json = ReportHead(options);
  json["shard"] = WhichShard(options);
  json["target"] = target;
  json["scripts"] = report.script_count;
  json["commands"] = report.command_count;
  json["power_cuts"] = report.cut_count;
  json["kinds"] = report.kind_count;
  json["edges"] = report.edge_count;
  json["storage_kinds"] = report.storage_kind_count;
  json["findings"] = Json::array();
  for (const auto& [finding, directory] : report.findings) {
    json["findings"].push_back(JsonOfFinding(finding, directory));
  }
  json["warnings"] = JsonOf(report.warnings);
  return json;
}

// --- diff ---

std::string TextOf(const fuzz::DiffReport& report, const Options& options) {
  std::string text;
  for (const fuzz::Difference& each : report.differences) {
    text += fmt::format("{}  script {}: {}\n  A  {}\n  B  {}\n", Name(each.kind), each.script_number, each.step,
                        Plain(each.first), Plain(each.second));
  }
  text += WarningsText(report.warnings[0], "A ") + WarningsText(report.warnings[1], "B ");
  text += fmt::format("A is {}, B is {}\n", options.words[0], options.words[1]);
  text += fmt::format("{} scripts, {} commands:", report.script_count, report.command_count);
  for (std::size_t i = 0; i < fuzz::kDifferenceKindCount; ++i) {
    text += fmt::format("{} {} {}", i == 0 ? "" : ",", report.counts[i], Name(static_cast<DifferenceKind>(i)));
  }
  return text + "\n";
}

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

// What the servers that are started from now on mark; null without --coverage.
std::expected<std::unique_ptr<fuzz::EdgeMap>, Refusal> CoverageOf(const conformance::Target& target,
                                                                  const Options& options) {
  if (!options.coverage) {
    return nullptr;
  }
  if (!target.IsOurs()) {
    return Refuse("--coverage needs a server that nbdspec starts, and " + target.Describe() +
                  " runs already: give its command with --spawn");
  }
  return fuzz::EdgeMap::Make();
}

}  // namespace

ExitOrRefusal FuzzCommand(const Options& options) {
  NBDSPEC_RETURN_IF_ERROR(RefuseSharedFiles(options));
  if (options.words.empty() && options.spawn.empty()) {
    return Refuse("fuzz needs a TARGET: a server by name, a URI, or --spawn COMMAND");
  }
  NBDSPEC_ASSIGN_OR_RETURN(target, WritableTarget(options));
  std::optional<fuzz::ScriptCorpus> corpus;
  if (!options.corpus.empty()) {
    NBDSPEC_ASSIGN_OR_RETURN(opened, fuzz::ScriptCorpus::Open(options.corpus));
    corpus = std::move(opened);
  }
  NBDSPEC_ASSIGN_OR_RETURN(coverage, CoverageOf(*target, options));
  CatchInterrupts();
  fuzz::FuzzOptions fuzz = FuzzOptionsFrom(options);
  fuzz.coverage = coverage.get();
  fuzz.corpus = corpus ? &*corpus : nullptr;
  const fuzz::FuzzReport report = fuzz::Fuzz(*target, fuzz);
  ShowProgress("");
  if (!TakesStdout(options)) {
    Print(corpus ? fmt::format("corpus: {} scripts read, {} added\n", corpus->scripts().size(), corpus->added_count())
                 : "");
    Print(SummaryOf(report, options));
  }
  const int exit =
      report.HasNew() ? reports::ExitCode::kFailure : ExitWithoutFailure(report.trouble, report.is_unusable);
  return Finish(ReportOf(report, target->Describe(), options),
                RunOf(report, {.version = kVersion, .seed = options.seed, .target = target->Describe(), .exit = exit}),
                options);
}

ExitOrRefusal DiffCommand(const Options& options) {
  NBDSPEC_RETURN_IF_ERROR(RefuseSharedFiles(options));
  NBDSPEC_ASSIGN_OR_RETURN(first, WritableTarget(options.words[0], options));
  NBDSPEC_ASSIGN_OR_RETURN(second, WritableTarget(options.words[1], options));
  fuzz::DiffOptions diff{.seed = options.seed,
                         .scripts_max = options.script_count,
                         .steps_max = options.steps,
                         .live = LiveOptionsFrom(options)};
  if (!options.script_file.empty()) {
    NBDSPEC_ASSIGN_OR_RETURN(text, fuzz::ReadFile(options.script_file, kScriptBytesMax));
    auto script = fuzz::ParseScriptToSend(text);
    if (!script) {
      return Refuse(options.script_file + ": " + script.error().sentence);
    }
    diff.script = *std::move(script);
  }
  CatchInterrupts();
  const fuzz::DiffReport report = fuzz::Diff(*first, *second, diff);
  if (!TakesStdout(options)) {
    Print(TextOf(report, options));
  }
  const bool fails = report.count(DifferenceKind::kSoundness) > 0 || report.count(DifferenceKind::kDisconnect) > 0;
  const int exit = fails ? reports::ExitCode::kFailure : ExitWithoutFailure(report.trouble, /*is_unusable=*/true);
  return Finish(
      ReportOf(report, options),
      RunOf(report, options.words[0], options.words[1], {.version = kVersion, .seed = options.seed, .exit = exit}),
      options);
}

}  // namespace nbdspec::command
