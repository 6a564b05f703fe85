// SPDX-License-Identifier: BSD-3-Clause
// One run of a check on a server: what it shows, and in what state it leaves the server. See worker.h.
#include <fmt/format.h>

#include <chrono>
#include <random>
#include <string_view>
#include <utility>

#include "conformance/peer/down.h"
#include "conformance/runner/evidence.h"
#include "conformance/runner/worker.h"

namespace nbdspec::conformance {

using reports::Verdict;

namespace {

// After what did not hold, a server that is going to die of it gets this time.
constexpr std::chrono::milliseconds kLateDeathWait{150};
// How often a check is tried that starts its server again, where that does not come up.
constexpr int kTriesMax = 5;

// Each check has its own seed, so that it runs the same alone as among others. (FNV-1a.)
std::uint64_t SeedFor(std::uint64_t seed, std::string_view id) {
  std::uint64_t hash = 0xcbf29ce484222325 ^ seed;
  for (const char c : id) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return hash;
}

// What `seen` says in place of `judgement`, of a check of `requirement`: a check that could not judge met a wrong
// answer, or two ends out of step, which outweighs what is only advised.
std::optional<Breach> Outweighs(const Witnesses& seen, const Judgement& judgement,
                                const spec::Requirement& requirement) {
  switch (VerdictFor(judgement.kind, requirement)) {
    case Verdict::kInconclusive:
      return FirstBreach(seen);
    case Verdict::kWarn:
      return FirstOutOfStep(seen);
    default:
      return {};
  }
}

}  // namespace

Worker::Trial Worker::Try(const Check& check, Server& server) {
  Transcript transcript;
  const Profile unknown;
  constexpr int kStarts = 4;  // Of a server whose power is cut, with the first: a check has time for each.
  const Session::Limits limits = LimitsNow(check.setup == Setup::kOnStorage ? kStarts : 1);
  CheckContext context{.peer = *server.peer,
                       .profile = server.profile ? *server.profile : unknown,
                       .export_name = target_.ExportName(),
                       .limits = limits,
                       .requirement = check.requirement(),
                       .random = std::mt19937_64(SeedFor(options_.seed, check.id)),
                       .transcript = transcript};
  if (options_.extended && context.Offers(Feature::kExtendedHeaders)) {
    context.headers = HeaderForm::kExtended;
  }
  Judgement judgement = check.run(context);
  Trial trial{.was_silent = transcript.has_silence(), .out_of_time = Transport::Clock::now() >= limits.deadline};
  if (server.one_client != nullptr && server.one_client->TakeNeededTwo()) {
    judgement = NotApplicable("it takes two clients at once, and the server serves one at a time");
  }
  // Without an image nobody knows what of one server's bytes the next one has.
  if (knowledge_.ends_with_client && !target_.CanRunTwice() && context.connection_count > 1 && judgement.is_broken()) {
    judgement = NotApplicable("each client has a server of its own, and this check needs two clients of one");
  }
  const bool waits_for_its_disk = check.setup == Setup::kOnStorage && trial.was_silent;
  if (auto breach = Outweighs(context.witnesses, judgement, spec::RequirementOf(check.id));
      breach && !waits_for_its_disk) {
    judgement = About(std::move(breach->about), Broken(std::move(breach->saw), breach->allowed));
    judgement.requirement = breach->requirement;
  }
  if (trial.out_of_time && judgement.kind != Judgement::Kind::kNotApplicable) {
    // Silence that was cut short proves nothing, neither for the server nor against it.
    judgement.kind = Judgement::Kind::kInconclusive;
    judgement.saw = fmt::format("the time for this check was over{}{}",
                                judgement.saw.empty() ? "" : "; until then: ", judgement.saw);
  }
  const std::optional<std::string> ended = server.peer->Ended();
  trial.was_down = ended == kIsDown;
  if (trial.was_down) {
    judgement = Inconclusive("the server could not be started again");
  }
  trial.evidence = EvidenceOf(transcript, judgement);
  trial.judgement = std::move(judgement);
  trial.transcript = std::move(transcript);
  NoteDeath(trial, ended);
  return trial;
}

void Worker::Trial::Accuse(std::string saw, std::string_view allowed) {
  const std::string_view requirement = judgement.requirement;
  judgement = About({.is_last_sent = true}, Broken(std::move(saw), allowed));
  judgement.requirement = requirement;
  evidence = EvidenceOf(transcript, judgement);
}

void Worker::NoteDeath(Trial& trial, const std::optional<std::string>& ended) {
  if (ended && ended != kIsDown && !trial.died) {
    trial.died = true;
    const std::string before = trial.evidence.saw.empty() ? "" : trial.evidence.saw + "; then ";
    trial.Accuse(fmt::format("{}the server {}", before, *ended), "a server stays up, whatever a client sends");
    trial.evidence.ended = *ended;
  }
}

Verdict Worker::VerdictOf(const Check& check, const Trial& trial) {
  return trial.did_harm() ? Verdict::kFail : VerdictFor(trial.judgement.kind, ClauseOf(check, trial));
}

const spec::Requirement& Worker::ClauseOf(const Check& check, const Trial& trial) {
  const std::string_view other = trial.judgement.requirement;
  return spec::RequirementOf(other.empty() || !trial.judgement.is_broken() ? check.id : other);
}

void Worker::Report(const Check& check, Trial trial, reports::Outcome& outcome) {
  outcome.verdict = VerdictOf(check, trial);
  SetClause(ClauseOf(check, trial), outcome);
  if (trial.did_harm()) {
    SetHarm(spec::Harm::kDenial, outcome);
  }
  outcome.evidence = std::move(trial.evidence);
}

// What did not hold may have left the server in any state: look, say so, and begin anew.
void Worker::AddAftermath(Trial& trial, Server& server, Setup setup) {
  if (!trial.died) {
    auto after = ProbeNow(*server.peer);
    NoteDeath(trial, server.peer->EndedBy(Transport::Clock::now() + kLateDeathWait));
    if (!after && !trial.died) {
      after = ProbeNow(*server.peer);  // One that fails may be chance.
      NoteDeath(trial, server.peer->Ended());
    }
    if (!after && !trial.died && !IsDown(*server.peer) && server.profile && !IsLate()) {
      trial.fell_silent = true;
      trial.evidence.saw += (trial.evidence.saw.empty() ? "" : "; ") +
                            ("afterwards the server no longer answers: " + after.error().sentence);
    }
    trial.was_slow = after && knowledge_.LearnWait(after->longest_wait);
  }
  trial.evidence.standard_error = server.peer->StandardError();
  Restart(server, setup);
}

// A trial on a server that is up, or comes up again where the check wants it to; nothing where it does not.
std::optional<Worker::Trial> Worker::TryWhileUp(const Check& check) {
  for (int try_count = 0; try_count < kTriesMax && !Cancelled(); ++try_count) {
    Server& server = ServerFor(check.setup);
    if (server.peer == nullptr) {
      break;
    }
    if (Trial trial = Try(check, server); !trial.was_down) {
      return trial;
    }
    Restart(server, check.setup);
  }
  return {};
}

}  // namespace nbdspec::conformance
