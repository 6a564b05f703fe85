// SPDX-License-Identifier: BSD-3-Clause
// `nbdspec replay`, `nbdspec shrink` and `nbdspec merge`: what they print, and their exit codes. The work is in
// fuzz/replay, fuzz/live and fuzz/findings.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <set>
#include <utility>
#include <variant>

#include "command/clients.h"
#include "command/command_table.h"
#include "command/finding_runs.h"
#include "command/output.h"
#include "command/report_files.h"
#include "command/servers.h"
#include "conformance/peer/process/process.h"
#include "engine/base/or_return.h"
#include "fuzz/findings/store.h"
#include "fuzz/live/run/reproduce.h"
#include "fuzz/replay/client_replay.h"
#include "fuzz/replay/replay.h"
#include "reports/model/run.h"
#include "reports/render/printable.h"
#include "reports/render/render.h"

namespace nbdspec::command {

namespace {

using fuzz::ReplayVerdict;

// A target to be written to: --target, or where that is not given `recorded`, which Target::CommandLine() wrote, if
// nobody else has. Errors: as WritableTarget; `recorded` names a command, and nobody permits to start it.
TargetOrTrouble TargetOf(const std::string& recorded, const Options& given) {
  if (!given.target.empty()) {
    return WritableTarget(given.target, given);
  }
  NBDSPEC_ASSIGN_OR_RETURN(words, conformance::SplitCommand(recorded));
  Options options = ServerOptionsOf(given);
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::string& word = words[i];
    const bool has_value = i + 1 < words.size();
    if (word == "--spawn" && has_value && !given.runs_its_command) {
      return std::unexpected(engine::Trouble{NotStarted(words[i + 1], "--target")});
    }
    if (word == "--spawn" && has_value) {
      options.spawn = words[++i];
    } else if (word == "--export" && has_value) {
      options.export_name = words[++i];
    } else {
      options.words.push_back(std::move(word));
    }
  }
  return WritableTarget(std::move(options));
}

// --- replay ---

std::string Line(const char* what, const std::string& text) {
  return text.empty() ? "" : fmt::format("  {:<9} {}\n", what, Plain(text));
}

class Replayer {
 public:
  explicit Replayer(const Options& options)
      : options_(options),
        replay_{.tries = options.tries, .time = FromSeconds(options.time_s), .live = LiveOptionsFrom(options)} {}

  ExitOrRefusal Run() {
    std::vector<std::string> paths;
    for (const std::string& path : options_.words) {
      auto found = fuzz::SubjectsIn(path);
      if (!found) {
        CannotReplay(found.error().sentence);
        continue;
      }
      paths.insert(paths.end(), found->begin(), found->end());
    }
    is_short_ = paths.size() > 1 && !options_.verbose;
    for (const std::string& path : paths) {
      if (!Interrupted()) {
        ReplayOne(path);
      }
    }
    for (const auto& [target, inputs] : of_targets_) {
      CannotReplay(fuzz::DescribeInput(inputs.front(), "replay", inputs.size() - 1) +
                   fuzz::TargetReplayLine(inputs.front()));
    }
    if (paths.size() > 1) {
      PrintSummary();
    }
    const reports::Run run{.version = kVersion,
                           .target = options_.target.empty() ? "what was found" : options_.target,
                           .outcomes = outcomes_,
                           .exit = Exit()};
    NBDSPEC_RETURN_IF_ERROR(WriteFiles({{options_.html_file, [&] { return reports::RenderHtml(run); }}}));
    return run.exit;
  }

 private:
  // The page may take standard output.
  void Show(const std::string& text) const {
    if (TakesStdout(options_)) {
      std::fputs(text.c_str(), stderr);
    } else {
      Print(text);
    }
  }

  void CannotReplay(const std::string& sentence) {
    Complain(sentence);
    ++refused_count_;
  }

  // Before it runs: somebody else may have written the command. Of several that are alike, once.
  void TellWhatStarts(const std::string& words) {
    if (told_.insert(words).second || !is_short_) {
      Show(Line("starts", words));
    }
  }

  void ReplayOne(const std::string& path) {
    const auto subject = fuzz::ReadSubject(path, /*for_server=*/!options_.target.empty());
    if (!subject) {
      CannotReplay(subject.error().sentence);
      return;
    }
    std::visit([this](const auto& kind) { Replay(kind); }, *subject);
  }

