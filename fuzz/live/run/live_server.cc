// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/run/live_server.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "engine/base/or_return.h"
#include "engine/exchange/status.h"
#include "engine/script/step_request.h"
#include "engine/spec/ids.h"
#include "fuzz/live/run/known_bugs.h"
#include "fuzz/live/run/picture.h"

namespace nbdspec::fuzz {

using conformance::Ending;
using engine::Trouble;

namespace {

constexpr std::size_t kUnsentBytesMax = 256 << 10;
constexpr std::uint32_t kLastReadBytes = 512;
constexpr std::size_t kChunksJudgedFirst = 1024;   // Of an answer that goes on and on; then at each power of two.
constexpr std::size_t kRecordBytesMax = 16 << 20;  // Of a finding: of all connections, both ways.
constexpr std::chrono::seconds kDeathTimeout{2};

// Cookies that are not counted up, so that a server which makes up one is not right by accident.
constexpr std::uint64_t kCookieFactor = 0x9e37'79b9'7f4a'7c15;
constexpr std::uint64_t kCookieMask = 0x4e42'4453'5045'4321;
constexpr std::uint64_t CookieFrom(std::uint64_t count) { return count * kCookieFactor ^ kCookieMask; }

// From which count `cookie` comes: each step of Newton's doubles the bits of the inverse that are right.
constexpr std::uint64_t CountOfCookie(std::uint64_t cookie) {
  std::uint64_t inverse = kCookieFactor;
  for (int right_bits = 3; right_bits < 64; right_bits *= 2) {
    inverse *= 2 - kCookieFactor * inverse;
  }
  return (cookie ^ kCookieMask) * inverse;
}
static_assert(CountOfCookie(CookieFrom(12345)) == 12345);

// How connections haggle by `script`; nothing where it does not say.
std::vector<engine::OptionStep> OptionsIn(const engine::Script& script) {
  std::vector<engine::OptionStep> options;
  for (const engine::Step& step : script.steps) {
    if (const auto* option = std::get_if<engine::OptionStep>(&step)) {
      options.push_back(*option);
    }
  }
  return options;
}

std::size_t LanesOf(const engine::Script& script) {
  std::size_t count = 1;
  for (const engine::Step& step : script.steps) {
    if (const auto* request = std::get_if<engine::RequestStep>(&step)) {
      count = std::max<std::size_t>(count, request->connection);
    }
  }
  return count;
}

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

LiveServer::Slot* LiveServer::Lane::Find(std::uint64_t cookie) {
  const auto slot = std::ranges::find_if(slots, [&](const Slot& each) { return each.in_use && each.cookie == cookie; });
  return slot == slots.end() ? nullptr : &*slot;
}

bool LiveServer::Lane::has_illegal_in_flight() const {
  return std::ranges::any_of(slots, [](const Slot& slot) { return slot.in_use && !slot.judge.legality().is_legal(); });
}

bool LiveServer::Lane::has_change_in_flight() const {
  return std::ranges::any_of(slots, [](const Slot& slot) {
    return slot.in_use && engine::Changes(static_cast<std::uint16_t>(slot.judge.request().command));
  });
}

std::expected<RunResult, Trouble> LiveServer::Run(const engine::Script& script, bool leave) {
  Begin(script);
  if (broken_) {
    return FromBroken();
  }
  if (IsLate() || IsCancelled(options_)) {
    return std::move(result_);  // Learn may have left in the middle of READs, which not every server survives.
  }
  std::vector<engine::OptionStep> options = OptionsIn(script);
  OrStop ran;
  if (const auto entered = EnterLanes(options.empty() ? usual_haggling_ : std::move(options), LanesOf(script));
      entered) {
    ran = RunSteps();
    ran = ran ? AskOnceMore() : std::move(ran);
    ran = ran && leave ? LeaveAndListen() : std::move(ran);
  } else {
    ran = std::unexpected(NotEntered(entered.error()));
    if (broken_ && !ran.error().failure) {
      return FromBroken();
    }
  }
  if (!ran) {
    if (ran.error().failure) {
      result_.finding = FindingFrom(ran.error());
      result_.finding->known = NameOf(*result_.finding);
      if (!result_.finding->known.empty()) {
        result_.known.emplace(result_.finding->known, *result_.finding);
      }
    }
    Drain();
    LeaveLanes();
    if (ran.error().trouble) {
      return std::unexpected(*std::move(ran.error().trouble));
    }
  }
  return std::move(result_);
}

// One answer for each step, whatever ends the run before they come.
void LiveServer::Begin(const engine::Script& script) {
  script_ = &script;
  has_changed_bytes_ = false;
  result_ = {.answers = std::vector<engine::Answer>(options_.keep_answers ? script.steps.size() : 0)};
}

// Whatever the script asks for, it would show that.
RunResult LiveServer::FromBroken() {
  LeaveLanes();
  RunResult result;
  result.finding = broken_->finding;
  result.finding->script = *script_;
  result.finding->step = 0;
  return result;
}

LiveServer::OrStop LiveServer::RunSteps() {
  for (std::size_t i = 0; i < script_->steps.size(); ++i) {
    if (const auto* request = std::get_if<engine::RequestStep>(&script_->steps[i])) {
      engine::RequestStep on_lane = *request;
      on_lane.connection = OnLane(request->connection);
      NBDSPEC_RETURN_IF_ERROR(Send(on_lane, i));
    } else if (std::holds_alternative<engine::WaitStep>(script_->steps[i])) {
      NBDSPEC_RETURN_IF_ERROR(WaitForAll());
    } else if (std::holds_alternative<engine::LeaveStep>(script_->steps[i])) {
      NBDSPEC_RETURN_IF_ERROR(LeaveUnread(i));
    } else if (const auto* piece = std::get_if<engine::SendStep>(&script_->steps[i])) {
      NBDSPEC_RETURN_IF_ERROR(SendPiece(*piece));
    } else if (const auto* visitors = std::get_if<engine::VisitStep>(&script_->steps[i])) {
      NBDSPEC_RETURN_IF_ERROR(ReceiveVisitors(*visitors, i));
    } else if (const auto* power = std::get_if<engine::CutStep>(&script_->steps[i])) {
      NBDSPEC_RETURN_IF_ERROR(CutPower(power->cut, i));
    }
  }
  NBDSPEC_RETURN_IF_ERROR(WaitForAll());
  return JudgeRest();
}

// Whatever a server has sent beside the answers stands before the answer to one more READ.
LiveServer::OrStop LiveServer::AskOnceMore() {
  const std::uint32_t length = std::max(kLastReadBytes, offer_.block_size.minimum);
  for (std::size_t i = 0; length <= windows().front().end && i < lanes_.size(); ++i) {
    NBDSPEC_RETURN_IF_ERROR(
        Send({.length = length, .connection = static_cast<std::uint8_t>(i + 1)}, script_->steps.size()));
  }
  NBDSPEC_RETURN_IF_ERROR(WaitForAll());
  return JudgeRest();
}

// DISC has no answer.
LiveServer::OrStop LiveServer::LeaveAndListen() {
  const auto deadline = Clock::now() + kDrainTimeout;
  disc_cookie_ = CookieFrom(++request_count_);
  for (Lane& lane : lanes_) {
    lane.connection->Leave(deadline, disc_cookie_);
    lane.has_left = true;
  }
  for (Lane& lane : lanes_) {
    while (lane.connection->Receive(deadline) == Ending::kNone) {
      NBDSPEC_RETURN_IF_ERROR(TakeReplies(lane));
      if (Clock::now() >= deadline || IsCancelled(options_)) {
        break;  // It says more and more.
      }
    }
  }
  NBDSPEC_RETURN_IF_ERROR(JudgeRest());
  lanes_.clear();
  return {};
}

// The number of the lane for it: there may be fewer than the script has.
std::uint8_t LiveServer::OnLane(std::uint8_t connection) const {
  return static_cast<std::uint8_t>(std::clamp<std::size_t>(connection, 1, lanes_.size()));
}

LiveServer::OrStop LiveServer::Send(const engine::RequestStep& request, std::size_t step) {
  Lane& lane = lanes_[request.connection - 1U];
  auto sent = engine::RequestFor(request, lane.offer.headers, lane.offer.contexts);
  if (!sent) {
    return {};
  }
  NBDSPEC_RETURN_IF_ERROR(WaitFor(lane, options_.in_flight - 1));
  NBDSPEC_RETURN_IF_ERROR(MakeRoomFor(request));
  Slot& slot = *std::ranges::find(lane.slots, false, &Slot::in_use);
  slot.in_use = true;
  slot.cookie = CookieFrom(++request_count_);
  slot.step = step;
  slot.ticket = static_cast<Ticket>(request_count_);
  sent->cookie = slot.cookie;
  const Access access = slot.judge.Start(request, *sent, lane.offer, slot.ticket, *model_);
  if (power_) {
    power_->Begin(slot.ticket, access);
  }
  ++lane.in_flight;
  has_progress_ = true;
  has_changed_bytes_ = has_changed_bytes_ || engine::Changes(sent->type);
  lane.last_illegal = slot.judge.legality().is_legal() ? lane.last_illegal : slot.ticket;
  lane.connection->Put(*std::move(sent), request.pattern);
  if (lane.connection->unsent_bytes() > kUnsentBytesMax) {
    NBDSPEC_RETURN_IF_ERROR(FlushLanes());
  }
  return {};
}

// Notes what the complete answer does against advice. Each kind is drawn once only: that costs as much as the script.
void LiveServer::Warn(const Slot& slot) {
  for (engine::Violation& violation : slot.judge.FindWarnings()) {
    Warning& warning = result_.warnings[std::string(violation.requirement)];
    if (++warning.count > 1) {
      continue;
    }
    if (warned_of_.emplace(violation.requirement).second) {
      warning.picture = PictureOf(Passed(), slot.cookie, slot.judge.Drawn(violation));
    }
    warning.step = Print(slot.judge.request());
    warning.expected = std::move(violation.expected);
    warning.saw = std::move(violation.saw);
  }
}

// What the server says there is, as long as it is of the server's own making.
void LiveServer::NoteExtents(const Lane& lane, const ReplyJudge& judge) {
  const auto base = std::ranges::find(lane.offer.contexts, engine::kBaseAllocation, &engine::MetaContext::name);
  if (has_changed_bytes_ || judge.request().command != engine::Command::kStatus || base == lane.offer.contexts.end()) {
    return;
  }
  for (const engine::ReplyChunk& chunk : judge.answer().chunks()) {
    const auto status = engine::StatusChunk::From(chunk);
    if (status && status->context_id() == base->id) {
      ForEachDescriptor(*status, judge.request().offset, [&](const engine::Located& each) {
        if (result_.extents.size() < RunResult::kExtentsMax) {
          result_.extents.push_back(each.range);
        }
      });
    }
  }
}

LiveServer::OrStop LiveServer::TakeReply(Lane& lane, const ReplyView& reply) {
  Slot* const slot = lane.Find(reply.cookie);
  if (slot == nullptr) {
    return Stray(lane, reply.cookie);
  }
  ReplyJudge& judge = slot->judge;
  judge.Take(reply);
  NoteTaken(judge, reply);
  if (!judge.answer().is_complete()) {
    const std::size_t chunks = judge.answer().chunks().size();
    return chunks >= kChunksJudgedFirst && std::has_single_bit(chunks) ? JudgeUnfinished(*slot) : OrStop();
  }
  Warn(*slot);
  has_progress_ = true;
  --lane.in_flight;  // Also when this ends the run: then Drain does not wait for it.
  const bool is_of_script = slot->step < script_->steps.size();  // And not AskOnceMore's, whose data is not the point.
  if (auto failure = judge.FindFailure(); failure && (is_of_script || failure->kind != FindingKind::kWrongData)) {
    NBDSPEC_RETURN_IF_ERROR(StopUnlessKnown({.failure = std::move(failure),
                                             .step = slot->step,
                                             .request_kind = RequestKindOf(judge.request()),
                                             .cookie = slot->cookie}));
  }
  if (slot->ticket > lane.last_illegal && !lane.has_illegal_in_flight()) {
    lane.last_illegal = 0;  // The server goes on.
  }
  judge.End(judge.succeeded());
  if (power_) {
    power_->End(slot->ticket, judge.succeeded());
  }
  slot->in_use = false;
  if (!is_of_script) {
    return {};
  }
  NoteExtents(lane, judge);
  ++result_.command_count;
  if (options_.keep_answers) {
    result_.answers[slot->step] = judge.answer();
  }
  return {};
}

// A reply that answers nothing in flight.
LiveServer::OrStop LiveServer::Stray(const Lane& lane, std::uint64_t cookie) const {
  const bool is_extended = lane.offer.headers == engine::HeaderForm::kExtended;
  const std::uint64_t count = CountOfCookie(cookie);
  const bool was_sent = count != 0 && count <= request_count_;
  const std::string saw = "a reply with the cookie " + std::to_string(cookie);
  return std::unexpected(
      Stop{.failure = was_sent && cookie == disc_cookie_
                          ? FailureOf(FindingKind::kBrokenRule, spec::kDiscNoReply, "no reply to NBD_CMD_DISC", saw)
                      : was_sent ? FailureOf(FindingKind::kBrokenRule, spec::kTransmissionReplyPerRequest,
                                             "one reply to each request", saw + ", whose request was answered before")
                                 : FailureOf(FindingKind::kBrokenRule,
                                             is_extended ? spec::kExtReplyCookie : spec::kTransmissionCookieEcho,
                                             "the cookie of a request in flight", saw),
           .step = std::max<std::size_t>(script_->steps.size(), 1) - 1,
           .cookie = cookie});
}

// A failure ends the run, unless it is a public bug that leaves the bytes as they should be.
LiveServer::OrStop LiveServer::StopUnlessKnown(Stop stop) {
  Finding symptom{.kind = stop.failure->kind,
                  .rule = std::string(stop.failure->violation.requirement),
                  .target = target_.Describe()};
  const std::string known = NameOf(symptom);
  if (known.empty() || IsRace(known)) {
    return std::unexpected(std::move(stop));
  }
  if (known_seen_.insert(known).second) {
    symptom = FindingFrom(stop);
  }
  symptom.known = known;
  const auto [first, is_new] = result_.known.try_emplace(known, std::move(symptom));
  first->second.count += is_new ? 0 : 1;
  return {};
}

// `failure` at the first step that is in flight on `lanes`. Which of many requests in flight it is about is not known.
LiveServer::OrStop LiveServer::StopAtFirst(std::span<const Lane> lanes, Failure failure) {
  Stop stop{.failure = std::move(failure)};
  const Slot* first = nullptr;
  int in_flight = 0;
  for (const Lane& lane : lanes) {
    in_flight += lane.in_flight;
    for (const Slot& slot : lane.slots) {
      if (slot.in_use) {
        NBDSPEC_RETURN_IF_ERROR(JudgeUnfinished(slot));
        first = first == nullptr || slot.step < first->step ? &slot : first;
      }
    }
  }
  if (first != nullptr) {
    stop.step = first->step;
    stop.request_kind = in_flight == 1 ? RequestKindOf(first->judge.request()) : "";
    stop.cookie = in_flight == 1 ? std::optional(first->cookie) : std::nullopt;
  }
  return std::unexpected(std::move(stop));
}

// A connection ended: the server may do so after a request that a client may not send.
LiveServer::OrStop LiveServer::Disconnected(Lane& lane) {
  const auto ended = Ended();
  if (lane.last_illegal != 0 && !ended) {
    return std::unexpected(Stop{});
  }
  return StopAtFirst(std::span(&lane, 1),
                     FailureOf(ended ? FindingKind::kCrash : FindingKind::kDisconnect,
                               spec::kTransmissionDisconnectOnlyAllowedServer, "a reply to each request in flight",
                               ended ? "the server " + *ended : "the server ended the connection"));
}

// How the server ended, if it has. On a busy machine that may be known long after its connections have ended; but a
// process that has ended greets nobody.
std::optional<std::string> LiveServer::Ended() {
  const auto deadline = Clock::now() + kDeathTimeout;
  auto ended = peer_->Ended();
  if (ended || !target_.IsOurs() || IsCancelled(options_) || Greets()) {
    return ended;
  }
  do {
    ended = peer_->Ended();  // Waits a little.
  } while (!ended && Clock::now() < deadline);
  return ended;
}

bool LiveServer::Greets() {
  const auto deadline = Clock::now() + kDeathTimeout;
  const auto transport = peer_->Connect(deadline);
  engine::Bytes greeting;
  return transport && (*transport)->Receive(greeting, /*bytes_max=*/1, deadline) == Ending::kNone;
}

LiveServer::OrStop LiveServer::Hung() {
  const auto ended = peer_->Ended();
  return StopAtFirst(lanes_,
                     FailureOf(ended ? FindingKind::kCrash : FindingKind::kHang, spec::kTransmissionReplyPerRequest,
                               "a reply to each request", ended ? "the server " + *ended : "no reply in time"));
}

// Each request has its answer: whatever else was received is too much.
LiveServer::OrStop LiveServer::JudgeRest() const {
  for (const Lane& lane : lanes_) {
    if (const std::size_t more = lane.connection->pending_bytes(); more > 0) {
      return std::unexpected(
          Stop{.failure = FailureOf(FindingKind::kBrokenRule, spec::kTransmissionReplyPerRequest,
                                    "one reply to each request", std::to_string(more) + " bytes after the last one"),
               .step = std::max<std::size_t>(script_->steps.size(), 1) - 1});
    }
  }
  return {};
}

// The public name of what it looks like, unless the server does not have that bug.
std::string LiveServer::NameOf(const Finding& finding) const {
  std::string name = PublicNameOf(finding, target_);
  return options_.absent_bugs.contains(name) ? "" : std::move(name);
}

// On all connections, in order.
std::vector<reports::Message> LiveServer::Passed() const {
  LiveConnection::Lines lines;
  for (const Lane& lane : lanes_) {
    lines.merge(lane.connection->Transcript());
  }
  std::vector<reports::Message> messages;
  for (auto& [order, message] : lines) {
    messages.push_back(std::move(message));
    messages.back().line = messages.size();
  }
  return messages;
}

Finding LiveServer::FindingFrom(const Stop& stop) const {
  const engine::Violation& violation = stop.failure->violation;
  Finding finding{.kind = stop.failure->kind,
                  .rule = std::string(violation.requirement),
                  .request_kind = stop.request_kind,
                  .expected = violation.expected,
                  .saw = violation.saw,
                  .timeline = stop.failure->timeline,
                  .script = *script_,
                  .step = std::min(stop.step, std::max<std::size_t>(script_->steps.size(), 1) - 1),
                  .server_ended = peer_->Ended().value_or(""),
                  .server_stderr = peer_->StandardError(),
                  .target = target_.Describe(),
                  .target_words = target_.CommandLine()};
  for (const Lane& lane : lanes_) {
    finding.connections.push_back(lane.connection->Record(kRecordBytesMax / 2 / lanes_.size()));
  }
  std::vector<reports::Message> messages = Passed();
  std::ranges::transform(messages, std::back_inserter(finding.transcript), TranscriptLine);
  finding.picture = PictureOf(std::move(messages), stop.cookie, *stop.failure);
  finding.transcript.push_back("-- expected " + finding.expected + "; saw " + finding.saw);
  for (const std::string& line : finding.timeline) {
    finding.transcript.push_back("--   " + line);
  }
  return finding;
}

std::expected<RunResult, Trouble> RunOnFreshServer(conformance::Target& target, const engine::Script& script,
                                                   const LiveOptions& options) {
  LiveOptions fitting = options;
  fitting.power_cut |= target.CanSetUp(conformance::Setup::kOnStorage) &&
                       std::ranges::any_of(script.steps, [](const engine::Step& step) {
                         return std::holds_alternative<engine::CutStep>(step);
                       });
  NBDSPEC_ASSIGN_OR_RETURN(server, LiveServer::Start(target, fitting));
  return server->Run(script, /*leave=*/true);
}

}  // namespace nbdspec::fuzz
