// SPDX-License-Identifier: BSD-3-Clause
// Which of the checks that a server was asked has broken it: a server may die, or fall silent, some time after.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <ranges>
#include <thread>

#include "conformance/peer/down.h"
#include "conformance/runner/evidence.h"
#include "conformance/runner/worker.h"

namespace nbdspec::conformance {

using reports::Verdict;

namespace {

// A suspect is waited for longer than a check: a death may take as long as a sanitizer's report.
constexpr std::chrono::milliseconds kReportWait{500};
// A server of others may be started again by whoever watches it.
constexpr std::chrono::milliseconds kReturnWait{1000};
constexpr std::chrono::milliseconds kReturnPause{50};
constexpr std::size_t kNamedMax = 5;

constexpr std::string_view kStaysUp = "a server stays up, and goes on serving, whatever a client sends";

}  // namespace

// Whether `check` breaks a fresh server, one of some: by itself, and by chance.
bool Worker::DoesHarmAlone(const Check& check, Setup setup) {
  constexpr int kServers = 3;
  for (int i = 0; i < kServers; ++i) {
    Restart(ServerFor(setup), setup);
    if (Server& server = ServerFor(setup); server.peer != nullptr && Try(check, server).did_harm()) {
      return true;
    }
  }
  return false;
}

// What `suspects` do to a fresh server, one after the other: nothing when it goes on serving, `victim` too.
std::optional<Worker::Trial> Worker::HarmOf(Checks suspects, const Check* victim, Setup setup) {
  Restart(ServerFor(setup), setup);
  Server& server = ServerFor(setup);
  if (server.peer == nullptr) {
    return {};
  }
  Trial trial;
  for (const Check* suspect : suspects) {
    trial = Try(*suspect, server);
    if (trial.died) {
      return trial;
    }
  }
  const auto is_down = [&] { return IsDown(*server.peer); };  // That is nobody's doing.
  // What the end of the run cuts short proves nothing.
  const auto serves = [&] { return ProbeNow(*server.peer).has_value() || Transport::Clock::now() >= deadline_; };
  NoteDeath(trial, server.peer->EndedBy(Transport::Clock::now() + kReportWait));
  if (!trial.died && !serves() && !serves() && !is_down()) {
    NoteDeath(trial, server.peer->Ended());
    trial.fell_silent = !trial.died;
    if (trial.fell_silent) {
      trial.Accuse("afterwards the server no longer serves an ordinary client", kStaysUp);
    }
  }
  if (!trial.did_harm() && victim != nullptr && !is_down()) {
    const Trial shown = Try(*victim, server);
    const std::string standard_error = server.peer->StandardError();
    trial.fell_silent = (shown.was_silent && !shown.was_down) || (shown.did_harm() && !DoesHarmAlone(*victim, setup));
    trial.Accuse(fmt::format("afterwards the server did not serve {}: {}", victim->id, shown.evidence.saw), kStaysUp);
    trial.evidence.standard_error = standard_error;
  } else {
    trial.evidence.standard_error = server.peer->StandardError();
  }
  trial.evidence.allowed = kStaysUp;
  return trial.did_harm() ? std::optional(std::move(trial)) : std::nullopt;
}

// Looks among `before` for the one that breaks a fresh server by itself, and revises its outcome. Returns its id.
std::optional<std::string> Worker::FindCulprit(Checks before, const Check* victim, Setup setup) {
  if (!target_.IsOurs()) {
    return {};
  }
  const auto may_go_on = [this] { return !Cancelled() && Transport::Clock::now() < deadline_; };
  // It is one of the last, as a rule: from there back, in steps that grow.
  Checks range;
  for (std::size_t count = 1, innocent = 0; range.empty() && innocent < before.size() && may_go_on(); count *= 2) {
    const Checks suspects = before.last(std::min(count, before.size()));
    if (HarmOf(suspects, victim, setup)) {
      range = suspects.first(suspects.size() - innocent);
    }
    innocent = suspects.size();
  }
  while (range.size() > 1 && may_go_on()) {
    const Checks half = range.last(range.size() / 2);
    range = HarmOf(half, victim, setup) ? half : range.first(range.size() - half.size());
  }
  std::optional<Trial> harm = range.size() == 1 ? HarmOf(range, victim, setup) : std::nullopt;
  Restart(ServerFor(setup), setup);
  if (!harm) {
    return {};
  }
  const Check& culprit = *range.front();
  reports::Outcome outcome = Blank(culprit);
  outcome.verdict = Verdict::kFail;
  SetHarm(spec::Harm::kDenial, outcome);
  outcome.evidence = std::move(harm->evidence);
  revised_.emplace_back(&culprit, std::move(outcome));
  return std::string(culprit.id);
}

// A server that nbdspec did not start: when it takes no more clients, this check, or one of the last before it, is why.
void Worker::LookAfter(const Check& check, reports::Outcome& outcome) {
  Server& server = ServerFor(check.setup);
  if (!server.profile) {
    return;  // It never was sane.
  }
  server.ran.push_back(&check);
  const auto greets = [&]() -> std::expected<void, std::string> {
    const Session::Limits limits = LimitsNow();
    auto transport = server.peer->Connect(Transport::Clock::now() + limits.reply_timeout);
    if (!transport) {
      return std::unexpected(transport.error().sentence);
    }
    Transcript transcript;
    Session session(std::move(*transport), limits, transcript);
    const auto greeting = session.Next();
    return greeting ? std::expected<void, std::string>() : std::unexpected(greeting.error().text);
  };
  const auto patience = Transport::Clock::now() + kReturnWait;
  auto greeted = greets();
  while (!greeted && Transport::Clock::now() < patience && !Cancelled()) {
    std::this_thread::sleep_for(kReturnPause);
    greeted = greets();
  }
  if (greeted || Cancelled()) {
    return;
  }
  gone_ = check.id;
  const auto others = server.ran | std::views::reverse | std::views::drop(1) | std::views::take(kNamedMax) |
                      std::views::transform(&Check::id);
  outcome.verdict = Verdict::kFail;
  SetHarm(spec::Harm::kDenial, outcome);
  outcome.evidence.allowed = kStaysUp;
  outcome.evidence.saw += fmt::format(
      "{}afterwards the server takes no clients: {} This check did it, or one before it that took effect late; the "
      "last ones, newest first: {}",
      outcome.evidence.saw.empty() ? "" : "; ", WithFullStop(greeted.error()), fmt::join(others, ", "));
}

}  // namespace nbdspec::conformance
