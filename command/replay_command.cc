// SPDX-License-Identifier: BSD-3-Clause
// `nbdspec replay`: what it prints, and its exit code. The work is in fuzz/replay.

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <utility>
#include <variant>

#include "command/commands.h"
#include "command/interrupt.h"
#include "conformance/peer/reference_target.h"
#include "fuzz/replay/replay.h"
#include "reports/model/run.h"

namespace nbdspec::conformance {

namespace {

using fuzz::ReplayVerdict;

constexpr std::size_t kVerdictCount = 6;

// `text` for a terminal: what others have written may hold anything.
std::string Plain(const std::string& text) {
  std::string plain;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      plain += "\n            ";
    } else if (byte < 0x20 || byte >= 0x7f) {
      plain += fmt::format("\\x{:02x}", byte);
    } else {
      plain += c;
    }
  }
  return plain;
}

void Print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);  // What comes next may abort, or be killed.
}

std::string Line(const char* what, const std::string& text) {
  return text.empty() ? "" : fmt::format("  {:<9} {}\n", what, Plain(text));
}

class Replayer {
 public:
  explicit Replayer(const ReplayCommandOptions& options)
      : options_(options),
        replay_{.tries = options.tries,
                .live = {.in_flight = options.in_flight,
                         .reply_timeout =
                             std::chrono::milliseconds(static_cast<std::int64_t>(options.reply_timeout_s * 1000)),
                         .cancelled = &Interrupted()}} {}

  int Run() {
    std::vector<std::string> paths;
    for (const std::string& path : options_.paths) {
      auto found = fuzz::SubjectsIn(path);
      if (!found) {
        Refuse(found.error().sentence);
        continue;
      }
      paths.insert(paths.end(), found->begin(), found->end());
    }
    is_short_ = paths.size() > 1 && !options_.verbose;
    for (const std::string& path : paths) {
      if (Interrupted()) {
        break;
      }
      ReplayOne(path);
    }
    if (paths.size() > 1) {
      PrintSummary();
    }
    return Exit();
  }

 private:
  void Refuse(const std::string& sentence) {
    std::fputs(fmt::format("nbdspec: {}\n", Plain(sentence)).c_str(), stderr);
    ++refused_count_;
  }

  void ReplayOne(const std::string& path) {
    auto subject = fuzz::ReadSubject(path, options_.as);
    if (!subject) {
      Refuse(subject.error().sentence);
      return;
    }
    std::visit([this](const auto& kind) { Replay(kind); }, *subject);
  }

  void Replay(const fuzz::FindingSubject& subject) {
    const fuzz::Finding& finding = subject.finding;
    auto target = options_.target.empty() ? TargetFromCommandLine(finding.target_words, options_.allow_write)
                                          : TargetFromWord(options_.target, options_.allow_write);
    if (!target) {
      Refuse(subject.path + ": " + target.error().sentence);
      return;
    }
    const std::string now_on = (*target)->Describe();
    const std::string servers = finding.target == now_on ? now_on : finding.target + " then, " + now_on + " now";
    if (!is_short_) {  // Before it runs: it is a command that somebody else may have written.
      Print(Line("starts", (*target)->CommandLine()));
    }
    const fuzz::Replayed replayed = fuzz::ReplayFinding(**target, finding, replay_);
    Tell(subject.path, replayed,
         Line("server", servers) +
             Line("seed",
                  fmt::format("{}, script {}, nbdspec {}", finding.seed, finding.script_number, finding.version)) +
             Line("then", WrongText(finding)));
  }

  void Replay(const fuzz::CorpusSubject& subject) {
    if (!options_.target.empty()) {
      return ReplayAsScript(subject);
    }
    if (!subject.target->elsewhere.empty()) {
      Print(fmt::format("{:<10}  {}\n", "SKIPPED", Plain(subject.path)));
      Print(Line("why",
                 fmt::format("{} has a program of its own, for {}: bazel run //fuzz/targets:{}_fuzz -- {}",
                             subject.target->name, subject.target->elsewhere, subject.target->name, subject.path)));
      ++skipped_count_;
      return;
    }
    if (options_.verbose) {  // What aborts is then named by the last line.
      Print(fmt::format("replay      {}\n", Plain(subject.path)));
    }
    const auto replayed = fuzz::ReplayInput(subject);
    if (!replayed) {
      Refuse(subject.path + ": " + replayed.error().sentence);
      return;
    }
    Tell(subject.path, *replayed, Line("target", std::string(subject.target->name)) + Header(subject.header));
  }

