// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/run/live_server.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/spec/ids.h"
#include "fuzz/live/run/known_bugs.h"

namespace nbdspec::fuzz {

using conformance::Ending;
using engine::Trouble;

namespace {

constexpr std::size_t kUnsentBytesMax = 256 << 10;
constexpr std::uint64_t kRecordBytesMax = 256 << 20;
constexpr std::chrono::milliseconds kSlice{100};      // How long to wait before looking whether the run is cancelled.
constexpr std::chrono::milliseconds kSharedSlice{1};  // The same where other connections may have something.
constexpr std::chrono::seconds kDeathTimeout{2};

bool IsLast(const ReplyView& reply) { return reply.is_simple || (reply.flags & engine::ChunkFlag::kDone) != 0; }

}  // namespace

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
    stop = Stop{.wrong = Wrong{.kind = FindingKind::kCrash,
                               .rule = spec::kTransmissionDisconnectOnlyAllowedServer,
                               .expected = "a server that goes on",
                               .saw = "the server " + *ended}};
  }
  stop = stop ? std::move(stop) : RunSteps(script, result);
  if (stop) {
    if (stop->wrong) {
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
  if (auto stop = WaitForSlot(lane, result)) {
    return stop;
  }
  Slot& slot = *std::ranges::find(lane.slots, false, &Slot::in_use);
  slot.in_use = true;
  slot.cookie = CookieFrom(++cookie_count_);
  slot.step = step;
  slot.judge.Start(request, lane.offer, options_.keep_answers);
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

std::optional<LiveServer::Stop> LiveServer::WaitForSlot(Lane& lane, RunResult& result) {
  while (lane.in_flight == options_.in_flight) {
    if (auto stop = ReceiveSome(result)) {
      return stop;
    }
  }
  return {};
}

std::optional<LiveServer::Stop> LiveServer::WaitForAll(RunResult& result) {
  for (Lane& lane : lanes_) {
    while (lane.in_flight > 0) {
      if (auto stop = ReceiveSome(result)) {
        return stop;
      }
    }
  }
  return {};
}

std::optional<LiveServer::Stop> LiveServer::FlushLanes() {
  for (Lane& lane : lanes_) {
    const Ending ending = lane.connection->Flush(Clock::now() + options_.reply_timeout);
    if (ending == Ending::kTimedOut) {
      return Hung();
    }  // The end of a connection is reported after its last bytes.
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
        return HearAll(lane, result);
      }
      if (ending != Ending::kTimedOut) {
        return Disconnected(lane);
      }
      is_silent = is_silent && Clock::now() < slice;
    }
    if (IsCancelled()) {
      return Stop{};
    }
    if (is_silent || Clock::now() >= deadline) {
      return Hung();
    }
  }
}

std::optional<LiveServer::Stop> LiveServer::HearAll(Lane& lane, RunResult& result) {
  const auto read_length = [&](std::uint64_t cookie) -> std::uint32_t {
    const auto slot =
        std::ranges::find_if(lane.slots, [&](const Slot& each) { return each.in_use && each.cookie == cookie; });
    const bool reads = slot != lane.slots.end() && slot->judge.request().command == engine::Command::kRead;
    return reads ? slot->judge.request().length : 0;
  };
  while (const auto reply = lane.connection->Next(read_length)) {
    if (auto stop = HearReply(lane, *reply, result)) {
      return stop;
    }
  }
  if (!lane.connection->undecodable().empty()) {
    return Stop{.wrong = Wrong{
                    .rule = spec::kStructuredChunkMagic, .expected = "a reply", .saw = lane.connection->undecodable()}};
  }
  if (lane.connection->pending_bytes() > kRecordBytesMax) {
    return Stop{.wrong = Wrong{.rule = spec::kStructuredChunksMinimise,
                               .expected = "an end of the answer",
                               .saw = std::to_string(lane.connection->pending_bytes()) + " bytes and no end"}};
  }
  return {};
}

std::optional<LiveServer::Stop> LiveServer::HearReply(Lane& lane, const ReplyView& reply, RunResult& result) {
  const auto slot =
      std::ranges::find_if(lane.slots, [&](const Slot& each) { return each.in_use && each.cookie == reply.cookie; });
  if (slot == lane.slots.end()) {
    return Stop{.wrong = Wrong{.rule = spec::kTransmissionCookieEcho,
                               .expected = "the cookie of a request in flight",
                               .saw = "a reply with the cookie " + std::to_string(reply.cookie)}};
  }
  const ConcurrentModel::Ticket ticket = TicketOf(lane, *slot);
  auto wrong = slot->judge.Hear(reply, ticket, *model_);
  if (!wrong && !slot->judge.is_done()) {
    return {};
  }
  wrong = wrong ? std::move(wrong) : slot->judge.Finish(ticket, *model_);
  auto stop = wrong ? StopOr(*std::move(wrong), *slot, result) : std::nullopt;
  if (stop) {
    lane.in_flight -= IsLast(reply) ? 1 : 0;  // Drain does not wait for what has come.
  } else if (slot->judge.is_done()) {
    FinishSlot(lane, *slot, slot->judge.succeeded(), result);
  }
  return stop;
}

