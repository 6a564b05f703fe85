// SPDX-License-Identifier: BSD-3-Clause
// `nbdspec replay`: what it prints, and its exit code. The work is in fuzz/replay.

#include <fmt/format.h>

#include <array>
#include <map>
#include <utility>
#include <variant>

#include "command/options.h"
#include "command/output.h"
#include "command/servers.h"
#include "fuzz/replay/replay.h"
#include "fuzz/replay/subject.h"
#include "reports/model/run.h"

namespace nbdspec::command {

namespace {

using fuzz::ReplayVerdict;

std::string Line(const char* what, const std::string& text) {
  return text.empty() ? "" : fmt::format("  {:<9} {}\n", what, Plain(text));
}

std::string HeaderText(const std::vector<std::string>& header) {
  std::string text;
  for (const std::string& line : header) {
    text += "  # " + Plain(line) + "\n";
  }
  return text;
}

class Replayer {
 public:
  explicit Replayer(const Options& options)
      : options_(options), replay_{.tries = options.tries, .live = LiveOptionsFrom(options)} {}

  int Run() {
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
    return Exit();
  }

 private:
  void CannotReplay(const std::string& sentence) {
    Complain(Plain(sentence));
    ++refused_count_;
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
    const auto target = TargetOf(finding.target_words, options_);
    if (!target) {
      CannotReplay(subject.path + ": " + target.error().sentence);
      return;
    }
    const std::string now_on = (*target)->Describe();
    const std::string servers = finding.target == now_on ? now_on : finding.target + " then, " + now_on + " now";
    if (!is_short_) {  // Before it runs: somebody else may have written the command.
      Print(Line("starts", (*target)->CommandLine()));
    }
    Report(subject.path, fuzz::ReplayFinding(**target, finding, replay_),
           Line("server", servers) +
               Line("seed",
                    fmt::format("{}, script {}, nbdspec {}", finding.seed, finding.script_number, finding.version)) +
               Line("then", SummaryOf(finding)));
  }

  void Replay(const fuzz::ScriptSubject& subject) {
    const auto target = TargetOf("reference", options_);
    if (!target) {
      CannotReplay(target.error().sentence);
      return;
    }
    Report(subject.path, fuzz::ReplayScript(**target, subject.script, replay_),
           Line("server", (*target)->Describe()) + HeaderText(subject.header));
  }

  void Replay(const fuzz::TargetInput& subject) {
    if (subject.target.empty()) {
      CannotReplay(fuzz::DescribeInput(subject, "replay") + fuzz::TargetReplayLine(subject));
    } else {
      of_targets_[subject.target].push_back(subject);
    }
  }

  void Report(const std::string& path, const fuzz::Replayed& replayed, const std::string& details) {
    if (Interrupted()) {
      return;  // It was cut short: no verdict.
    }
    ++counts_[static_cast<std::size_t>(replayed.verdict)];
    const std::string head = fmt::format("{:<10}  {}", Name(replayed.verdict), Plain(path));
    if (is_short_) {
      Print(head + (replayed.now.empty() ? "\n" : "  " + Plain(replayed.now) + "\n"));
    } else {
      Print(head + "\n" + details + Line("now", replayed.now) + Line("note", replayed.note) +
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
    Print(fmt::format("{} replayed{}\n", total, parts));
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
  std::size_t refused_count_ = 0;
  bool is_short_ = false;
};

}  // namespace

ExitOrRefusal ReplayCommand(const Options& options) {
  CatchInterrupts();
  return Replayer(options).Run();
}

}  // namespace nbdspec::command
