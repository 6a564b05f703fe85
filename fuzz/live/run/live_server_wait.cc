// SPDX-License-Identifier: BSD-3-Clause
// How LiveServer waits for answers. Whatever a server says or leaves unsaid, and however slowly, each wait ends: by the
// time, by who cancels the run, or by what is held of all connections together (docs/limits.md).
//
// A server that is silent hangs, and an answer that no request explains is wrong: findings. One that is only slow, or
// says more than nbdspec holds, may be right: the run ends and says so.

#include <algorithm>
#include <bit>
#include <thread>
#include <utility>

#include "engine/base/or_return.h"
#include "engine/spec/ids.h"
#include "fuzz/live/run/live_server.h"

namespace nbdspec::fuzz {

using conformance::Ending;
using engine::Trouble;

namespace {

constexpr std::chrono::milliseconds kSlice{100};      // How long to wait before looking whether the run is cancelled.
constexpr std::chrono::milliseconds kSharedSlice{1};  // The same where other connections may have something.

// So many bytes a second have to pass while no answer is complete, or for so many reply timeouts they may not.
constexpr double kSlowestBytesPerSecond = 1024;
constexpr int kSlowTimeouts = 4;

// What is asked for and held, before all of it is awaited and forgotten; and what may come beyond what was asked for.
constexpr std::uint64_t kHeldBytesMax = 24 << 20;
constexpr std::uint64_t kUnaskedBytesMax = 48 << 20;
constexpr std::uint64_t kRequestBytes = 512;  // Of any request and its answer, as they are held, beside their data.
constexpr std::uint64_t kMessageBytes = 200;  // Of a message, beside itself.
constexpr std::uint64_t kDataBytesMax = 32 << 20;  // That are expected of one request.

constexpr std::uint64_t kPayloadBytesMin = 1 << 20;  // A chunk may have as many, whatever it answers,
constexpr std::uint64_t kPayloadBytesPerByte = 16;   // and so many for each byte that was asked about.
constexpr std::size_t kChunksMax = 1 << 16;          // The same of an answer: and one for each byte that is read.

// The rule that a message violates which is no reply in the form that was agreed.
std::string_view RuleOfReplies(const Offer& offer, std::optional<std::uint32_t> wrong_magic) {
  const bool is_extended = offer.headers == engine::HeaderForm::kExtended;
  return is_extended ? wrong_magic == engine::kChunkMagic ? spec::kExtReplyOnlyExtended : spec::kExtReplyMagic
         : wrong_magic == engine::kExtendedChunkMagic ? spec::kTransmissionMagicExtendedGatedServer
         : offer.structured_replies                   ? spec::kStructuredChunkMagic
                                                      : spec::kTransmissionSimpleMagic;
}

bool IsLast(const ReplyView& reply) { return reply.is_simple || (reply.flags & engine::ChunkFlag::kDone) != 0; }

ReplyBytes ReplyBytesOf(const engine::RequestStep& request) {
  const bool reads = request.command == engine::Command::kRead;
  const bool tells = reads || request.command == engine::Command::kStatus;
  const std::uint64_t asked = std::min(request.length, LiveConnection::kPayloadBytesMax);
  return {.simple = reads ? request.length : 0,
          .chunk_max = kPayloadBytesMin + (tells ? kPayloadBytesPerByte * asked : 0)};
}

// More than any right answer has: each chunk but the last says something of a byte, of a context, or of an error.
std::uint64_t ChunksMaxOf(const engine::RequestStep& request) {
  return kChunksMax + (request.command == engine::Command::kRead ? request.length : 0);
}

}  // namespace

// --- The time ---

LiveServer::OrStop LiveServer::LookAtTime() {
  if (IsLate() || IsCancelled(options_)) {
    return std::unexpected(Stop{});
  }
  const auto now = Clock::now();
  const std::uint64_t passed = PassedBytes();
  const auto waited = now - progress_at_;
  const double seconds = std::chrono::duration<double>(waited).count();
  const std::uint64_t bytes = passed - std::min(passed, progress_bytes_);
  const bool is_fast =
      waited >= options_.reply_timeout && static_cast<double>(bytes) >= seconds * kSlowestBytesPerSecond;
  if (std::exchange(has_progress_, false) || is_fast) {
    progress_at_ = now;
    progress_bytes_ = passed;
  } else if (waited >= kSlowTimeouts * options_.reply_timeout) {
    return std::unexpected(Stop{.trouble = Trouble{"The server is too slow to be judged: " + std::to_string(bytes) +
                                                   " bytes in " + std::to_string(static_cast<int>(seconds)) +
                                                   " s, and no answer was complete. Give a longer --reply-timeout."}});
  }
  return {};
}

std::uint64_t LiveServer::PassedBytes() const {
  std::uint64_t bytes = 0;
  for (const Lane& lane : lanes_) {
    bytes += lane.connection->passed_bytes();
  }
  return bytes;
}

// Until when last words may take.
LiveServer::Clock::time_point LiveServer::LastWait() const {
  return Clock::now() + (IsCancelled(options_) ? std::chrono::milliseconds(0) : kDrainTimeout);
}

// --- The bytes ---

std::uint64_t LiveServer::HeldBytes() const {
  std::uint64_t bytes = taken_bytes_;
  for (const Lane& lane : lanes_) {
    bytes += lane.connection->held_bytes();
  }
  return bytes;
}

std::uint64_t LiveServer::HeldBytesMax() const { return kUnaskedBytesMax + expected_bytes_; }

// What `request` and its answer are expected to be held as.
std::uint64_t LiveServer::BytesFor(const engine::RequestStep& request) const {
  const std::uint64_t data = std::min(request.length, kDataBytesMax);
  switch (request.command) {
    case engine::Command::kRead:
      return kRequestBytes + 2 * data;  // It may come in small chunks.
    case engine::Command::kWrite:
      return kRequestBytes + data;
    case engine::Command::kStatus:
      return kRequestBytes + status_bytes_;
    default:
      return kRequestBytes;
  }
}

// Awaits and forgets what passed where it would be too much with `request`.
LiveServer::OrStop LiveServer::MakeRoomFor(const engine::RequestStep& request) {
  const std::uint64_t bytes = BytesFor(request);
  if (expected_bytes_ > 0 && std::max(expected_bytes_ + bytes, HeldBytes()) > kHeldBytesMax) {
    NBDSPEC_RETURN_IF_ERROR(WaitForAll());
    StartRecord();
  }
  expected_bytes_ += bytes;
  return {};
}

// Nothing is in flight.
void LiveServer::StartRecord() {
  for (Lane& lane : lanes_) {
    lane.connection->StartRecord();
  }
  expected_bytes_ = 0;
  taken_bytes_ = 0;
}

// `judge` has taken `reply`, and keeps what is no data.
void LiveServer::NoteTaken(const ReplyJudge& judge, const ReplyView& reply) {
  const bool is_kept = !reply.is_simple && reply.type != engine::ChunkType::kOffsetData;
  const std::uint64_t bytes = kMessageBytes + (is_kept ? reply.payload.size() : 0);
  taken_bytes_ += bytes;
  if (judge.request().command == engine::Command::kStatus) {
    status_bytes_ = std::max(status_bytes_, 2 * bytes);
  }
}

// What nobody asked for may be an answer that is too long.
LiveServer::OrStop LiveServer::TooMuch(const Lane& lane) const {
  for (const Slot& slot : lane.slots) {
    if (slot.in_use) {
      NBDSPEC_RETURN_IF_ERROR(JudgeUnfinished(slot));
    }
  }
  return std::unexpected(
      Stop{.trouble =
               Trouble{"The server says more than nbdspec holds: " + std::to_string(HeldBytes() >> 20) +
                       " MiB, and answers are not complete. Try fewer requests with --in-flight and --connections."}});
}

// --- Waiting ---

// Until at most `in_flight_max` requests are in flight on `lane`.
LiveServer::OrStop LiveServer::WaitFor(const Lane& lane, int in_flight_max) {
  while (lane.in_flight > in_flight_max) {
    NBDSPEC_RETURN_IF_ERROR(ReceiveSome());
  }
  return {};
}

LiveServer::OrStop LiveServer::WaitForAll() {
  for (const Lane& lane : lanes_) {
    NBDSPEC_RETURN_IF_ERROR(WaitFor(lane, 0));
  }
  return {};
}

// Sends what is to be sent. Returns whether something has come meanwhile.
std::expected<bool, LiveServer::Stop> LiveServer::FlushLanes() {
  bool has_come = false;
  for (Lane& lane : lanes_) {
    NBDSPEC_ASSIGN_OR_RETURN(has_taken, FlushLane(lane));
    has_come = has_come || has_taken;
  }
  return has_come;
}

// The same on one, at most `bytes_max`.
std::expected<bool, LiveServer::Stop> LiveServer::FlushLane(Lane& lane, std::size_t bytes_max) {
  bool has_come = false;
  auto deadline = Clock::now() + options_.reply_timeout;
  std::size_t unsent_bytes = lane.connection->unsent_bytes();
  const std::size_t left_in_the_end = unsent_bytes - std::min(unsent_bytes, bytes_max);
  // A connection that ended is noticed when its last bytes are received.
  while (lane.connection->Flush(std::min(deadline, Clock::now() + kSlice), unsent_bytes - left_in_the_end) ==
         Ending::kTimedOut) {
    // A server that has one thread hears nothing while what it says to another connection is not taken.
    NBDSPEC_ASSIGN_OR_RETURN(has_taken, TakeWhatHasCome());
    has_come = has_come || has_taken;
    if (IsCancelled(options_)) {
      return std::unexpected(Stop{});
    }
    const std::size_t left_bytes = lane.connection->unsent_bytes();
    if (has_taken || left_bytes < unsent_bytes) {
      NBDSPEC_RETURN_IF_ERROR(LookAtTime());
      deadline = Clock::now() + options_.reply_timeout;
    } else if (Clock::now() >= deadline) {
      return std::unexpected(Hung().error());
    }
    unsent_bytes = left_bytes;
  }
  return has_come;
}

// Some of what is to be sent, so that the server receives it alone.
LiveServer::OrStop LiveServer::SendPiece(const engine::SendStep& piece) {
  Lane& lane = lanes_[OnLane(piece.connection) - 1U];
  const std::size_t unsent_bytes = lane.connection->unsent_bytes();
  NBDSPEC_RETURN_IF_ERROR(FlushLane(lane, piece.bytes == 0 ? unsent_bytes : piece.bytes));
  if (unsent_bytes > 0) {
    std::this_thread::sleep_for(LiveConnection::kPieceGap);
  }
  return {};
}

// Returns whether something had come.
std::expected<bool, LiveServer::Stop> LiveServer::TakeWhatHasCome() {
  bool has_come = false;
  for (Lane& lane : lanes_) {
    if (lane.in_flight > 0 && lane.connection->Receive(Clock::now()) == Ending::kNone) {
      has_come = true;
      NBDSPEC_RETURN_IF_ERROR(TakeReplies(lane));
    }
  }
  return has_come;
}

// Sends what is to be sent, then waits until a message or the end of a connection has come.
LiveServer::OrStop LiveServer::ReceiveSome() {
  NBDSPEC_RETURN_IF_ERROR(LookAtTime());
  NBDSPEC_ASSIGN_OR_RETURN(has_come, FlushLanes());
  if (has_come) {
    return {};
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
        return TakeReplies(lane);
      }
      if (ending != Ending::kTimedOut) {
        return Disconnected(lane);
      }
      is_silent = is_silent && Clock::now() < slice;
    }
    if (IsCancelled(options_)) {
      return std::unexpected(Stop{});
    }
    if (is_silent || Clock::now() >= deadline) {
      return Hung();
    }
  }
}

