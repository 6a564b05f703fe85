// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/clients/client_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "conformance/clients/client_transcript.h"
#include "conformance/peer/process/process.h"
#include "conformance/peer/process/room.h"
#include "conformance/runner/evidence.h"
#include "conformance/runner/runner.h"
#include "engine/base/check.h"
#include "engine/base/quoted.h"
#include "engine/spec/catalogue.h"
#include "reports/model/marks.h"

namespace nbdspec::conformance {

namespace {

using Clock = Transport::Clock;
using reports::Message;
using reports::Verdict;

// --- What a report says of a judgement ---

// The play that was judged, and in it the message.
reports::Evidence EvidenceOf(const Performance& performance, const ClientJudgement& judged) {
  const Judgement& judgement = judged.judgement;
  reports::Evidence evidence{.allowed = judgement.allowed, .saw = judgement.saw};
  if (!judgement.is_broken() || judged.place.play >= performance.plays.size()) {
    return evidence;
  }
  const ClientPlay& play = performance.plays[judged.place.play];
  evidence.sent = fmt::format("in scenario {}: {}", performance.scenario->name, play.command);
  evidence.standard_error = play.run.words;
  evidence.ended = play.run.has_hung() ? "was stopped when its time was over" : play.run.ended;
  evidence.bars = judged.harm == spec::Harm::kData ? play.bars : std::vector<reports::Bar>();
  const Transcript transcript = TranscriptOf(play.run);
  std::vector<Message::Part> parts;
  for (std::size_t c = 0; c < play.run.records.size(); ++c) {
    for (std::size_t i = 0; i < play.run.records[c].seen.size() && parts.size() < transcript.lines().size(); ++i) {
      const bool is_judged = judged.place.message == i && judged.place.connection == c;
      parts.push_back(is_judged ? Message::Part::kJudged : Message::Part::kNone);
    }
  }
  evidence.transcript = transcript.Text();
  for (const std::size_t index : reports::NearestToVerdict(parts, kMessagesShownMax)) {
    evidence.messages.push_back(transcript.MessageAt(index));
    evidence.messages.back().part = parts[index];
    if (parts[index] == Message::Part::kJudged) {
      reports::MarkNamedFields(evidence.messages.back(), judgement.allowed);
      evidence.place = PlaceOf(evidence.messages.back());
    }
  }
  return evidence;
}

reports::Outcome BlankOutcome(const ClientCheck& check) {
  reports::Outcome outcome;
  outcome.id = check.id;
  SetClause(spec::RequirementOf(check.id), outcome);
  return outcome;
}

// Harm is a failure whatever the clause says.
Verdict VerdictOn(const ClientJudgement& judged, const ClientCheck& check) {
  switch (judged.judgement.kind) {
    case Judgement::Kind::kHolds:
      return Verdict::kPass;
    case Judgement::Kind::kInconclusive:
      return Verdict::kInconclusive;
    case Judgement::Kind::kNotApplicable:
      return Verdict::kNotApplicable;
    case Judgement::Kind::kBroken:
      break;
  }
  const bool is_failure = judged.harm != spec::Harm::kUnsaid ||
                          SeverityOf(spec::RequirementOf(check.id), spec::Role::kClient) == spec::Severity::kFailure;
  return is_failure ? Verdict::kFail : Verdict::kWarn;
}

// --- The run ---

class Runner {
 public:
  Runner(const ClientWays& ways, std::span<const ClientCheck> checks, const ClientRunOptions& options)
      : ways_(ways),
        checks_(checks),
        options_(options),
        deadline_(options.deadline.count() > 0 ? Clock::now() + options.deadline : Clock::time_point::max()),
        outcomes_(checks.size()) {
    ChooseScenarios();
  }

  reports::Run Run() {
    const auto start = Clock::now();
    reports::Run run = BegunRun(options_.version, 0);
    run.target = options_.description;
    run.server.words = options_.client_words;
    {
      const int thread_count = std::min(options_.worker_count, static_cast<int>(scenarios_.size())) - 1;
      const auto threads = StartThreads(thread_count, [this] { Work(); });
      Work();
    }
    for (std::size_t i = 0; i < checks_.size(); ++i) {
      run.outcomes.push_back(OutcomeOf(i));
    }
    run.exit = reports::ExitFor(run);
    if (trouble_) {
      run.trouble = *trouble_;
      run.exit = reports::ExitCode::kTargetUnusable;
    } else if (IsCancelled()) {
      run.trouble = "the run was interrupted";
    } else if (is_out_of_time_) {
      run.trouble = "the run's deadline passed";
      run.exit = std::max(run.exit, reports::ExitCode::kTargetUnusable);
    } else if (std::string never = NeverConnected(); !never.empty()) {
      run.trouble = std::move(never);
      run.exit = run.exit == reports::ExitCode::kFailure ? run.exit : reports::ExitCode::kTargetUnusable;
    }
    run.duration_ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
    return run;
  }

 private:
  [[nodiscard]] bool IsCancelled() const { return options_.cancelled != nullptr && options_.cancelled->load(); }

  void ChooseScenarios() {
    std::set<std::string_view> names;
    bool has_wire = false;
    for (const ClientCheck& check : checks_) {
      has_wire |= check.scenario.empty();
      if (!check.scenario.empty()) {
        names.insert(check.scenario);
      }
    }
    const bool plays_right =
        std::ranges::any_of(names, [](std::string_view name) { return ScenarioNamed(name).serves == Serves::kRight; });
    for (const Scenario& scenario : AllScenarios()) {
      const bool is_of_wire =
          has_wire && (scenario.name == "plain" || (!plays_right && scenario.serves == Serves::kRight));
      if (is_of_wire || names.contains(scenario.name)) {
        scenarios_.push_back(&scenario);
      }
    }
  }

