// SPDX-License-Identifier: BSD-3-Clause
// LiveConnection: one connection of a fast run: handshake, then pipelined requests and raw replies.
//
// Nothing is copied or decoded for a transcript while all goes well: the bytes that are sent and received are kept as
// they are, replies are looked at in place, and a transcript is decoded from the bytes when somebody wants it.

#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/peer/target.h"
#include "conformance/tls/tls_filter.h"
#include "engine/base/bytes.h"
#include "engine/negotiation/client_negotiation.h"
#include "engine/negotiation/negotiated.h"
#include "engine/script/script.h"
#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"
#include "fuzz/findings/finding.h"
#include "reports/model/evidence.h"

namespace nbdspec::fuzz {

// What a connection has negotiated, and what else the server sent.
struct Offer : engine::Negotiated {
  std::vector<std::string> listed_contexts = {};  // By LIST_META_CONTEXT, where that was sent.
  bool operator==(const Offer&) const = default;
};

// What a reply with some cookie may carry.
struct ReplyBytes {
  std::uint64_t simple = 0;     // A simple one that succeeded carries so many, neither more nor fewer.
  std::uint64_t chunk_max = 0;  // A chunk: more are not waited for. (Never more than kPayloadBytesMax.)
};

// A reply message in place: its payload is valid until more is received.
struct ReplyView {
  bool is_simple = false;
  std::uint32_t error = 0;  // Of a simple reply.
  std::uint16_t flags = 0;  // Of a chunk, and its type.
  std::uint16_t type = 0;
  std::uint64_t cookie = 0;
  std::uint64_t offset = 0;  // In an extended header.
  engine::ByteView payload = {};
};

class LiveConnection : private engine::ClientNegotiation {
 public:
  using Clock = conformance::Transport::Clock;

  static constexpr std::uint64_t kPayloadBytesMax = 1 << 26;

  // `number` is its name in transcripts. `clock` outlives it: the connections of a run share one. Where `tls` is not
  // null, everything is inside TLS; it outlives Enter. Where `cancelled` is not null, Enter ends when that becomes
  // true.
  LiveConnection(std::unique_ptr<conformance::Transport> transport, int number, std::uint64_t& clock,
                 const conformance::TlsCredentials* tls, const std::atomic<bool>* cancelled);

  // Is greeted, says its flags, and begins TLS where that is wanted. Errors: why it did not get that far.
  std::expected<void, std::string> Meet(Clock::time_point deadline);

  // The same, then haggles as `options` say, and enters `export_name`.
  std::expected<Offer, std::string> Enter(const std::vector<engine::OptionStep>& options,
                                          const std::string& export_name, Clock::time_point deadline);

  // Whether Enter met anything but an end.
  [[nodiscard]] bool was_greeted() const { return has_greeted_ || !broken_handshake_.rule.empty(); }

  // The MUST that the server broke, where Enter met bytes that are no message, and what they are; else empty.
  struct BrokenHandshake {
    std::string_view rule = {};
    std::string saw = {};
  };
  [[nodiscard]] const BrokenHandshake& broken_handshake() const { return broken_handshake_; }

  // Forgets the bytes that passed; nothing may be in flight.
  void StartRecord();

  // How many bytes are held since StartRecord, and how many have passed since the connection was made.
  [[nodiscard]] std::size_t held_bytes() const { return sent_.held_bytes() + received_.held_bytes(); }
  [[nodiscard]] std::uint64_t passed_bytes() const { return passed_bytes_; }

  // Writes a request to be sent by Flush; after a WRITE, whatever its flags say, its data: `pattern`.
  void Put(engine::Request request, std::uint8_t pattern);
  [[nodiscard]] std::size_t unsent_bytes() const { return sent_.rest().size(); }
  // Sends what is unsent, at most `bytes_max` of it. After kTimedOut some of that still is.
  conformance::Ending Flush(Clock::time_point deadline, std::size_t bytes_max = SIZE_MAX);

  // How long to wait after a piece, so that the server receives it alone.
  static constexpr std::chrono::milliseconds kPieceGap{1};

  // Receives once. See Transport::Receive.
  conformance::Ending Receive(Clock::time_point deadline);

