// SPDX-License-Identifier: BSD-3-Clause
// Record: one connection as its server saw it: what the client sent, what it was sent, and how it left. What rules
// about clients read (client_rules.h); a Recorder between the reference server and its wire writes it.
//
// A client is hostile as every peer: a record is bounded in messages, and the data of READ and WRITE is not kept.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/negotiation/negotiated.h"
#include "engine/server/server.h"
#include "engine/wire/messages.h"

namespace nbdspec::engine {

// Bytes of the client's that are no message; nothing can be read behind them.
struct NoMessage {
  Bytes first = {};  // At most kNoMessageBytesMax; empty where they came inside TLS.
  bool operator==(const NoMessage&) const = default;
};
inline constexpr std::size_t kNoMessageBytesMax = 64;

// The acknowledgement of STARTTLS was sent: the handshake of TLS comes next.
struct TlsBegins {
  bool operator==(const TlsBegins&) const = default;
};

// How the connection ended, as the server's end of it saw.
struct Departure {
  enum class How : std::uint8_t {
    kClosed,     // The client closed it (FIN).
    kReset,      // The client reset it.
    kServerEnd,  // The server did first, and the client afterwards or not at all.
    kStayed,     // Nobody did while the client ran, or had its time.
  };
  How how = How::kClosed;
  std::uint64_t cut_bytes = 0;    // The beginning of a message that never became whole.
  std::uint64_t after_bytes = 0;  // Came when the server had closed its end.
  bool operator==(const Departure&) const = default;

  // Whether the client was first to end it.
  [[nodiscard]] bool is_clients() const { return how == How::kClosed || how == How::kReset; }
};

struct Seen {
  // Messages of READ and WRITE are without their data: of OFFSET_DATA the offset is left.
  std::variant<ClientMessage, ServerMessage, NoMessage, TlsBegins, Departure> what;
  // Of what the client sent: it came before all that the server had to say until then had been sent.
  bool is_early = false;
  // Of a message: in words, with the place of its fields. It knows of the data.
  Description words = {};
  std::uint64_t wire_bytes = 0;  // Of a message: how long it was, with its data; inside TLS without that of TLS.
};

struct Record {
  std::vector<Seen> seen;  // In the server's order; the last one is a Departure.
  bool is_whole = true;    // Else the connection had more than kSeenMax messages, and the middle is missing.
  // In `seen`: the first message of the server's that is not what the reference server would have sent, or of the
  // client's that the server did not receive as it came.
  std::optional<std::size_t> changed_at = {};
  // The first bytes that came after TLS was due, as they were on the wire. At most kBehindStarttlsMax.
  Bytes behind_starttls = {};

  static constexpr std::size_t kSeenMax = 1 << 14;
  static constexpr std::size_t kBehindStarttlsMax = 1 << 14;
};

// Writes the Record of one connection, and passes on to another interposer, which may change what passes.
class Recorder final : public Interposer {
 public:
  // `inner` may be null, and outlives this.
  explicit Recorder(Interposer* inner) : inner_(inner) {}

  // --- From the server ---
  void BytesCame() override;
  bool BeforeServer(ClientMessage& received, const Negotiated& state) override;
  void ChangeTls(TlsConduct& conduct) override;
  void AfterServer(const ClientMessage* received, const Negotiated& state, std::vector<ServerMessage>& sent) override;

  // --- From whoever carries the server's bytes ---

  // All that the server had to say has been sent.
  void AllSent() { is_unsent_ = false; }
  // The server reads no more: what comes next is no message.
  void CannotRead(ByteView first);
  // More bytes behind the acknowledgement of STARTTLS.
  void CameBehindStarttls(ByteView more);
  // Once, at the end.
  void Left(const Departure& departure);

  // Bytes that the messages from the client took until now.
  [[nodiscard]] std::uint64_t message_bytes() const { return message_bytes_; }
  // Whether the server itself ended the connection by what it last sent, or was asked to by DISC.
  [[nodiscard]] bool has_server_ended() const { return has_server_ended_; }

  [[nodiscard]] const Record& record() const { return record_; }

 private:
  void Add(Seen seen);
  void NoteChange();

  Interposer* inner_;
  Record record_;
  std::uint64_t message_bytes_ = 0;
  bool is_unsent_ = true;    // The greeting is due.
  bool came_early_ = false;  // What came last came while something was unsent.
  bool has_server_ended_ = false;
};

}  // namespace nbdspec::engine