LiveServer::OrStop LiveServer::TakeReplies(Lane& lane) {
  const auto bytes_of = [&](std::uint64_t cookie) {
    const Slot* const slot = lane.Find(cookie);
    return slot == nullptr ? ReplyBytes{.chunk_max = kPayloadBytesMin} : ReplyBytesOf(slot->judge.request());
  };
  while (const auto reply = lane.connection->Next(bytes_of)) {
    NBDSPEC_RETURN_IF_ERROR(TakeReply(lane, *reply));
  }
  const std::string& undecodable = lane.connection->undecodable();
  if (undecodable.empty()) {
    return HeldBytes() > HeldBytesMax() ? TooMuch(lane) : OrStop();
  }
  const bool is_too_long = !lane.connection->wrong_magic();
  const std::string_view rule = is_too_long ? std::string_view(spec::kStructuredChunkLengthAccurate)
                                            : RuleOfReplies(lane.offer, lane.connection->wrong_magic());
  return std::unexpected(Stop{.failure = FailureOf(FindingKind::kBrokenRule, rule, "a reply", undecodable)});
}

// An answer that is not complete, though the server had its time, or sent a great many chunks.
LiveServer::OrStop LiveServer::JudgeUnfinished(const Slot& slot) {
  auto failure = slot.judge.FindFailure();
  const std::size_t chunks = slot.judge.answer().chunks().size();
  if (!failure && chunks >= ChunksMaxOf(slot.judge.request())) {
    failure = FailureOf(FindingKind::kHang, spec::kTransmissionReplyPerRequest, "an end of the reply",
                        std::to_string(chunks) + " chunks, none of them with DONE");
  }
  return failure ? std::unexpected(Stop{.failure = std::move(failure),
                                        .step = slot.step,
                                        .request_kind = RequestKindOf(slot.judge.request()),
                                        .cookie = slot.cookie})
                 : OrStop();
}

// Takes what is still on its way: some servers do not survive a client that leaves before (rhbz#2173054).
void LiveServer::Drain() {
  const auto deadline = LastWait();
  const auto any = [](std::uint64_t) { return ReplyBytes{.chunk_max = LiveConnection::kPayloadBytesMax}; };
  for (Lane& lane : lanes_) {
    do {
      for (auto reply = lane.connection->Next(any); reply; reply = lane.connection->Next(any)) {
        lane.in_flight -= IsLast(*reply) ? 1 : 0;
      }
    } while (lane.in_flight > 0 && lane.connection->undecodable().empty() && HeldBytes() <= HeldBytesMax() &&
             Clock::now() < deadline && lane.connection->Receive(deadline) == Ending::kNone);
  }
}

}  // namespace nbdspec::fuzz
