// SPDX-License-Identifier: BSD-3-Clause
// How LiveServer enters connections and leaves them. A server may serve one client at a time, and need a moment until
// it knows that the last one has left: who is turned away comes again.

#include <algorithm>
#include <thread>
#include <utility>

#include "engine/base/or_return.h"
#include "engine/spec/ids.h"
#include "fuzz/live/run/live_server.h"

namespace nbdspec::fuzz {

using conformance::Ending;
using engine::Trouble;

namespace {

constexpr std::chrono::seconds kEnterTimeMin{1};           // When the time of the run is over, too.
constexpr int kEnterReplies = 10;                          // The time to enter, in reply timeouts.
constexpr std::chrono::seconds kBusyTimeout{2};            // For a server to notice that all have left.
constexpr std::chrono::milliseconds kCrowdedTimeout{200};  // The same while one of ours is on: it may be the only one.
constexpr std::chrono::milliseconds kBusyPause{2};         // Before it is asked again.
constexpr std::chrono::milliseconds kVisitTimeout{1000};   // Of one that is not the last.
constexpr int kRefusedMax = 8;                             // Ways to haggle; each may take its time.
constexpr int kTurnedAwayMax = 8;                          // Visitors; then no more come.
constexpr int kLastPiecesMax = 8;                          // Of what a server still says to who has left.

Failure CrashOf(const std::string& ended) {
  return FailureOf(FindingKind::kCrash, spec::kTransmissionDisconnectOnlyAllowedServer, "a server that keeps running",
                   "the server " + ended);
}

}  // namespace

// Those to what is in flight.
void LiveServer::GiveUpAnswers() {
  for (const Lane& lane : lanes_) {
    for (const Slot& slot : lane.slots) {
      if (slot.in_use) {
        slot.judge.End(/*succeeded=*/false);
      }
    }
  }
}

void LiveServer::LeaveLanes() {
  const auto deadline = LastWait();
  GiveUpAnswers();
  for (const Lane& lane : lanes_) {
    if (!lane.has_left) {
      lane.connection->Leave(deadline);
    }
  }
  AwaitEnds(deadline);
  lanes_.clear();
}

// Until the server has ended the connections that were left: until then it may turn away the next client. One that
// never does is not waited for again, nor one that is busy.
void LiveServer::AwaitEnds(Clock::time_point deadline) {
  for (const Lane& lane : lanes_) {
    Ending ending = Ending::kNone;
    for (int pieces_left = kLastPiecesMax; ends_connections_ && lane.in_flight == 0 && ending == Ending::kNone;) {
      ending = --pieces_left < 0 ? Ending::kTimedOut : lane.connection->Receive(deadline);
    }
    ends_connections_ = ends_connections_ && ending != Ending::kTimedOut;
  }
}

std::expected<void, Trouble> LiveServer::EnterLanes(std::vector<engine::OptionStep> haggling, std::size_t count) {
  if (haggling != haggling_) {
    LeaveLanes();
    haggling_ = std::move(haggling);
  }
  StartRecord();
  model_->Connect(static_cast<std::uint8_t>(count));
  while (lanes_.size() < std::min(count, lanes_max_)) {
    if (auto entered = EnterLane(); !entered) {
      if (lanes_.empty() || !was_turned_away_) {
        return entered;
      }
      lanes_max_ = lanes_.size();  // It does with fewer.
    }
  }
  return {};
}

bool LiveServer::CanEnter(const std::vector<engine::OptionStep>& haggling) {
  if (broken_ || (haggling == haggling_ && !lanes_.empty())) {
    return true;
  }
  if (refused_count_ >= kRefusedMax || (refused_count_ > 0 && haggling == refused_haggling_)) {
    return false;
  }
  if (EnterLanes(haggling, 1) || broken_ || Ended()) {
    return true;
  }
  refused_haggling_ = haggling;
  ++refused_count_;
  return false;
}

std::expected<void, Trouble> LiveServer::EnterLane() {
  const auto until = Clock::now() + (lanes_.empty() ? std::chrono::milliseconds(kBusyTimeout) : kCrowdedTimeout);
  for (;;) {
    auto entered = TryLane();
    has_entered_ = has_entered_ || entered;
    const bool may_come_again = !entered && has_entered_ && was_turned_away_ && !broken_;
    if (!may_come_again || Clock::now() >= until || IsLate() || IsCancelled(options_) || peer_->Ended()) {
      return entered;
    }
    std::this_thread::sleep_for(kBusyPause);
  }
}

std::expected<void, Trouble> LiveServer::TryLane() {
  const auto now = Clock::now();
  const auto over = std::max(options_.deadline.value_or(Clock::time_point::max()), now + kEnterTimeMin);
  const auto deadline = std::min(now + std::min(options_.start_timeout, kEnterReplies * options_.reply_timeout), over);
  was_turned_away_ = true;
  NBDSPEC_ASSIGN_OR_RETURN(transport, peer_->Connect(deadline));
  Lane& lane = lanes_.emplace_back();
  lane.connection = std::make_unique<LiveConnection>(std::move(transport), static_cast<int>(lanes_.size()), clock_,
                                                     peer_->tls(), options_.cancelled);
  auto offer = lane.connection->Enter(haggling_, target_.ExportName(), deadline);
  was_turned_away_ = !lane.connection->was_greeted();
  if (!offer) {
    Trouble trouble{"The export cannot be entered: " + offer.error() +
                    ". Try `nbdspec check`, which says more about handshakes."};
    if (const auto& broken = lane.connection->broken_handshake(); !broken.rule.empty()) {
      Break({.failure = FailureOf(FindingKind::kBrokenRule, broken.rule, "a message of the handshake", broken.saw)},
            trouble);
    }
    lanes_.pop_back();
    return std::unexpected(std::move(trouble));
  }
  lane.offer = *std::move(offer);
  lane.slots.resize(static_cast<std::size_t>(options_.in_flight));
  return {};
}

// What changes bytes is awaited: else it might be carried out at any time after.
LiveServer::OrStop LiveServer::LeaveUnread(std::size_t step) {
  while (std::ranges::any_of(lanes_, &Lane::has_change_in_flight)) {
    NBDSPEC_RETURN_IF_ERROR(ReceiveSome());
  }
  NBDSPEC_RETURN_IF_ERROR(FlushLanes());
  const std::size_t count = lanes_.size();
  GiveUpAnswers();
  lanes_.clear();
  model_->Reconnect();
  const auto entered = EnterLanes(haggling_, count);
  if (entered) {
    return {};
  }
  Stop stop = NotEntered(entered.error());
  stop.step = step;
  stop.request_kind = "leave";
  return std::unexpected(std::move(stop));
}

// Whoever they are, a client after them is served, as one before them was.
LiveServer::OrStop LiveServer::ReceiveVisitors(const engine::VisitStep& visitors, std::size_t step) {
  NBDSPEC_RETURN_IF_ERROR(FlushLanes());
  const auto wait = std::min<Clock::duration>(options_.reply_timeout, kVisitTimeout);
  takes_visitors_ = takes_visitors_ && ReceiveVisitor(engine::Visit::kEnters, Clock::now() + wait);
  if (!takes_visitors_) {
    return {};  // It serves one client, for one.
  }
  int turned_away = 0;
  for (std::uint16_t i = 0; i < visitors.count && turned_away < kTurnedAwayMax && !IsLate() && !IsCancelled(options_);
       ++i) {
    turned_away += ReceiveVisitor(visitors.visit, Clock::now() + wait) ? 0 : 1;
  }
  const auto until = Clock::now() + std::min<Clock::duration>(options_.reply_timeout, kBusyTimeout);
  for (;; std::this_thread::sleep_for(kBusyPause)) {
    const auto served = ReceiveVisitor(engine::Visit::kEnters, Clock::now() + options_.reply_timeout);
    if (served || IsLate() || IsCancelled(options_)) {
      return {};
    }
    const auto ended = Ended();
    if (ended || Clock::now() >= until) {
      const std::string expected =
          "a client is served after " + std::to_string(visitors.count) + " came and went, as one before them was";
      return std::unexpected(
          Stop{.failure = ended ? CrashOf(*ended)
                                : FailureOf(FindingKind::kHang, spec::kHandshakeMagic, expected, served.error()),
               .step = step,
               .request_kind = "visit"});
    }
  }
}

// Errors: why it was not received.
std::expected<void, std::string> LiveServer::ReceiveVisitor(engine::Visit visit, Clock::time_point deadline) {
  auto transport = peer_->Connect(deadline);
  if (!transport) {
    return std::unexpected(transport.error().sentence);
  }
  std::uint64_t clock = 0;  // Nobody wants its transcript.
  LiveConnection visitor(*std::move(transport), /*number=*/0, clock, peer_->tls(), options_.cancelled);
  switch (visit) {
    case engine::Visit::kSilent:
      return {};
    case engine::Visit::kGreets:
      return visitor.Meet(deadline);
    case engine::Visit::kEnters:
      break;
  }
  const auto offer = visitor.Enter(haggling_, target_.ExportName(), deadline);
  return offer ? std::expected<void, std::string>() : std::unexpected(offer.error());
}

// Nobody was connected, and now nobody can be, for `trouble`. Who ends well when all have left may.
LiveServer::Stop LiveServer::NotEntered(Trouble trouble) {
  const auto ended = Ended();
  if (!ended) {
    return {.trouble = std::move(trouble)};
  }
  if (*ended == conformance::kEndedWell) {
    return {.trouble = Trouble{"The server ends when its client has left, and scripts connect again and again. "
                               "Let it stay, as qemu-nbd does with --persistent."}};
  }
  return {.failure = CrashOf(*ended)};
}

}  // namespace nbdspec::fuzz