  void Replay(const fuzz::FindingSubject& subject) {
    const fuzz::Finding& finding = subject.finding;
    if (!finding.client_case.empty()) {
      if (const auto met = fuzz::ParseClientCase(finding.client_case)) {
        ReplayClient(subject.path, *met, &finding);
      } else {
        CannotReplay(subject.path + "/case.txt, " + met.error().sentence);
      }
      return;
    }
    const auto target = TargetOf(finding.target_words, options_);
    if (!target) {
      CannotReplay(subject.path + ": " + target.error().sentence);
      return;
    }
    const std::string now_on = (*target)->Describe();
    const std::string servers = finding.target == now_on ? now_on : finding.target + " then, " + now_on + " now";
    TellWhatStarts((*target)->CommandLine());
    Report(subject.path, fuzz::ReplayFinding(**target, finding, replay_),
           Line("server", servers) +
               Line("seed",
                    fmt::format("{}, script {}, nbdspec {}", finding.seed, finding.script_number, finding.version)) +
               Line("then", SummaryOf(finding)),
           &finding);
  }

  void Replay(const fuzz::ScriptSubject& subject) {
    const auto target = TargetOf("reference", options_);
    if (!target) {
      CannotReplay(target.error().sentence);
      return;
    }
    std::string details = Line("server", (*target)->Describe());
    for (const std::string& line : subject.header) {
      details += "  # " + Plain(line) + "\n";
    }
    Report(subject.path, fuzz::ReplayScript(**target, subject.script, replay_), details);
  }

  void Replay(const fuzz::ClientCaseSubject& subject) { ReplayClient(subject.path, subject.met, nullptr); }

  // `finding` may be null.
  void ReplayClient(const std::string& path, const fuzz::ClientCase& met, const fuzz::Finding* finding) {
    const auto client = ClientOf(met, finding != nullptr ? finding->target_words : "", options_);
    if (!client) {
      CannotReplay(path + ": " + client.error().sentence);
      return;
    }
    TellWhatStarts(client->words);
    std::string details = Line("export", DescribeTruth(met));
    for (const std::string& name : met.oddities) {
      details += Line("odd", name);
    }
    details += finding != nullptr ? Line("then", SummaryOf(*finding)) : "";
    const fuzz::ClientReplayOptions replay{
        .tries = options_.tries, .client_time = FromSeconds(options_.case_timeout_s), .cancelled = &Interrupted()};
    Report(path, fuzz::ReplayCase(client->ways, met, finding, replay), details, finding);
  }

  void Replay(const fuzz::TargetInput& subject) {
    if (subject.target.empty()) {
      CannotReplay(fuzz::DescribeInput(subject, "replay") + fuzz::TargetReplayLine(subject));
    } else {
      of_targets_[subject.target].push_back(subject);
    }
  }

  void Report(const std::string& path, const fuzz::Replayed& replayed, const std::string& details,
              const fuzz::Finding* finding = nullptr) {
    if (Interrupted()) {
      return;  // It was cut short: no verdict.
    }
    ++counts_[static_cast<std::size_t>(replayed.verdict)];
    outcomes_.push_back(OutcomeOf(replayed, path, finding));
    AddWarnings(replayed.warnings, path + ": ", outcomes_);
    const std::string head = fmt::format("{:<10}  {}", Name(replayed.verdict), Plain(path));
    if (is_short_) {
      Show(head + (replayed.now.empty() ? "\n" : "  " + Plain(replayed.now) + "\n"));
    } else {
      Show(head + "\n" + details + Line("now", replayed.now) + Line("note", replayed.note) +
           WarningsText(replayed.warnings, ""));
    }
  }

  void PrintSummary() const {
    std::size_t total = 0;
    std::string parts;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      total += counts_[i];
      if (counts_[i] > 0) {
        parts += fmt::format("{} {} {}", parts.empty() ? ":" : ",", counts_[i], Name(static_cast<ReplayVerdict>(i)));
      }
    }
    parts += refused_count_ > 0 ? fmt::format("; {} could not be replayed", refused_count_) : "";
    Show(fmt::format("{} replayed{}\n", total, parts));
  }

  [[nodiscard]] bool HasAny(std::initializer_list<ReplayVerdict> verdicts) const {
    return std::ranges::any_of(
        verdicts, [this](ReplayVerdict verdict) { return counts_[static_cast<std::size_t>(verdict)] > 0; });
  }