  void Work() {
    for (std::size_t i = next_++; i < scenarios_.size() && !IsCancelled(); i = next_++) {
      if (Clock::now() >= deadline_) {
        is_out_of_time_ = true;
        return;
      }
      if (!PlayOne(*scenarios_[i])) {
        return;
      }
    }
  }

  [[nodiscard]] bool IsOf(const ClientCheck& check, const Scenario& scenario) const {
    return check.scenario.empty() || check.scenario == scenario.name;
  }

  // Whether a rule that holds in all scenarios was broken in one, twice: no other one changes that.
  [[nodiscard]] bool IsDecided(std::size_t index) {
    const std::lock_guard lock(mutex_);
    const auto& kept = outcomes_[index];
    return kept && (kept->verdict == Verdict::kFail || kept->verdict == Verdict::kWarn);
  }

  // Returns whether there is sense in going on.
  bool PlayOne(const Scenario& scenario) {
    auto first = Play(scenario, ways_, options_.time);
    if (!first) {
      return Give(first.error());
    }
    NoteConnections(*first);
    std::optional<Performance> again;
    for (std::size_t i = 0; i < checks_.size(); ++i) {
      if (!IsOf(checks_[i], scenario) || IsCancelled() || IsDecided(i)) {
        continue;
      }
      const ClientJudgement judged = checks_[i].judge(*first);
      reports::Outcome outcome = OutcomeFor(checks_[i], *first, judged);
      if (judged.judgement.is_broken() && options_.plays_again) {
        if (!again) {
          auto second = Play(scenario, ways_, options_.time);
          if (!second) {
            return Give(second.error());
          }
          again = *std::move(second);
        }
        if (IsCancelled()) {
          break;  // It was cut short, so it shows nothing.
        }
        if (!checks_[i].judge(*again).judgement.is_broken()) {
          outcome.verdict = Verdict::kFlaky;
        }
      }
      Keep(i, std::move(outcome));
    }
    return true;
  }

  // A command that never connects asks nothing and is asked nothing: that nothing failed then means nothing.
  void NoteConnections(const Performance& performance) {
    const std::lock_guard lock(mutex_);
    for (const ClientPlay& play : performance.plays) {
      std::string& why =
          never_connected_.try_emplace(play.command, play.run.ended + ". " + TellLastWords(play.run.words))
              .first->second;
      if (!play.run.records.empty()) {
        why.clear();
      }
    }
  }

  // The commands that did not connect in any scenario, and how one run of each ended; empty when all did.
  [[nodiscard]] std::string NeverConnected() const {
    std::string sentences;
    for (const auto& [command, why] : never_connected_) {
      if (!why.empty()) {
        sentences += fmt::format("{}The command {} never connected; it {}", sentences.empty() ? "" : "\n",
                                 engine::Quoted(command, 200), why);
      }
    }
    return sentences;
  }

  bool Give(const engine::Trouble& trouble) {
    const std::lock_guard lock(mutex_);
    trouble_ = trouble_.value_or(trouble.sentence);
    next_ = scenarios_.size();
    return false;
  }

  reports::Outcome OutcomeFor(const ClientCheck& check, const Performance& performance,
                              const ClientJudgement& judged) const {
    reports::Outcome outcome = BlankOutcome(check);
    outcome.verdict = VerdictOn(judged, check);
    SetHarm(judged.harm, outcome);
    outcome.evidence = EvidenceOf(performance, judged);
    outcome.replay = fmt::format("nbdspec client {} '{}'", options_.client_words, check.id);
    return outcome;
  }

  // The worse of two: a rule is judged in many scenarios.
  void Keep(std::size_t index, reports::Outcome outcome) {
    const auto rank = [](Verdict verdict) {
      switch (verdict) {
        case Verdict::kFail:
          return 5;
        case Verdict::kFlaky:
          return 4;
        case Verdict::kInconclusive:
          return 3;
        case Verdict::kWarn:
          return 2;
        case Verdict::kPass:
          return 1;
        default:
          return 0;
      }
    };
    const std::lock_guard lock(mutex_);
    auto& kept = outcomes_[index];
    if (!kept || rank(outcome.verdict) > rank(kept->verdict)) {
      kept = std::move(outcome);
    }
    if (options_.on_outcome && !checks_[index].scenario.empty()) {
      options_.on_outcome(*kept);
    }
  }

  reports::Outcome OutcomeOf(std::size_t index) {
    if (!outcomes_[index]) {
      reports::Outcome outcome = BlankOutcome(checks_[index]);
      outcome.verdict = Verdict::kSkip;
      outcome.evidence.saw = "the run ended before its scenario was played";
      return outcome;
    }
    if (options_.on_outcome && checks_[index].scenario.empty()) {
      options_.on_outcome(*outcomes_[index]);
    }
    return *std::move(outcomes_[index]);
  }

  const ClientWays& ways_;
  std::span<const ClientCheck> checks_;
  const ClientRunOptions& options_;
  Clock::time_point deadline_;
  std::vector<const Scenario*> scenarios_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<bool> is_out_of_time_ = false;
  std::mutex mutex_;                                    // Guards the three below, and on_outcome.
  std::map<std::string, std::string> never_connected_;  // By command; empty once it has.
  std::vector<std::optional<reports::Outcome>> outcomes_;
  std::optional<std::string> trouble_;
};

}  // namespace

reports::Run RunClientChecks(const ClientWays& ways, std::span<const ClientCheck> checks,
                             const ClientRunOptions& options) {
  NBDSPEC_CHECK(options.worker_count >= 1 && options.worker_count <= 64);
  return Runner(ways, checks, options).Run();
}

}  // namespace nbdspec::conformance
