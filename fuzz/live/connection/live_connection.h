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
#include "engine/base/bytes.h"
#include "engine/negotiation/client_negotiation.h"
#include "engine/negotiation/negotiated.h"
#include "engine/script/script.h"
#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"
#include "fuzz/findings/finding.h"

namespace nbdspec::fuzz {

// What a connection has negotiated, and what else the server told.
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
  engine::ByteView payload = {};
};

class LiveConnection : private engine::ClientNegotiation {
 public:
  using Clock = conformance::Transport::Clock;

  // `number` is its name in transcripts. `clock` outlives it: the connections of a run share one.
  LiveConnection(std::unique_ptr<conformance::Transport> transport, int number, std::uint64_t& clock)
      : ClientNegotiation({.bytes_max = 1 << 20, .messages_max = 1000}),
        transport_(std::move(transport)),
        number_(number),
        clock_(&clock) {}

  // Haggles as the OptionSteps among `steps` say, then enters `export_name`.
  // Errors: why it did not get that far.
  std::expected<Offer, std::string> Enter(const std::vector<engine::OptionStep>& options,
                                          const std::string& export_name, Clock::time_point deadline);

  // Forgets the bytes that passed; nothing may be in flight.
  void StartRecord();

  // Writes a request to be sent by Flush.
  void Put(const engine::RequestStep& request, std::uint64_t cookie);
  [[nodiscard]] std::size_t unsent_bytes() const { return sent_.size() - sent_count_; }
  conformance::Ending Flush(Clock::time_point deadline);

  // Receives once. See Transport::Receive.
  conformance::Ending Receive(Clock::time_point deadline);

  // The next whole reply; nothing while bytes are missing, or when what came is none (see undecodable).
  // `read_length(cookie)`: how many bytes a successful simple reply with that cookie carries.
  template <typename ReadLength>
  std::optional<ReplyView> Next(ReadLength read_length) {
    std::uint32_t payload_bytes = 0;
    const std::optional<ReplyView> reply = PeekHeader(payload_bytes);
    if (reply && reply->is_simple && reply->error == 0) {
      payload_bytes = read_length(reply->cookie);
    }
    return reply ? TakePayload(*reply, payload_bytes) : reply;
  }
  [[nodiscard]] const std::string& undecodable() const { return undecodable_; }
  // What has come and is not taken by Next.
  [[nodiscard]] std::size_t pending_bytes() const { return received_.size() - taken_; }
  [[nodiscard]] std::uint64_t received_byte_count() const { return received_offset_ + received_.size(); }

  // Sends DISC and closes our side.
  void Leave(Clock::time_point deadline);

  [[nodiscard]] FindingStream Record() const;
  // What passed since StartRecord, decoded: by when it passed, among all on the connections that share a clock.
  using Lines = std::multimap<std::uint64_t, std::string>;
  [[nodiscard]] Lines Transcript() const;

 private:
  // What was sent or received at once.
  struct Piece {
    std::size_t end = 0;  // In sent_ or received_.
    std::uint64_t order = 0;
  };

  void SendMessage(const engine::ClientMessage& message) override { Encode(message, sent_); }
  engine::Received<engine::ServerMessage> ReceiveMessage() override;

  // `payload_bytes`: of a chunk.
  [[nodiscard]] std::optional<ReplyView> PeekHeader(std::uint32_t& payload_bytes);
  [[nodiscard]] std::optional<ReplyView> TakePayload(ReplyView reply, std::uint32_t payload_bytes);

  void NotePiece(bool is_sent, std::size_t end);
  void AddLine(bool is_sent, std::size_t begin, std::size_t length, const std::string& text, Lines& lines) const;
  void DecodeSent(Lines& lines) const;
  void DecodeReceived(Lines& lines) const;

  std::unique_ptr<conformance::Transport> transport_;
  int number_;
  std::uint64_t* clock_;
  engine::Bytes sent_;  // Since StartRecord; from sent_count_ on not yet sent.
  engine::Bytes received_;
  std::size_t sent_count_ = 0;
  std::size_t taken_ = 0;
  std::uint64_t sent_offset_ = 0;  // Of sent_'s first byte in its stream.
  std::uint64_t received_offset_ = 0;
  std::vector<Piece> sent_pieces_;  // Both ascending.
  std::vector<Piece> received_pieces_;
  std::string undecodable_;
  Clock::time_point deadline_;                // Of the handshake.
  std::size_t handshake_sent_bytes_ = 0;      // At the beginning of sent_; 0 when it is not kept any more.
  std::size_t handshake_received_bytes_ = 0;  // The same of received_,
  std::size_t name_reply_bytes_ = 0;          // and how many of these answer EXPORT_NAME.
};

}  // namespace nbdspec::fuzz
