// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/runner/runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/spec/catalogue.h"

namespace nbdspec::conformance {

using reports::Verdict;

namespace {

// Each check has its own seed, so that it runs the same alone as among others. (FNV-1a.)
std::uint64_t SeedFor(std::uint64_t seed, std::string_view id) {
  std::uint64_t hash = 0xcbf29ce484222325 ^ seed;
  for (const char c : id) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return hash;
}

// Why `check` does not apply to a server that offers `features`; empty when it does.
std::string MissingFor(const Check& check, Features features) {
  const Features missing = check.needs & ~features;
  return missing == 0 ? "" : fmt::format("the server does not offer {}", Describe(missing));
}

// The run shared by its workers.
class Runner {
 public:
  Runner(Target& target, std::span<const Check> checks, const RunOptions& options)
      : target_(target),
        checks_(checks),
        options_(options),
        deadline_(options.deadline.count() > 0 ? Transport::Clock::now() + options.deadline
                                               : Transport::Clock::time_point::max()),
        outcomes_(checks.size()) {}

  reports::Run Run() {
    const auto start = Transport::Clock::now();
    reports::Run run{.version = options_.version,
                     .spec = fmt::format("proto.md {} ({})", spec::kSpecRevision, spec::kSpecDate),
                     .seed = options_.seed,
                     .target = target_.Describe()};
    Worker first(target_, options_, deadline_);
    const auto profile = first.Open(Setup::kWritable);
    if (profile) {
      run.advertised = profile->Advertised();
    } else if (profile.error().is_unreachable && !Cancelled()) {
      run.trouble = profile.error().sentence;
      run.exit = reports::ExitCode::kTargetUnusable;
      return run;
    }
    RunAll(first);
    for (auto& outcome : outcomes_) {
      run.outcomes.push_back(outcome ? std::move(*outcome) : NotRun(run.outcomes.size()));
    }
    AddSanity(run, profile ? "" : profile.error().sentence);
    run.exit = reports::ExitFor(reports::TallyOf(run));
    if (Cancelled()) {
      run.trouble = "the run was interrupted";
    } else if (out_of_time_) {
      run.trouble = "the run's deadline passed";
    }
    run.duration_ms = std::chrono::duration<double, std::milli>(Transport::Clock::now() - start).count();
    return run;
  }

 private:
  [[nodiscard]] bool Cancelled() const { return options_.cancelled != nullptr && options_.cancelled->load(); }

  void RunAll(Worker& first) {
    const int worker_count = target_.IsOurs() ? options_.worker_count : 1;
    std::vector<std::thread> threads;
    for (int i = 1; i < worker_count; ++i) {
      threads.emplace_back([this] {
        Worker worker(target_, options_, deadline_);
        Work(worker);
      });
    }
    Work(first);
    for (std::thread& thread : threads) {
      thread.join();
    }
  }

  void Work(Worker& worker) {
    for (std::size_t i = next_++; i < checks_.size() && !Cancelled(); i = next_++) {
      if (Transport::Clock::now() >= deadline_) {
        out_of_time_ = true;
      }
      reports::Outcome outcome = worker.Run(checks_[i]);
      if (Cancelled()) {
        return;  // What was cut short says nothing about the server.
      }
      const std::lock_guard lock(mutex_);
      if (options_.on_outcome) {
        options_.on_outcome(outcome);
      }
      outcomes_[i] = std::move(outcome);
    }
    if (!Cancelled()) {
      std::optional<std::string> trouble = worker.Close();
      const std::lock_guard lock(mutex_);
      if (trouble && (!sanity_after_ || !trouble->empty())) {
        sanity_after_ = std::move(trouble);
      }
    }
  }

  [[nodiscard]] reports::Outcome NotRun(std::size_t index) const {
    reports::Outcome outcome = BlankOutcome(checks_[index]);
    outcome.verdict = Verdict::kSkip;
    outcome.evidence.saw = "the run was interrupted before this check";
    return outcome;
  }

  // The conversations before and after are no clauses, but a run in which one failed is not a good run.
  void AddSanity(reports::Run& run, const std::string& before) {
    if (Cancelled()) {
      return;
    }
    const auto word = [](const std::string& trouble) { return trouble.empty() ? "passed" : "failed"; };
    run.advertised.emplace_back("sanity conversation", fmt::format("{} before the checks, {} after them", word(before),
                                                                   sanity_after_ ? word(*sanity_after_) : "not held"));
    const auto add = [&](const char* id, const char* statement, const std::string& trouble, reports::Verdict verdict) {
      if (!trouble.empty()) {
        run.outcomes.push_back({.id = id,
                                .requirement = id,
                                .statement = statement,
                                .section = "(nbdspec)",
                                .verdict = verdict,
                                .evidence = {.saw = trouble}});
      }
    };
    add("sanity.before", "Before the checks the server serves an ordinary client", before, Verdict::kInconclusive);
    add("sanity.after", "After the checks the server still serves an ordinary client", sanity_after_.value_or(""),
        Verdict::kFail);
  }