  [[nodiscard]] int Exit() const {
    if (InterruptSignal() != 0) {
      return 128 + InterruptSignal();
    }
    if (HasAny({ReplayVerdict::kFail, ReplayVerdict::kReproduced, ReplayVerdict::kDifferent})) {
      return reports::ExitCode::kFailure;
    }
    if (HasAny({ReplayVerdict::kUnusable})) {
      return reports::ExitCode::kTargetUnusable;
    }
    const bool has_replayed = HasAny({ReplayVerdict::kPass, ReplayVerdict::kFixed, ReplayVerdict::kWarning});
    return refused_count_ > 0 || !has_replayed ? reports::ExitCode::kUsage : reports::ExitCode::kSuccess;
  }

  const Options& options_;
  fuzz::ReplayOptions replay_;
  std::array<std::size_t, fuzz::kReplayVerdictCount> counts_ = {};
  std::map<std::string, std::vector<fuzz::TargetInput>> of_targets_;  // One line for all of a target.
  std::vector<reports::Outcome> outcomes_;                            // Of --html.
  std::set<std::string> told_;                                        // What was said to start.
  std::size_t refused_count_ = 0;
  bool is_short_ = false;
};

// --- shrink ---

constexpr std::chrono::hours kNoTimeLimit{24};  // Only runs are limited, so that the result does not depend on time.

std::string Steps(std::size_t count) { return fmt::format("{} step{}", count, count == 1 ? "" : "s"); }

// Standard output may be the script.
void Tell(const std::string& text) { std::fputs(text.c_str(), stderr); }

// Writes the smallest script where --output says, with `comments` or with its own, and what is the smallest so far now
// and then, where that is no standard output.
class ScriptWriter {
 public:
  ScriptWriter(const fuzz::Finding& finding, std::vector<std::string> comments, const Options& options)
      : steps_before_(finding.script.steps.size()), comments_(std::move(comments)), output_(options.output) {}

  void Note(const fuzz::Finding& best, int tries) {
    constexpr std::chrono::seconds kEvery{1};
    ShowProgress(fmt::format("{} left after {} run{}", Steps(best.script.steps.size()), tries, tries == 1 ? "" : "s"));
    if (const auto now = std::chrono::steady_clock::now(); output_ != "-" && now - written_at_ >= kEvery) {
      written_at_ = now;
      static_cast<void>(Write(best));  // Where it cannot be written, Finish says so.
    }
  }

  // Returns why it cannot be written, or "".
  [[nodiscard]] std::string Finish(const fuzz::Finding& smallest) const {
    Tell(fmt::format("before  {}\nafter   {}\nshows   {}\n", Steps(steps_before_), Steps(smallest.script.steps.size()),
                     Plain(SummaryOf(smallest))));
    return Write(smallest);
  }

 private:
  [[nodiscard]] std::string Write(const fuzz::Finding& best) const {
    std::vector<std::string> comments = comments_;
    if (comments.empty()) {
      comments = {"What:  " + SummaryOf(best), "When:  " + best.target + ", nbdspec " + kVersion};
    }
    // Others may have written them, and they may go to a terminal.
    std::ranges::transform(comments, comments.begin(), reports::Printable);
    return WriteOutput(output_, fuzz::PrintWithComments(best.script, comments));
  }

  std::size_t steps_before_;
  std::vector<std::string> comments_;
  std::string output_;
  std::chrono::steady_clock::time_point written_at_;
};

// The smallest script found that shows `finding` on `target` goes where --output says, with `comments` or with its own.
ExitOrRefusal ShrinkOn(conformance::Target& target, const fuzz::Finding& finding, std::vector<std::string> comments,
                       const Options& options) {
  const fuzz::LiveOptions live = LiveOptionsFrom(options);
  const auto time = options.time_s > 0 ? FromSeconds(options.time_s) : kNoTimeLimit;
  const auto begun = std::chrono::steady_clock::now();
  ScriptWriter writer(finding, std::move(comments), options);
  const auto smallest = fuzz::Reproduce(
      target, finding,
      {.tries_max = options.tries, .time = time, .live = live, .on_smaller = [&](const fuzz::Finding& best, int tries) {
         writer.Note(best, tries);
       }});
  ShowProgress("");
  if (!smallest && InterruptSignal() == 0) {
    if (const auto server = fuzz::LiveServer::Start(target, live); !server) {
      return Unusable(server.error());
    }
    if (std::chrono::steady_clock::now() - begun >= time) {
      return Refuse("there was no time to see it on " + target.Describe() + ": give it more with --time",
                    reports::ExitCode::kTargetUnusable);
    }
    return Refuse("it does not show on " + target.Describe() + ", so there is nothing to shrink",
                  reports::ExitCode::kFailure);
  }
  if (smallest) {
    if (std::string why = writer.Finish(*smallest); !why.empty()) {
      return Refuse(std::move(why), reports::ExitCode::kOurError);
    }
  }
  return InterruptSignal() != 0 ? 128 + InterruptSignal() : reports::ExitCode::kSuccess;
}

