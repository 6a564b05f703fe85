// SPDX-License-Identifier: BSD-3-Clause
// LiveConnection: one connection of a fast run: handshake, then pipelined requests and raw replies.
//
// Nothing is copied or decoded for a transcript while all goes well: the bytes that are sent and received are kept as
// they are, replies are looked at in place, and a transcript is decoded from the bytes when somebody wants it.

#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <string>
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

  // `number` is its name in transcripts. `clock` outlives it: the connections of a run share one. Where `tls` is not
  // null, everything is inside TLS; it outlives Enter.
  LiveConnection(std::unique_ptr<conformance::Transport> transport, int number, std::uint64_t& clock,
                 const conformance::TlsCredentials* tls)
      : ClientNegotiation({.bytes_max = 1 << 20, .messages_max = 1000}),
        transport_(std::move(transport)),
        number_(number),
        clock_(&clock),
        tls_(tls) {
    wants_tls_ = tls != nullptr;
  }

  // Haggles as `options` say, then enters `export_name`.
  // Errors: why it did not get that far.
  std::expected<Offer, std::string> Enter(const std::vector<engine::OptionStep>& options,
                                          const std::string& export_name, Clock::time_point deadline);

  // Forgets the bytes that passed; nothing may be in flight.
  void StartRecord();

  // Writes a request to be sent by Flush; after a WRITE, whatever its flags say, its data: `pattern`.
  void Put(engine::Request request, std::uint8_t pattern);
  [[nodiscard]] std::size_t unsent_bytes() const { return sent_.rest().size(); }
  // Sends what is unsent. After kTimedOut some of it still is.
  conformance::Ending Flush(Clock::time_point deadline);

  // Receives once. See Transport::Receive.
  conformance::Ending Receive(Clock::time_point deadline);

  // The next whole reply; nothing while bytes are missing, or when what came is none (see undecodable).
  // `read_length(cookie)`: how many bytes a successful simple reply with that cookie carries.
  template <typename ReadLength>
  std::optional<ReplyView> Next(ReadLength read_length) {
    std::uint64_t payload_bytes = 0;
    const std::optional<ReplyView> reply = PeekHeader(payload_bytes);
    if (reply && reply->is_simple && reply->error == 0) {
      payload_bytes = read_length(reply->cookie);
    }
    return reply ? TakePayload(*reply, payload_bytes) : reply;
  }
  [[nodiscard]] const std::string& undecodable() const { return undecodable_; }
  [[nodiscard]] std::optional<std::uint32_t> wrong_magic() const {
    return wrong_magic_;
  }  // Where that is what is wrong.
  // What has come and is not taken by Next.
  [[nodiscard]] std::size_t pending_bytes() const { return received_.rest().size(); }

  // Sends DISC and closes our side. Then only Receive and Next.
  void Leave(Clock::time_point deadline, std::uint64_t cookie = 0);

  [[nodiscard]] FindingStream Record() const;
  // What passed since StartRecord, decoded, without its line: by when it passed, among all on the connections that
  // share a clock.
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
    void ForgetTaken();
  };

  void SendMessage(const engine::ClientMessage& message) override { Encode(message, sent_.bytes); }
  engine::Received<engine::ServerMessage> ReceiveMessage() override;
  std::expected<void, std::string> BeginTls() override;

  // A reply whose payload is all that follows its header. `payload_bytes`: of a chunk.
  [[nodiscard]] std::optional<ReplyView> PeekHeader(std::uint64_t& payload_bytes);
  template <engine::HeaderForm form>
  [[nodiscard]] std::optional<ReplyView> PeekChunk(std::uint64_t& payload_bytes) const;
  [[nodiscard]] std::optional<ReplyView> TakePayload(ReplyView reply, std::uint64_t payload_bytes);

  // That it ends at `end` in `stream`.
  void NotePiece(Stream& stream, std::size_t end) { stream.pieces.push_back({.end = end, .order = ++*clock_}); }
  void AddLine(const Stream& stream, std::size_t begin, std::size_t length, const engine::Description& what,
               Lines& lines) const;

  std::unique_ptr<conformance::Transport> transport_;
  int number_;
  std::uint64_t* clock_;
  const conformance::TlsCredentials* tls_;  // Until TLS has begun.
  bool is_stuck_ = false;                   // Something may be on its way inside TLS.
  Stream sent_;
  Stream received_;
  std::string undecodable_;
  std::optional<std::uint32_t> wrong_magic_;
  Clock::time_point deadline_;        // Of the handshake.
  std::size_t name_reply_bytes_ = 0;  // How many of its bytes that are kept answer EXPORT_NAME.
};

}  // namespace nbdspec::fuzz