// What is wrong ends the run, unless it is known, the reply was whole all the same, and the bytes are as they should
// be.
std::optional<LiveServer::Stop> LiveServer::StopOr(Wrong wrong, const Slot& slot, RunResult& result) {
  Stop stop{.wrong = std::move(wrong), .step = slot.step, .place = PlaceOf(slot.judge.request())};
  Finding symptom{.kind = stop.wrong->kind, .rule = std::string(stop.wrong->rule), .target = target_.Describe()};
  const std::string known = slot.judge.is_done() ? PublicNameOf(symptom) : "";
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
    result.answers[slot.step] = slot.judge.TakeAnswer();
  }
  slot.in_use = false;
  --lane.in_flight;
  ++result.command_count;
}

// A connection ended: rightly so when something was asked that may not be asked.
std::optional<LiveServer::Stop> LiveServer::Disconnected(Lane& lane) {
  const Slot* first = nullptr;
  bool is_allowed = false;
  for (const Slot& slot : lane.slots) {
    first = slot.in_use && (first == nullptr || slot.step < first->step) ? &slot : first;
    is_allowed = is_allowed || (slot.in_use && slot.judge.legality() != Legality::kLegal);
  }
  const auto ended = Ended();
  if (is_allowed && !ended) {
    return Stop{};
  }
  Stop stop{.wrong = Wrong{.kind = ended ? FindingKind::kCrash : FindingKind::kDisconnect,
                           .rule = spec::kTransmissionDisconnectOnlyAllowedServer,
                           .expected = "a reply to each request in flight",
                           .saw = ended ? "the server " + *ended : "the server ended the connection"}};
  if (first != nullptr) {
    stop.step = first->step;
    // Which of many in flight it was is not known.
    stop.place = lane.in_flight == 1 ? PlaceOf(first->judge.request()) : "";
  }
  return stop;
}

// How the server ended, if it has. The news of a death may come long after the end of its connections, on a busy
// machine; but who is dead greets nobody.
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
  Stop stop{.wrong = Wrong{.kind = FindingKind::kHang,
                           .rule = spec::kTransmissionReplyPerRequest,
                           .expected = "a reply to each request",
                           .saw = "no reply in time"}};
  const Slot* first = nullptr;
  int in_flight = 0;
  for (const Lane& lane : lanes_) {
    in_flight += lane.in_flight;
    for (const Slot& slot : lane.slots) {
      first = slot.in_use && (first == nullptr || slot.step < first->step) ? &slot : first;
    }
  }
  if (first != nullptr) {
    stop.step = first->step;
    stop.place = in_flight == 1 ? PlaceOf(first->judge.request()) : "";
  }
  if (const auto ended = peer_->Ended()) {
    stop.wrong->kind = FindingKind::kCrash;
    stop.wrong->saw = "the server " + *ended;
  }
  return stop;
}

// Everything is answered: whatever else has come is too much.
std::optional<LiveServer::Stop> LiveServer::JudgeRest() {
  for (const Lane& lane : lanes_) {
    if (lane.connection->pending_bytes() > 0) {
      return Stop{.wrong = Wrong{.rule = spec::kTransmissionReplyPerRequest,
                                 .expected = "one reply to each request",
                                 .saw = std::to_string(lane.connection->pending_bytes()) + " bytes after the last one"},
                  .step = script_->steps.empty() ? 0 : script_->steps.size() - 1};
    }
  }
  return {};
}

// Takes what is still on its way: servers are known that do not survive clients who leave before (rhbz#2173054).
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
  Finding finding{.kind = stop.wrong->kind,
                  .rule = std::string(stop.wrong->rule),
                  .place = stop.place,
                  .expected = stop.wrong->expected,
                  .saw = stop.wrong->saw,
                  .script = script,
                  .step = stop.step,
                  .server_ended = peer_->Ended().value_or(""),
                  .server_stderr = peer_->StandardError(),
                  .target = target_.Describe(),
                  .target_words = target_.CommandLine()};
  std::vector<LiveConnection::Line> lines;
  for (const Lane& lane : lanes_) {
    finding.connections.push_back(lane.connection->Record());
    std::ranges::copy(lane.connection->Transcript(), std::back_inserter(lines));
  }
  std::ranges::sort(lines, {}, &LiveConnection::Line::order);
  for (LiveConnection::Line& line : lines) {
    finding.transcript.push_back(std::move(line.text));
  }
  finding.transcript.push_back("-- expected " + finding.expected + "; saw " + finding.saw);
  return finding;
}

std::expected<RunResult, Trouble> RunOnFreshServer(conformance::Target& target, const engine::Script& script,
                                                   const LiveOptions& options) {
  const auto server = LiveServer::Start(target, options);
  if (!server) {
    return std::unexpected(server.error());
  }
  return (*server)->Run(script);
}

}  // namespace nbdspec::fuzz
