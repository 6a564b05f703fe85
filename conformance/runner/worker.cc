// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/runner/worker.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <tuple>

#include "conformance/peer/down.h"
#include "conformance/runner/evidence.h"
#include "conformance/runner/runner.h"
#include "engine/base/check.h"

namespace nbdspec::conformance {

using reports::Verdict;

namespace {

// How often a server is started for one setup, when it does not come up or its sanity conversation fails.
constexpr int kStartsMax = 3;
// A start that takes longer has failed; where a check has longer, so has a start.
constexpr std::chrono::milliseconds kStartTimeout{10'000};
// In the first conversation nothing is known of how long an answer takes: this many times the usual limit.
constexpr int kFirstPatience = 5;
// Of the longest wait that was seen, what limits have to leave room for: in one message, in silence, in one check.
constexpr int kWaitsPerReply = 4;
constexpr int kWaitsPerSilence = 2;
constexpr int kWaitsPerCheck = 700;  // Those that send each command with each flag wait 520 times.
// After the last check.
constexpr std::chrono::milliseconds kLastDeathWait{300};
// A server that ends with its client has this time to do so.
constexpr std::chrono::milliseconds kEndWait{1000};

// Why what needs the export was not asked.
std::string NotEntered(const Profile& profile) { return "the export cannot be entered: " + profile.refusal; }

std::pair<Verdict, std::string> TooLate() {
  return {Verdict::kInconclusive, "the run's deadline passed before this check"};
}

// The name of the last message that a client sent, other than to leave; empty when there is none.
std::string LastSent(const Transcript& transcript) {
  const auto& lines = transcript.lines();
  for (std::size_t i = lines.size(); i-- > 0;) {
    if (lines[i].from == Transcript::From::kClient && !lines[i].is_farewell) {
      return transcript.MessageAt(i).name;
    }
  }
  return {};
}

}  // namespace

std::string_view WordsFor(Setup setup) {
  switch (setup) {
    case Setup::kWritable:
      return "";
    case Setup::kReadOnly:
      return " set up as read-only";
    case Setup::kStrictBlockSize:
      return " set up with a minimum block size";
    case Setup::kLarge:
      return " with a large image";
    case Setup::kOnStorage:
      return " on nbdspec's own disk";
    case Setup::kTlsOffered:
      return " set up to offer TLS";
    case Setup::kTlsDemanded:
      return " set up to demand TLS";
  }
  CheckFailed("unknown Setup");
}

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

reports::Outcome BlankOutcome(const Check& check) {
  reports::Outcome outcome = {.id = std::string(check.id)};
  SetClause(spec::RequirementOf(check.id), outcome);
  return outcome;
}

// --- Servers ---

Session::Limits Worker::LimitsNow(int starts) const {
  const std::chrono::milliseconds wait = knowledge_.longest_wait();
  Session::Limits limits = options_.limits;
  limits.reply_timeout += kWaitsPerReply * wait;
  limits.quiet_time += kWaitsPerSilence * wait;
  limits.deadline =
      std::min(deadline_, Transport::Clock::now() + starts * options_.case_timeout + kWaitsPerCheck * wait);
  limits.cancelled = options_.cancelled;
  return limits;
}

ProbeOptions Worker::OrdinaryClient(const Session::Limits& limits) const {
  return {.export_name = target_.ExportName(), .may_write = MayWrite(), .limits = limits};
}

std::expected<Profile, ProbeError> Worker::ProbeNow(Peer& peer) const {
  Session::Limits limits = LimitsNow();
  // A check's time may be shorter than what one answer may take, and its end would look like silence.
  limits.deadline =
      std::min(deadline_, std::max(limits.deadline, Transport::Clock::now() + kFirstPatience * limits.reply_timeout));
  Transcript transcript;
  return Probe(peer, OrdinaryClient(limits), transcript);
}

// With the patience that a server needs of which nothing is known.
std::expected<Profile, ProbeError> Worker::ProbeFresh(Peer& peer, Setup setup) {
  Session::Limits limits = LimitsNow(/*starts=*/kFirstPatience);
  if (!knowledge_.ProfileOf(setup)) {
    limits.reply_timeout =
        std::min(kFirstPatience * limits.reply_timeout, std::max(limits.reply_timeout, options_.case_timeout));
  }
  Transcript transcript;
  ProbeOptions learning = OrdinaryClient(limits);
  learning.asks_extended = true;
  auto profile = Probe(peer, learning, transcript);
  if (profile) {
    knowledge_.Learn(setup, *profile);
  } else {
    profile.error().evidence = EvidenceOf(transcript, Inconclusive(profile.error().sentence));
    profile.error().evidence.standard_error = peer.StandardError();
    profile.error().evidence.ended = peer.Ended().value_or("");
  }
  return profile;
}

PeerOrTrouble Worker::StartPeer(Setup setup) {
  if (IsLate()) {
    return std::unexpected(engine::Trouble{std::string(kNoTimeToStart)});
  }
  const Knowledge::TurnToStart turn(knowledge_, [this] { return Cancelled() || IsLate(); });
  return target_.Start(setup,
                       std::min(deadline_, std::max(LimitsNow().deadline, Transport::Clock::now() + kStartTimeout)));
}

Worker::Server Worker::StartServer(Setup setup) {
  auto started = StartPeer(setup);
  if (!started) {
    return {.peer = nullptr,
            .profile = std::unexpected(ProbeError{.is_unreachable = true, .sentence = started.error().sentence})};
  }
  Server server{.peer = std::move(*started), .profile = Profile{}};
  if (knowledge_.ends_with_client) {
    server.peer->MayEndWithItsClient();
  }
  if (knowledge_.one_client) {
    auto one_client = std::make_unique<OneClientPeer>(std::move(server.peer));
    server.one_client = one_client.get();
    server.peer = std::move(one_client);
  }
  server.profile = ProbeFresh(*server.peer, setup);
  // The look at whether it is up may have been all that it was there for.
  const bool may_have_ended = !server.profile && !knowledge_.ends_with_client;
  if (may_have_ended && server.peer->EndedBy(Transport::Clock::now() + kEndWait) == kEndedWell) {
    knowledge_.ends_with_client = true;
    knowledge_.one_client = true;
    server.peer.reset();  // First: there may be room for only one.
    return StartServer(setup);
  }
  // One conversation that fails need not be the server's way: the checks will find what is.
  if (const auto known = server.profile ? std::nullopt : knowledge_.ProfileOf(setup)) {
    server.profile = *known;
  }
  return server;
}

Worker::Server& Worker::ServerFor(Setup setup) {
  const Setup possible = Possible(setup);
  auto found = servers_.find(possible);
  if (found == servers_.end()) {
    if (one_server_) {
      servers_.clear();
    }
    found = servers_.emplace(possible, StartServer(possible)).first;
  }
  Server& server = found->second;
  if (server.peer == nullptr && servers_.size() > 1) {  // What it needs may be taken by another one.
    std::erase_if(servers_, [&](const auto& each) { return each.first != possible; });
    server = StartServer(possible);
    one_server_ = server.peer != nullptr;
  }
  while (!server.profile && server.start_count < kStartsMax && target_.IsOurs() && !Cancelled() && !IsLate()) {
    const int start_count = server.start_count;
    server.peer.reset();  // First: there may be room for only one.
    server = StartServer(possible);
    server.start_count = start_count + 1;
  }
  return server;
}

void Worker::Restart(Server& server, Setup setup) {
  server.ran.clear();
  const Knowledge::TurnToStart turn(knowledge_, [this] { return Cancelled() || IsLate(); });
  const bool is_ours = target_.IsOurs() && server.peer != nullptr;
  if (is_ours && (IsLate() || !server.peer->Restart())) {
    servers_.erase(Possible(setup));  // ServerFor starts another one.
  }
}

void Worker::LearnHabits() {
  Server& server = ServerFor(Setup::kWritable);
  if (!server.profile || !server.profile->refusal.empty() || knowledge_.one_client) {
    return;
  }
  Transcript transcript;
  std::optional<Session> first;
  ProbeOptions staying = OrdinaryClient(LimitsNow());
  staying.kept = &first;
  const bool begun = Probe(*server.peer, staying, transcript).has_value();
  const auto serves_one_more = [&] {
    const auto profile = ProbeNow(*server.peer);
    return profile && profile->refusal.empty();
  };
  const bool serves_second = begun && serves_one_more();
  if (first) {
    first->Disconnect();
    first->WaitForEnd();
    first.reset();
  }
  const bool serves_third = serves_one_more();
  knowledge_.ends_with_client = !serves_third && server.peer->EndedBy(Transport::Clock::now() + kEndWait) == kEndedWell;
  knowledge_.one_client = knowledge_.ends_with_client || (begun && !serves_second && serves_third);
  if (!serves_third || knowledge_.one_client) {
    server.peer.reset();
    servers_.clear();  // The next one is treated as it wants to be.
  }
}

// --- Checks ---

// Returns whether there is a verdict: there is none where the server does not come up again.
bool Worker::Conclude(const Check& check, reports::Outcome& outcome) {
  std::optional<Trial> met = TryWhileUp(check);
  if (!met) {
    return Cancelled();
  }
  Trial first = *std::move(met);
  Server& server = ServerFor(check.setup);
  const std::vector<const Check*> before = server.ran;
  const auto is_good = [](const Trial& trial) {
    return !trial.did_harm() && (trial.judgement.holds() || trial.judgement.kind == Judgement::Kind::kNotApplicable);
  };
  if (is_good(first)) {
    server.ran.push_back(&check);
    Report(check, std::move(first), outcome);
    return true;
  }
  if (Cancelled()) {
    return true;
  }
  const bool is_refused = server.profile && !server.profile->refusal.empty();
  if (is_refused && !first.did_harm() && first.judgement.kind == Judgement::Kind::kInconclusive) {
    outcome.verdict = Verdict::kSkip;
    outcome.evidence.saw = NotEntered(*server.profile);
    return true;
  }
  // One cause: what an ordinary client meets, too, is no failure of each clause.
  const bool is_own_fault = first.judgement.is_broken() && !first.did_harm() && !first.was_silent;
  if (!server.profile && !is_own_fault) {
    std::tie(outcome.verdict, outcome.evidence.saw) = SkipUnfit(check, server);
    knowledge_.LearnVainCheck();
    Restart(server, check.setup);
    return true;
  }
  AddAftermath(first, server, check.setup);
  if (first.was_silent && first.was_slow) {  // The answer may have been under way.
    if (auto once_more = TryWhileUp(check)) {
      first = *std::move(once_more);
      if (!is_good(first)) {
        AddAftermath(first, ServerFor(check.setup), check.setup);
      }
    }
  }
  std::optional<Trial> again = TryWhileUp(check);
  if (!again) {
    Report(check, std::move(first), outcome);
    return true;
  }
  Trial second = *std::move(again);
  Server& fresh = ServerFor(check.setup);
  if (is_good(second) && !first.did_harm()) {
    fresh.ran.push_back(&check);
  } else {
    AddAftermath(second, fresh, check.setup);
  }
  if (second.died) {  // Alone: it is no other check's doing.
    const std::string message = LastSent(second.transcript);
    const std::string& ended = second.evidence.ended;
    if (const auto others = knowledge_.LearnDeath(check.id, ended, message)) {
      outcome.verdict = Verdict::kSkip;
      outcome.evidence.saw = fmt::format("the server {} after {}, as in {}", ended, message, *others);
      return true;
    }
  }
  Reconcile(check, before, std::move(first), std::move(second), outcome);
  return true;
}

// Two runs of one check, the first on a server that `before` had been asked of, the second on a fresh one.
void Worker::Reconcile(const Check& check, Checks before, Trial first, Trial second, reports::Outcome& outcome) {
  const Verdict at_first = VerdictOf(check, first);
  const Verdict confirmed = VerdictOf(check, second);
  const bool does_so_alone = second.did_harm();
  const bool too_late_to_confirm = second.out_of_time && !first.died;
  const bool was_cut_short = first.out_of_time && !first.did_harm();  // A busy machine says nothing about the server.
  const auto is_anothers_doing = [&] {
    const bool can_tell = confirmed == Verdict::kPass && !second.was_silent;
    return FindCulprit(before, can_tell ? &check : nullptr, check.setup).has_value();
  };
  if (confirmed == at_first) {
    Report(check, std::move(first), outcome);
  } else if (does_so_alone || (!too_late_to_confirm && (was_cut_short || is_anothers_doing()))) {
    Report(check, std::move(second), outcome);
  } else {
    std::string saw = fmt::format("first {}: {}; ", reports::Word(at_first), first.evidence.saw);
    if (too_late_to_confirm) {
      saw += "there was no time to run it again";
      outcome.verdict = Verdict::kInconclusive;
    } else {
      saw +=
          fmt::format("{}run again {}{}{}",
                      first.died ? "it did not end again, neither with this check alone nor with those before; " : "",
                      reports::Word(confirmed), second.evidence.saw.empty() ? "" : ": ", second.evidence.saw);
      outcome.verdict = first.died ? Verdict::kFail : Verdict::kFlaky;
      if (first.died) {
        SetHarm(spec::Harm::kDenial, outcome);
      }
    }
    outcome.evidence = std::move(first.evidence);
    outcome.evidence.saw = std::move(saw);
  }
}

reports::Outcome Worker::Blank(const Check& check) const {
  reports::Outcome outcome = BlankOutcome(check);
  outcome.replay = fmt::format("nbdspec check {} {} --seed {}{}", target_.CommandLine(), check.id, options_.seed,
                               options_.replay_flags);
  return outcome;
}

std::pair<Verdict, std::string> Worker::SkipUnfit(const Check& check, const Server& server) const {
  const Setup setup = Possible(check.setup);
  const bool is_started = server.peer != nullptr;
  knowledge_.LearnUnfit(setup, {.is_unreachable = !is_started,
                                .sentence = server.profile.error().sentence,
                                .evidence = server.profile.error().evidence});
  return {Verdict::kSkip, fmt::format("the server{} {}", WordsFor(setup),
                                      is_started ? "serves no ordinary client" : "could not be started")};
}

std::optional<std::pair<Verdict, std::string>> Worker::WhyNot(const Check& check, const Server& server) const {
  if (IsLate()) {
    return TooLate();
  }
  if (!gone_.empty()) {
    return std::pair(Verdict::kSkip, "the server takes no clients since " + gone_);
  }
  if (server.peer == nullptr && Possible(check.setup) == Setup::kLarge) {
    return std::pair(Verdict::kNotApplicable,
                     "the server does not start with a large image: " + server.profile.error().sentence);
  }
  if (server.peer == nullptr || (!server.profile && (check.needs != 0 || knowledge_.is_vain()))) {
    return SkipUnfit(check, server);
  }
  // A setup decides what a server offers, but for this one: the check would have no disk.
  if (check.setup == Setup::kOnStorage && !target_.CanSetUp(Setup::kOnStorage)) {
    return std::pair(Verdict::kNotApplicable,
                     std::string("the server's disk is not nbdspec's: pass --power-cut to make it so"));
  }
  const bool is_refused = server.profile && !server.profile->refusal.empty();
  if (is_refused && (check.needs & kFeaturesOfExport) != 0) {
    return std::pair(Verdict::kSkip, NotEntered(*server.profile));
  }
  const Features missing = server.profile ? check.needs & ~server.profile->features : 0;
  if (missing == 0) {
    return {};
  }
  if (missing == Feature::kWritable && !MayWrite() && (server.profile->info.flags & TransmissionFlag::kReadOnly) == 0) {
    return std::pair(Verdict::kSkip,
                     std::string("nbdspec did not start the server: pass --allow-write to write to it"));
  }
  return std::pair(Verdict::kNotApplicable, fmt::format("the server does not offer {}", Describe(missing)));
}

std::optional<reports::Outcome> Worker::RunIfStarted(const Check& check) {
  const bool is_started = ServerFor(check.setup).peer != nullptr;
  const bool could_be = knowledge_.ProfileOf(Possible(check.setup)).has_value();
  if (!is_started && could_be && !IsLate() && !Cancelled()) {
    servers_.clear();  // There is room for another worker's, and the next start is the first again.
    return {};
  }
  return RunOnce(check);
}

reports::Outcome Worker::Run(const Check& check) {
  if (auto outcome = RunOnce(check)) {
    return *std::move(outcome);
  }
  reports::Outcome outcome = Blank(check);
  const Server down{.profile = std::unexpected(ProbeError{.sentence = "Checks that start it again could not do so."})};
  std::tie(outcome.verdict, outcome.evidence.saw) = SkipUnfit(check, down);
  return outcome;
}

// Nothing where the server does not come up again.
std::optional<reports::Outcome> Worker::RunOnce(const Check& check) {
  const auto start = Transport::Clock::now();
  reports::Outcome outcome = Blank(check);
  if (auto why_not = WhyNot(check, ServerFor(check.setup))) {
    std::tie(outcome.verdict, outcome.evidence.saw) = *std::move(why_not);
  } else {
    if (!Conclude(check, outcome)) {
      if (!IsLate()) {
        return {};
      }
      std::tie(outcome.verdict, outcome.evidence.saw) = TooLate();
    }
    if (!target_.IsOurs() && !Cancelled()) {
      LookAfter(check, outcome);
    }
  }
  outcome.duration_ms = std::chrono::duration<double, std::milli>(Transport::Clock::now() - start).count();
  return outcome;
}

std::optional<std::string> Worker::Close() {
  std::optional<std::string> held;
  const auto patience = Transport::Clock::now() + kLastDeathWait;
  for (auto& [setup, server] : servers_) {
    if (server.peer == nullptr || !server.profile || !server.profile->refusal.empty() || !gone_.empty()) {
      continue;  // It was never sane, or is gone, and outcomes say so.
    }
    const auto ended = server.peer->EndedBy(patience);
    auto after = ProbeNow(*server.peer);
    if (!after && !ended) {
      after = ProbeNow(*server.peer);  // One that fails may be chance.
    }
    if (IsLate()) {
      return {};
    }
    if (IsDown(*server.peer)) {
      continue;  // It was asked to end by the last check, and could not be started again.
    }
    if (!after || ended) {
      if (FindCulprit(std::vector(server.ran), /*victim=*/nullptr, setup)) {
        continue;  // It fails for that: one cause is one failure.
      }
      return ended ? "the server " + *ended : after.error().sentence;
    }
    held.emplace();
  }
  return held;
}

}  // namespace nbdspec::conformance
