// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/runner/worker.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

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
  for (int i = 0; i < kFeatureCount; ++i) {
    const auto feature = static_cast<Feature>(i);
    if (check.needs.Has(feature) && !features.Has(feature)) {
      return fmt::format("the server does not offer {}", Describe(feature));
    }
  }
  return {};
}

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

Session::Limits Worker::LimitsFor(std::chrono::milliseconds wait) const {
  Session::Limits limits = options_.limits;
  limits.deadline = std::min(deadline_, Transport::Clock::now() + wait);
  limits.cancelled = options_.cancelled;
  return limits;
}

ProbeOptions Worker::ProbeOptionsNow() const {
  return {.export_name = target_.ExportName(),
          .may_write = target_.IsOurs() || options_.allow_write,
          .limits = LimitsFor(options_.case_timeout)};
}

Worker::Server Worker::StartServer(Setup setup) {
  auto peer = target_.Start(setup, LimitsFor(options_.case_timeout).deadline);
  if (!peer) {
    return {.peer = nullptr,
            .profile = std::unexpected(ProbeError{.is_unreachable = true, .sentence = peer.error().sentence})};
  }
  Transcript transcript;
  auto profile = Probe(**peer, ProbeOptionsNow(), transcript);
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
  const Session::Limits limits = LimitsFor(options_.case_timeout);
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
void Worker::AddAftermath(Trial& trial, Server& server, Setup setup) {
  trial.evidence.standard_error = server.peer->StandardError();
  if (!trial.died) {
    Transcript transcript;
    const auto after = Probe(*server.peer, ProbeOptionsNow(), transcript);
    if (!after && server.profile) {
      trial.evidence.saw += "; afterwards the server no longer answers: " + after.error().sentence;
    }
  }
  if (target_.IsOurs()) {
    if (!server.peer->Restart()) {
      servers_.erase(target_.CanSetUp(setup) ? setup : Setup::kWritable);  // ServerFor starts another one.
    }
  }
}

void Worker::Conclude(const Check& check, Server& server, reports::Outcome& outcome) {
  const spec::Requirement& requirement = spec::RequirementOf(check.id);
  const auto verdict_of = [&](const Trial& trial) {
    return trial.died ? Verdict::kFail : VerdictFor(trial.judgement.kind, requirement);
  };
  Trial first = Try(check, server);
  outcome.verdict = verdict_of(first);
  if (outcome.verdict == Verdict::kPass || outcome.verdict == Verdict::kNotApplicable) {
    outcome.evidence = std::move(first.evidence);
    return;
  }
  if (Cancelled()) {
    return;
  }
  AddAftermath(first, server, check.setup);
  Server& again = ServerFor(check.setup);
  if (again.peer != nullptr) {
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
      AddAftermath(second, again, check.setup);
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
  const std::string missing = server.profile ? MissingFor(check, server.profile->features) : "";
  const bool needs_something = !MissingFor(check, {}).empty();
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
    Conclude(check, server, outcome);
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
    Transcript transcript;
    const auto after = Probe(*server.peer, ProbeOptionsNow(), transcript);
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

}  // namespace nbdspec::conformance