  Target& target_;
  std::span<const Check> checks_;
  const RunOptions& options_;
  Transport::Clock::time_point deadline_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<bool> out_of_time_ = false;  // Before some check.
  std::mutex mutex_;                       // Guards the two below, and on_outcome.
  std::vector<std::optional<reports::Outcome>> outcomes_;
  std::optional<std::string> sanity_after_;  // See Worker::Close; why the last one failed.
};

}  // namespace

Verdict VerdictFor(Judgement::Kind kind, const spec::Requirement& requirement) {
  switch (kind) {
    case Judgement::Kind::kHolds:
      return Verdict::kPass;
    case Judgement::Kind::kNotApplicable:
      return Verdict::kNotApplicable;
    case Judgement::Kind::kInconclusive:
      return Verdict::kInconclusive;
    case Judgement::Kind::kBroken:
      return SeverityOf(requirement, spec::Role::kServer) == spec::Severity::kFailure ? Verdict::kFail : Verdict::kWarn;
  }
  CheckFailed("unknown Judgement::Kind");
}

Session::Limits Worker::LimitsNow(int checks) const {
  Session::Limits limits = options_.limits;
  limits.deadline = std::min(deadline_, Transport::Clock::now() + checks * options_.case_timeout);
  limits.cancelled = options_.cancelled;
  return limits;
}

std::expected<Profile, ProbeError> Worker::ProbeNow(Peer& peer) const {
  Transcript transcript;
  return Probe(peer,
               {.export_name = target_.ExportName(),
                .may_write = target_.IsOurs() || options_.allow_write,
                .limits = LimitsNow()},
               transcript);
}

Worker::Server Worker::StartServer(Setup setup) {
  auto peer = target_.Start(setup, LimitsNow().deadline);
  if (!peer) {
    return {.peer = nullptr,
            .profile = std::unexpected(ProbeError{.is_unreachable = true, .sentence = peer.error().sentence})};
  }
  auto profile = ProbeNow(**peer);
  return {.peer = std::move(*peer), .profile = std::move(profile)};
}

Worker::Server& Worker::ServerFor(Setup setup) {
  const Setup possible = target_.CanSetUp(setup) ? setup : Setup::kWritable;
  auto server = servers_.find(possible);
  if (server == servers_.end()) {
    server = servers_.emplace(possible, StartServer(possible)).first;
  }
  return server->second;
}

Worker::Trial Worker::Try(const Check& check, Server& server) {
  Transcript transcript;
  const Profile unknown;
  constexpr int kStartsMax = 3;  // Of a server whose power is cut: a check has time for each, and for itself.
  const Session::Limits limits = LimitsNow(check.setup == Setup::kOnStorage ? kStartsMax + 1 : 1);
  CheckContext context{.peer = *server.peer,
                       .profile = server.profile ? *server.profile : unknown,
                       .export_name = target_.ExportName(),
                       .limits = limits,
                       .requirement = check.requirement(),
                       .random = std::mt19937_64(SeedFor(options_.seed, check.id)),
                       .transcript = transcript};
  Judgement judgement = check.run(context);
  Trial trial{.out_of_time = Transport::Clock::now() >= limits.deadline};
  if (trial.out_of_time && judgement.kind != Judgement::Kind::kNotApplicable) {
    // Silence that was cut short proves nothing, neither for the server nor against it.
    judgement.kind = Judgement::Kind::kInconclusive;
    judgement.saw = fmt::format("the time for this check was over{}{}",
                                judgement.saw.empty() ? "" : "; until then: ", judgement.saw);
  }
  trial.evidence = {.sent = transcript.LastSent(),
                    .allowed = judgement.allowed,
                    .saw = judgement.saw,
                    .place = transcript.Place(),
                    .transcript = transcript.Text()};
  trial.judgement = std::move(judgement);
  if (const auto ended = server.peer->Ended()) {
    trial.died = true;
    trial.judgement.kind = Judgement::Kind::kBroken;
    trial.evidence.saw += fmt::format("{}the server {}", trial.evidence.saw.empty() ? "" : "; then ", *ended);
    trial.evidence.allowed = "a server stays up, whatever a client sends";
  }
  return trial;
}

// What did not hold may have left the server in any state: look, say so, and begin anew.
void Worker::AddAftermath(Trial& trial, Setup setup) {
  Server& server = ServerFor(setup);
  if (server.peer == nullptr) {
    return;
  }
  trial.evidence.standard_error = server.peer->StandardError();
  if (!trial.died) {
    const auto after = ProbeNow(*server.peer);
    if (!after && server.profile) {
      trial.evidence.saw += "; afterwards the server no longer answers: " + after.error().sentence;
    }
  }
  if (target_.IsOurs() && !server.peer->Restart()) {
    servers_.erase(target_.CanSetUp(setup) ? setup : Setup::kWritable);  // ServerFor starts another one.
  }
}

// A busy machine says nothing about the server: a trial that had too little time counts only when the next one is as
// slow.
Worker::Trial Worker::TryInTime(const Check& check) {
  Trial trial = Try(check, ServerFor(check.setup));
  if (!trial.WasCutShort() || Cancelled()) {
    return trial;
  }
  AddAftermath(trial, check.setup);
  Server& again = ServerFor(check.setup);
  return again.peer == nullptr ? std::move(trial) : Try(check, again);
}

void Worker::Conclude(const Check& check, reports::Outcome& outcome) {
  const spec::Requirement& requirement = spec::RequirementOf(check.id);
  const auto verdict_of = [&](const Trial& trial) {
    return trial.died ? Verdict::kFail : VerdictFor(trial.judgement.kind, requirement);
  };
  Trial first = TryInTime(check);
  outcome.verdict = verdict_of(first);
  if (outcome.verdict == Verdict::kPass || outcome.verdict == Verdict::kNotApplicable || Cancelled()) {
    outcome.evidence = std::move(first.evidence);
    return;
  }
  AddAftermath(first, check.setup);
  Server& again = ServerFor(check.setup);
  if (again.peer != nullptr && !first.WasCutShort()) {
    Trial second = Try(check, again);
    const Verdict confirmed = verdict_of(second);
    if (confirmed != outcome.verdict && second.out_of_time) {
      first.evidence.saw = fmt::format("first {}: {}; there was no time to run it again",
                                       reports::Word(outcome.verdict), first.evidence.saw);
      outcome.verdict = Verdict::kInconclusive;
    } else if (confirmed != outcome.verdict) {
      first.evidence.saw =
          fmt::format("first {}: {}; run again {}{}{}", reports::Word(outcome.verdict), first.evidence.saw,
                      reports::Word(confirmed), second.evidence.saw.empty() ? "" : ": ", second.evidence.saw);
      outcome.verdict = Verdict::kFlaky;
    }
    if (confirmed != Verdict::kPass && confirmed != Verdict::kNotApplicable) {
      AddAftermath(second, check.setup);
    }
  }
  outcome.evidence = std::move(first.evidence);
}

reports::Outcome BlankOutcome(const Check& check) {
  const spec::Requirement& requirement = spec::RequirementOf(check.id);
  return {.id = std::string(check.id),
          .requirement = std::string(requirement.id),
          .level = requirement.level,
          .statement = std::string(requirement.statement),
          .section = std::string(requirement.section)};
}

reports::Outcome Worker::Run(const Check& check) {
  const auto start = Transport::Clock::now();
  reports::Outcome outcome = BlankOutcome(check);
  outcome.replay = fmt::format("nbdspec check {} {} --seed {}{}", target_.CommandLine(), check.id, options_.seed,
                               options_.replay_flags);
  Server& server = ServerFor(check.setup);
  // A setup decides what a server offers, but for this one: the check would have no disk.
  const bool has_no_disk = check.setup == Setup::kOnStorage && !target_.CanSetUp(Setup::kOnStorage);
  const std::string missing = has_no_disk      ? "the server's disk is not nbdspec's: pass --power-cut to make it so"
                              : server.profile ? MissingFor(check, server.profile->features)
                                               : "";
  const bool needs_something = check.needs != 0;
  if (start >= deadline_) {
    outcome.verdict = Verdict::kInconclusive;
    outcome.evidence.saw = "the run's deadline passed before this check";
  } else if (server.peer == nullptr || (!server.profile && needs_something)) {
    outcome.verdict = Verdict::kInconclusive;
    outcome.evidence.saw = "the sanity conversation failed: " + server.profile.error().sentence;
  } else if (!missing.empty()) {
    outcome.verdict = Verdict::kNotApplicable;
    outcome.evidence.saw = missing;
  } else {
    Conclude(check, outcome);
  }
  outcome.duration_ms = std::chrono::duration<double, std::milli>(Transport::Clock::now() - start).count();
  return outcome;
}

std::optional<std::string> Worker::Close() {
  std::optional<std::string> held;
  for (auto& [setup, server] : servers_) {
    if (server.peer == nullptr || !server.profile) {
      continue;  // It was never sane, and every outcome says so.
    }
    const auto after = ProbeNow(*server.peer);
    if (Transport::Clock::now() >= deadline_) {
      return {};
    }
    if (!after) {
      return after.error().sentence;
    }
    held.emplace();
  }
  return held;
}

reports::Run RunChecks(Target& target, std::span<const Check> checks, const RunOptions& options) {
  NBDSPEC_CHECK(options.worker_count >= 1 && options.worker_count <= 64);
  return Runner(target, checks, options).Run();
}

}  // namespace nbdspec::conformance
