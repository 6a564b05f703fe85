// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/run/live_server.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "engine/base/or_return.h"
#include "engine/spec/ids.h"
#include "fuzz/live/run/known_bugs.h"

namespace nbdspec::fuzz {

using conformance::Ending;
using engine::Trouble;

namespace {

constexpr std::size_t kUnsentBytesMax = 256 << 10;
constexpr std::size_t kChunksJudgedFirst = 1024;  // Of an answer that goes on and on; then at each power of two.
constexpr std::size_t kChunksMax = 1 << 20;
constexpr std::chrono::milliseconds kSlice{100};      // How long to wait before looking whether the run is cancelled.
constexpr std::chrono::milliseconds kSharedSlice{1};  // The same where other connections may have something.
constexpr std::chrono::seconds kDeathTimeout{2};

Failure FailureOf(FindingKind kind, std::string_view requirement, std::string expected, std::string saw) {
  return {.kind = kind,
          .violation = {.requirement = requirement, .expected = std::move(expected), .saw = std::move(saw)}};
}

bool IsLast(const ReplyView& reply) { return reply.is_simple || (reply.flags & engine::ChunkFlag::kDone) != 0; }

}  // namespace

bool IsCancelled(const LiveOptions& options) { return options.cancelled != nullptr && options.cancelled->load(); }

void AddWarnings(const Warnings& more, std::uint64_t script_number, Warnings& all) {
  for (const auto& [requirement, warning] : more) {
    const auto [added, is_new] = all.try_emplace(requirement, warning);
    if (is_new) {
      added->second.script_number = script_number;
    } else {
      added->second.count += warning.count;
    }
  }
}

std::expected<RunResult, Trouble> LiveServer::Run(const engine::Script& script) {
  RunResult result;
  if (options_.keep_answers) {
    result.answers.resize(script.steps.size());
  }
  script_ = &script;
  std::optional<Stop> stop;
  if (const auto entered = EnterLanes(script); !entered) {
    const auto ended = Ended();
    if (!ended) {
      return std::unexpected(entered.error());
    }
    stop = Stop{.failure = FailureOf(FindingKind::kCrash, spec::kTransmissionDisconnectOnlyAllowedServer,
                                     "a server that keeps running", "the server " + *ended)};
  }
  stop = stop ? std::move(stop) : RunSteps(script, result);
  if (stop) {
    if (stop->failure) {
      result.finding = FindingFrom(*stop, script);
      result.finding->known = PublicNameOf(*result.finding);
      if (!result.finding->known.empty()) {
        result.known.emplace(result.finding->known, *result.finding);
      }
    }
    Drain();
    AbandonInFlight();
    LeaveLanes();
  }
  script_ = nullptr;
  return result;
}

std::optional<LiveServer::Stop> LiveServer::RunSteps(const engine::Script& script, RunResult& result) {
  for (std::size_t i = 0; i < script.steps.size(); ++i) {
    std::optional<Stop> stop;
    if (const auto* request = std::get_if<engine::RequestStep>(&script.steps[i])) {
      stop = Send(*request, i, result);
    } else if (std::holds_alternative<engine::WaitStep>(script.steps[i])) {
      stop = WaitForAll(result);
    }
    if (stop) {
      return stop;
    }
  }
  if (auto stop = WaitForAll(result)) {
    return stop;
  }
  return JudgeRest();
}

std::optional<LiveServer::Stop> LiveServer::Send(const engine::RequestStep& request, std::size_t step,
                                                 RunResult& result) {
  Lane& lane = lanes_[std::max<std::size_t>(request.connection, 1) - 1];
  if (auto stop = WaitFor(lane, options_.in_flight - 1, result)) {
    return stop;
  }
  Slot& slot = *std::ranges::find(lane.slots, false, &Slot::in_use);
  slot.in_use = true;
  slot.cookie = CookieFrom(++cookie_count_);
  slot.step = step;
  slot.judge.Start(request, lane.offer);
  ++lane.in_flight;
  model_->Begin(TicketOf(lane, slot), AccessOf(request, lane.offer));
  lane.connection->Put(request, slot.cookie);
  return lane.connection->unsent_bytes() > kUnsentBytesMax ? FlushLanes() : std::nullopt;
}

ConcurrentModel::Ticket LiveServer::TicketOf(const Lane& lane, const Slot& slot) const {
  const auto lane_index = static_cast<std::size_t>(&lane - lanes_.data());
  return static_cast<ConcurrentModel::Ticket>(lane_index * kInFlightMax +
                                              static_cast<std::size_t>(&slot - lane.slots.data()));
}

// Until at most `in_flight_max` requests are in flight on `lane`.
std::optional<LiveServer::Stop> LiveServer::WaitFor(const Lane& lane, int in_flight_max, RunResult& result) {
  while (lane.in_flight > in_flight_max) {
    if (auto stop = ReceiveSome(result)) {
      return stop;
    }
  }
  return {};
}

std::optional<LiveServer::Stop> LiveServer::WaitForAll(RunResult& result) {
  for (const Lane& lane : lanes_) {
    if (auto stop = WaitFor(lane, 0, result)) {
      return stop;
    }
  }
  return {};
}

std::optional<LiveServer::Stop> LiveServer::FlushLanes() {
  for (Lane& lane : lanes_) {
    const Ending ending = lane.connection->Flush(Clock::now() + options_.reply_timeout);
    if (ending == Ending::kTimedOut) {
      return Hung();
    }  // A connection that ended is noticed when its last bytes are received.
  }
  return {};
}

// Sends what is to be sent, then waits until a message or the end of a connection has come.
std::optional<LiveServer::Stop> LiveServer::ReceiveSome(RunResult& result) {
  if (auto stop = FlushLanes()) {
    return stop;
  }
  const auto waiting = std::ranges::count_if(lanes_, [](const Lane& lane) { return lane.in_flight > 0; });
  const auto deadline = Clock::now() + options_.reply_timeout;
  for (;;) {
    bool is_silent = true;  // Whether all gave up before their time: then nothing will come.
    for (Lane& lane : lanes_) {
      if (lane.in_flight == 0) {
        continue;
      }
      const auto slice = std::min(deadline, Clock::now() + (waiting == 1 ? kSlice : kSharedSlice));
      const Ending ending = lane.connection->Receive(slice);
      if (ending == Ending::kNone) {
        return TakeReplies(lane, result);
      }
      if (ending != Ending::kTimedOut) {
        return Disconnected(lane);
      }
      is_silent = is_silent && Clock::now() < slice;
    }
    if (IsCancelled(options_)) {
      return Stop{};
    }
    if (is_silent || Clock::now() >= deadline) {
      return Hung();
    }
  }
}

// Null when no request in flight has that cookie.
LiveServer::Slot* LiveServer::SlotOf(Lane& lane, std::uint64_t cookie) {
  const auto slot =
      std::ranges::find_if(lane.slots, [&](const Slot& each) { return each.in_use && each.cookie == cookie; });
  return slot == lane.slots.end() ? nullptr : &*slot;
}

std::optional<LiveServer::Stop> LiveServer::TakeReplies(Lane& lane, RunResult& result) {
  const auto read_length = [&](std::uint64_t cookie) -> std::uint32_t {
    const Slot* const slot = SlotOf(lane, cookie);
    const bool reads = slot != nullptr && slot->judge.request().command == engine::Command::kRead;
    return reads ? slot->judge.request().length : 0;
  };
  while (const auto reply = lane.connection->Next(read_length)) {
    if (auto stop = TakeReply(lane, *reply, result)) {
      return stop;
    }
  }
  if (!lane.connection->undecodable().empty()) {
    return Stop{.failure = FailureOf(FindingKind::kBrokenRule, spec::kStructuredChunkMagic, "a reply",
                                     lane.connection->undecodable())};
  }
  return {};
}

std::optional<LiveServer::Stop> LiveServer::TakeReply(Lane& lane, const ReplyView& reply, RunResult& result) {
  Slot* const slot = SlotOf(lane, reply.cookie);
  if (slot == nullptr) {
    return Stop{.failure = FailureOf(FindingKind::kBrokenRule, spec::kTransmissionCookieEcho,
                                     "the cookie of a request in flight",
                                     "a reply with the cookie " + std::to_string(reply.cookie))};
  }
  const ConcurrentModel::Ticket ticket = TicketOf(lane, *slot);
  slot->judge.Take(reply, ticket, *model_);
  if (!slot->judge.answer().is_complete()) {
    const std::size_t chunks = slot->judge.answer().chunks().size();
    return chunks >= kChunksJudgedFirst && std::has_single_bit(chunks) ? JudgeUnfinished(lane, *slot) : std::nullopt;
  }
  for (engine::Violation& violation : slot->judge.FindWarnings()) {
    Warning& warning = result.warnings[std::string(violation.requirement)];
    if (++warning.count == 1) {
      warning.step = Print(slot->judge.request());
      warning.expected = std::move(violation.expected);
      warning.saw = std::move(violation.saw);
    }
  }
  auto failure = slot->judge.FindFailure(ticket, *model_);
  auto stop = failure ? StopOr(*std::move(failure), *slot, result) : std::nullopt;
  if (stop) {
    --lane.in_flight;  // Drain does not wait for it.
  } else {
    FinishSlot(lane, *slot, slot->judge.succeeded(), result);
  }
  return stop;
}

// An answer that is not complete, though the server had its time, or sent a great many chunks.
std::optional<LiveServer::Stop> LiveServer::JudgeUnfinished(Lane& lane, Slot& slot) {
  auto failure = slot.judge.FindFailure(TicketOf(lane, slot), *model_);
  if (!failure && slot.judge.answer().chunks().size() >= kChunksMax) {
    failure = FailureOf(FindingKind::kHang, spec::kTransmissionReplyPerRequest, "an end of the reply",
                        std::to_string(kChunksMax) + " chunks, none of them with DONE");
  }
  if (!failure) {
    return {};
  }
  return Stop{.failure = std::move(failure), .step = slot.step, .request_kind = RequestKindOf(slot.judge.request())};
}

// A failure ends the run, unless it is a public bug that leaves the bytes as they should be.
std::optional<LiveServer::Stop> LiveServer::StopOr(Failure failure, const Slot& slot, RunResult& result) {
  Stop stop{.failure = std::move(failure), .step = slot.step, .request_kind = RequestKindOf(slot.judge.request())};
  Finding symptom{.kind = stop.failure->kind,
                  .rule = std::string(stop.failure->violation.requirement),
                  .target = target_.Describe()};
  const std::string known = PublicNameOf(symptom);
  if (known.empty() || IsRace(known)) {
    return stop;
  }
  if (known_seen_.insert(known).second) {
    symptom = FindingFrom(stop, *script_);
  }
  symptom.known = known;
  const auto [first, is_new] = result.known.try_emplace(known, std::move(symptom));
  first->second.count += is_new ? 0 : 1;
  return {};
}

void LiveServer::FinishSlot(Lane& lane, Slot& slot, bool succeeded, RunResult& result) {
  model_->End(TicketOf(lane, slot), succeeded);
  if (options_.keep_answers) {
    result.answers[slot.step] = slot.judge.answer();
  }
  slot.in_use = false;
  --lane.in_flight;
  ++result.command_count;
}

// `failure` at the first step that is in flight on `lanes`. Which of many requests in flight it is about is not known.
LiveServer::Stop LiveServer::StopAtFirst(std::span<Lane> lanes, Failure failure) {
  Stop stop{.failure = std::move(failure)};
  const Slot* first = nullptr;
  int in_flight = 0;
  for (Lane& lane : lanes) {
    in_flight += lane.in_flight;
    for (Slot& slot : lane.slots) {
      if (auto unfinished = slot.in_use ? JudgeUnfinished(lane, slot) : std::nullopt) {
        return *std::move(unfinished);
      }
      first = slot.in_use && (first == nullptr || slot.step < first->step) ? &slot : first;
    }
  }
  if (first != nullptr) {
    stop.step = first->step;
    stop.request_kind = in_flight == 1 ? RequestKindOf(first->judge.request()) : "";
  }
  return stop;
}

// A connection ended: the server may do so after a request that a client may not send.
std::optional<LiveServer::Stop> LiveServer::Disconnected(Lane& lane) {
  const bool is_allowed = std::ranges::any_of(
      lane.slots, [](const Slot& slot) { return slot.in_use && !slot.judge.legality().is_legal(); });
  const auto ended = Ended();
  if (is_allowed && !ended) {
    return Stop{};
  }
  return StopAtFirst(std::span(&lane, 1),
                     FailureOf(ended ? FindingKind::kCrash : FindingKind::kDisconnect,
                               spec::kTransmissionDisconnectOnlyAllowedServer, "a reply to each request in flight",
                               ended ? "the server " + *ended : "the server ended the connection"));
}

// How the server ended, if it has. On a busy machine that may be known long after its connections have ended; but a
// process that has ended greets nobody.
std::optional<std::string> LiveServer::Ended() {
  auto ended = peer_->Ended();
  if (ended || !target_.IsOurs() || Greets()) {
    return ended;
  }
  const auto deadline = Clock::now() + kDeathTimeout;
  while (!ended && Clock::now() < deadline) {
    ended = peer_->Ended();  // Waits a little.
  }
  return ended;
}

bool LiveServer::Greets() {
  const auto deadline = Clock::now() + kDeathTimeout;
  const auto transport = peer_->Connect(deadline);
  engine::Bytes greeting;
  return transport && (*transport)->Receive(greeting, /*bytes_max=*/1, deadline) == Ending::kNone;
}

LiveServer::Stop LiveServer::Hung() {
  const auto ended = peer_->Ended();
  return StopAtFirst(lanes_,
                     FailureOf(ended ? FindingKind::kCrash : FindingKind::kHang, spec::kTransmissionReplyPerRequest,
                               "a reply to each request", ended ? "the server " + *ended : "no reply in time"));
}

// Each request has its answer: whatever else was received is too much.
std::optional<LiveServer::Stop> LiveServer::JudgeRest() {
  for (const Lane& lane : lanes_) {
    if (lane.connection->pending_bytes() > 0) {
      return Stop{.failure = FailureOf(FindingKind::kBrokenRule, spec::kTransmissionReplyPerRequest,
                                       "one reply to each request",
                                       std::to_string(lane.connection->pending_bytes()) + " bytes after the last one"),
                  .step = script_->steps.empty() ? 0 : script_->steps.size() - 1};
    }
  }
  return {};
}

// Takes what is still on its way: some servers do not survive a client that leaves before (rhbz#2173054).
void LiveServer::Drain() {
  const auto deadline = Clock::now() + kDrainTimeout;
  for (Lane& lane : lanes_) {
    const auto no_length = [](std::uint64_t) -> std::uint32_t { return 0; };
    do {
      for (auto reply = lane.connection->Next(no_length); reply; reply = lane.connection->Next(no_length)) {
        lane.in_flight -= IsLast(*reply) ? 1 : 0;
      }
    } while (lane.in_flight > 0 && lane.connection->undecodable().empty() && Clock::now() < deadline &&
             lane.connection->Receive(deadline) == Ending::kNone);
  }
}

void LiveServer::AbandonInFlight() {
  for (Lane& lane : lanes_) {
    for (Slot& slot : lane.slots) {
      if (slot.in_use) {
        model_->End(TicketOf(lane, slot), /*succeeded=*/false);
        slot.in_use = false;
      }
    }
    lane.in_flight = 0;
  }
}

Finding LiveServer::FindingFrom(const Stop& stop, const engine::Script& script) const {
  const engine::Violation& violation = stop.failure->violation;
  Finding finding{.kind = stop.failure->kind,
                  .rule = std::string(violation.requirement),
                  .request_kind = stop.request_kind,
                  .expected = violation.expected,
                  .saw = violation.saw,
                  .script = script,
                  .step = stop.step,
                  .server_ended = peer_->Ended().value_or(""),
                  .server_stderr = peer_->StandardError(),
                  .target = target_.Describe(),
                  .target_words = target_.CommandLine()};
  LiveConnection::Lines lines;
  for (const Lane& lane : lanes_) {
    finding.connections.push_back(lane.connection->Record());
    lines.merge(lane.connection->Transcript());
  }
  for (auto& [order, text] : lines) {
    finding.transcript.push_back(std::move(text));
  }
  finding.transcript.push_back("-- expected " + finding.expected + "; saw " + finding.saw);
  return finding;
}

std::expected<RunResult, Trouble> RunOnFreshServer(conformance::Target& target, const engine::Script& script,
                                                   const LiveOptions& options) {
  NBDSPEC_ASSIGN_OR_RETURN(server, LiveServer::Start(target, options));
  return server->Run(script);
}

}  // namespace nbdspec::fuzz