  // An input of a target that takes scripts, on a server.
  void ReplayAsScript(const fuzz::CorpusSubject& subject) {
    auto script = subject.target->find_in_script != nullptr ? engine::ReadScript(subject.input, subject.target->limits)
                                                            : engine::Script{};
    if (!fuzz::HasRequests(script)) {
      Refuse(subject.path + " asks a server for nothing: leave --target away");
      return;
    }
    Replay(fuzz::ScriptSubject{.path = subject.path, .script = std::move(script), .header = subject.header});
  }

  void Replay(const fuzz::ScriptSubject& subject) {
    auto target = options_.target.empty() ? ReferenceTarget() : nullptr;
    if (!target) {
      auto named = TargetFromWord(options_.target, options_.allow_write);
      if (!named) {
        Refuse(named.error().sentence);
        return;
      }
      target = *std::move(named);
    }
    const fuzz::Replayed replayed = fuzz::ReplayScript(*target, subject.script, replay_);
    Tell(subject.path, replayed, Line("server", target->Describe()) + Header(subject.header));
  }

  [[nodiscard]] static std::string Header(const std::vector<std::string>& header) {
    std::string text;
    for (const std::string& line : header) {
      text += "  # " + Plain(line) + "\n";
    }
    return text;
  }

  void Tell(const std::string& path, const fuzz::Replayed& replayed, const std::string& details) {
    if (Interrupted()) {
      return;  // It was cut short: no verdict.
    }
    ++counts_[static_cast<std::size_t>(replayed.verdict)];
    std::string text = fmt::format("{:<10}  {}\n", Name(replayed.verdict), Plain(path));
    if (is_short_) {
      text.pop_back();
      text += replayed.now.empty() ? "\n" : "  " + Plain(replayed.now) + "\n";
    } else {
      text += details + Line("now", replayed.now) + Line("note", replayed.note);
    }
    Print(text);
  }

  void PrintSummary() const {
    std::size_t total = 0;
    std::string parts;
    for (std::size_t i = 0; i < kVerdictCount; ++i) {
      total += counts_[i];
      if (counts_[i] > 0) {
        parts += fmt::format("{} {} {}", parts.empty() ? ":" : ",", counts_[i], Name(static_cast<ReplayVerdict>(i)));
      }
    }
    parts += skipped_count_ > 0 ? fmt::format("; {} skipped", skipped_count_) : "";
    parts += refused_count_ > 0 ? fmt::format("; {} could not be read", refused_count_) : "";
    Print(fmt::format("{} replayed{}\n", total, parts));
  }

  [[nodiscard]] std::size_t Count(ReplayVerdict verdict) const { return counts_[static_cast<std::size_t>(verdict)]; }

  [[nodiscard]] int Exit() const {
    if (InterruptSignal() != 0) {
      return 128 + InterruptSignal();
    }
    if (Count(ReplayVerdict::kFail) + Count(ReplayVerdict::kReproduced) + Count(ReplayVerdict::kDifferent) > 0) {
      return reports::ExitCode::kFailure;
    }
    if (Count(ReplayVerdict::kUnusable) > 0) {
      return reports::ExitCode::kTargetUnusable;
    }
    const bool has_replayed = Count(ReplayVerdict::kPass) + Count(ReplayVerdict::kFixed) > 0;
    return refused_count_ > 0 || !has_replayed ? reports::ExitCode::kUsage : reports::ExitCode::kSuccess;
  }

  const ReplayCommandOptions& options_;
  fuzz::ReplayOptions replay_;
  std::array<std::size_t, kVerdictCount> counts_ = {};
  std::size_t skipped_count_ = 0;
  std::size_t refused_count_ = 0;
  bool is_short_ = false;
};

}  // namespace

int ReplayCommand(const ReplayCommandOptions& options) {
  CatchInterrupts();
  return Replayer(options).Run();
}

}  // namespace nbdspec::conformance