  // The next whole reply; nothing while bytes are missing, or when what came is none (see undecodable).
  // `bytes_of(cookie)`: the ReplyBytes of a reply with that cookie.
  template <typename BytesOf>
  std::optional<ReplyView> Next(BytesOf bytes_of) {
    std::uint64_t payload_bytes = 0;
    const std::optional<ReplyView> reply = PeekHeader(payload_bytes);
    if (!reply) {
      return reply;
    }
    const ReplyBytes may_carry = bytes_of(reply->cookie);
    if (reply->is_simple && reply->error == 0) {
      payload_bytes = may_carry.simple;
    }
    return TakePayload(*reply, payload_bytes, reply->is_simple ? kPayloadBytesMax : may_carry.chunk_max);
  }
  [[nodiscard]] const std::string& undecodable() const { return undecodable_; }
  [[nodiscard]] std::optional<std::uint32_t> wrong_magic() const {
    return wrong_magic_;
  }  // Where that is what is wrong.
  // What has come and is not taken by Next.
  [[nodiscard]] std::size_t pending_bytes() const { return received_.rest().size(); }

  // Sends DISC and closes our side. Then only Receive and Next.
  void Leave(Clock::time_point deadline, std::uint64_t cookie = 0);

  // The last `bytes_max` of either direction since StartRecord.
  [[nodiscard]] FindingStream Record(std::size_t bytes_max) const;
  // What passed since StartRecord, the last kLinesMax of it, decoded, without its line: by when it passed, among all on
  // the connections that share a clock.
  static constexpr std::size_t kLinesMax = 4000;
  using Lines = std::multimap<std::uint64_t, reports::Message>;
  [[nodiscard]] Lines Transcript() const;

 private:
  // One direction of the connection since StartRecord.
  struct Stream {
    // What was sent or received at once.
    struct Piece {
      std::size_t end = 0;  // In `bytes`.
      std::uint64_t order = 0;
    };
    engine::Bytes bytes = {};
    std::size_t taken = 0;            // Of them: sent, or taken by Next.
    std::uint64_t offset = 0;         // Of the first one, from the start of the connection.
    std::size_t handshake_bytes = 0;  // At the beginning; 0 when they are not kept any more.
    std::vector<Piece> pieces = {};   // Ascending.

    [[nodiscard]] engine::ByteView rest() const { return engine::ByteView(bytes).subspan(taken); }
    [[nodiscard]] std::size_t held_bytes() const { return bytes.size() + pieces.size() * sizeof(Piece); }
    void ForgetTaken();
  };

  // Whatever was sent ahead is not sent again.
  void SendMessage(const engine::ClientMessage& message) override {
    if (ahead_count_ > 0) {
      --ahead_count_;
    } else {
      Encode(message, sent_.bytes);
    }
  }
  engine::Received<engine::ServerMessage> ReceiveMessage() override;

  // An option of the handshake, and how it is delivered.
  struct Delivered {
    engine::Option option;
    std::uint8_t split = 0;
    bool is_glued = false;
  };
  static std::vector<Delivered> DeliveredFor(const std::vector<engine::OptionStep>& options,
                                             const std::string& export_name);
  void SendAhead(std::span<const Delivered> options);
  std::expected<std::vector<std::string>, std::string> AskForContexts(const engine::Option& option);
  std::expected<void, std::string> BeginTls() override;

  // A reply whose payload is all that follows its header. `payload_bytes`: of a chunk.
  [[nodiscard]] std::optional<ReplyView> PeekHeader(std::uint64_t& payload_bytes);
  template <engine::HeaderForm form>
  [[nodiscard]] std::optional<ReplyView> PeekChunk(std::uint64_t& payload_bytes) const;
  [[nodiscard]] std::optional<ReplyView> TakePayload(ReplyView reply, std::uint64_t payload_bytes,
                                                     std::uint64_t payload_bytes_max);

  // That it ends at `end` in `stream`.
  void NotePiece(Stream& stream, std::size_t end) { stream.pieces.push_back({.end = end, .order = ++*clock_}); }
  void NoteBrokenHandshake(const std::string& what);
  [[nodiscard]] bool IsCancelled() const { return cancelled_ != nullptr && cancelled_->load(); }
  void AddLine(const Stream& stream, std::size_t begin, std::size_t length, const engine::Description& what,
               Lines& lines) const;

  std::unique_ptr<conformance::Transport> transport_;
  int number_;
  std::uint64_t* clock_;
  const conformance::TlsCredentials* tls_;  // Until TLS has begun.
  const std::atomic<bool>* cancelled_;
  bool is_stuck_ = false;  // Something may be on its way inside TLS.
  std::uint64_t passed_bytes_ = 0;
  Stream sent_;
  Stream received_;
  std::string undecodable_;
  std::optional<std::uint32_t> wrong_magic_;
  Clock::time_point deadline_;   // Of the handshake.
  std::size_t ahead_count_ = 0;  // Options that were sent with those before them.
  bool has_greeted_ = false;
  BrokenHandshake broken_handshake_;
  std::size_t name_reply_bytes_ = 0;  // How many of its bytes that are kept answer EXPORT_NAME.
};

}  // namespace nbdspec::fuzz