constexpr char kClientsAreSmall[] =
    "what a client met is made small when it is found; edit the case and replay it to make it smaller";

ExitOrRefusal Shrink(const fuzz::FindingSubject& subject, const Options& options) {
  if (!subject.finding.client_case.empty()) {
    return Refuse(kClientsAreSmall);
  }
  NBDSPEC_ASSIGN_OR_RETURN(target, TargetOf(subject.finding.target_words, options));
  Tell(fmt::format("starts  {}\n", Plain(target->CommandLine())));
  return ShrinkOn(*target, subject.finding, {}, options);
}

ExitOrRefusal Shrink(const fuzz::ScriptSubject& subject, const Options& options) {
  NBDSPEC_ASSIGN_OR_RETURN(target, TargetOf("reference", options));
  Tell(fmt::format("starts  {}\n", Plain(target->CommandLine())));
  auto ran = RunOnFreshServer(*target, subject.script, LiveOptionsFrom(options));
  if (!ran) {
    return Unusable(ran.error());
  }
  const auto found = fuzz::FindingOf(*std::move(ran));
  if (!found) {
    return Refuse("every answer is allowed, so there is nothing to shrink", reports::ExitCode::kFailure);
  }
  return ShrinkOn(*target, *found, subject.header, options);
}

ExitOrRefusal Shrink(const fuzz::ClientCaseSubject& /*subject*/, const Options& /*options*/) {
  return Refuse(kClientsAreSmall);
}

ExitOrRefusal Shrink(const fuzz::TargetInput& subject, const Options& /*options*/) {
  return Refuse(fuzz::DescribeInput(subject, "shrink") + fuzz::TargetShrinkLine(subject));
}

// The export of a server that is recorded is recorded, too.
std::expected<void, Refusal> ExpectTargetOfExport(const Options& options) {
  return options.export_name.empty() || !options.target.empty()
             ? std::expected<void, Refusal>()
             : Refuse("--export is that of a --target with a command: give that, too");
}

}  // namespace

ExitOrRefusal ReplayCommand(const Options& options) {
  NBDSPEC_RETURN_IF_ERROR(ExpectTargetOfExport(options));
  CatchInterrupts();
  return Replayer(options).Run();
}

ExitOrRefusal ShrinkCommand(const Options& options) {
  NBDSPEC_RETURN_IF_ERROR(ExpectTargetOfExport(options));
  CatchInterrupts();
  if (std::string why = CannotWriteYet(options.output); !why.empty()) {
    return Refuse(std::move(why), reports::ExitCode::kOurError);
  }
  NBDSPEC_ASSIGN_OR_RETURN(subject, fuzz::ReadSubject(options.words.front(), /*for_server=*/!options.target.empty()));
  return std::visit([&](const auto& kind) { return Shrink(kind, options); }, subject);
}

ExitOrRefusal MergeCommand(const Options& options) {
  const std::string& into = options.words.front();
  const std::vector<std::string> from(options.words.begin() + 1, options.words.end());
  std::error_code error;
  for (const std::string& directory : from.empty() ? options.words : from) {
    if (!std::filesystem::is_directory(directory, error)) {
      return Refuse(Plain(directory) + " is no directory of findings");
    }
  }
  const auto merged = fuzz::MergeFindings(
      into, from, [](const engine::Trouble& torn) { Complain(torn.sentence + " It is left out."); });
  if (!merged) {
    return Refuse(merged.error().sentence, reports::ExitCode::kOurError);
  }
  Print(fmt::format("{} new, {} the same as another; {} now in {}\n", merged->new_count, merged->folded_count,
                    fuzz::ListFindings(into).size(), Plain(into)));
  return merged->torn_count > 0 ? reports::ExitCode::kUsage : reports::ExitCode::kSuccess;
}

}  // namespace nbdspec::command
