// SPDX-License-Identifier: BSD-3-Clause
// ClientNegotiation: the client's end of a handshake, over whatever carries messages.
//
// Session (with a transcript, and able to send what is illegal), LiveConnection (fast, bytes kept raw) and the exchange
// target's client (a server in memory) derive from it: they send and receive messages, and options, their replies and
// what these mean are here once. It does no I/O and judges nothing. The server's end is engine/server. TLS is a filter
// of bytes below SendMessage and ReceiveMessage, which BeginTls puts there.

#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "engine/negotiation/negotiated.h"
#include "engine/wire/decoders.h"
#include "engine/wire/messages.h"

namespace nbdspec::engine {

// Why a wanted message was not received.
struct ReceiveError {
  enum class Kind {
    kClosed,       // The server closed the connection.
    kReset,        // The server reset it.
    kTimedOut,     // The server sent nothing in time.
    kUndecodable,  // The bytes it sent are no message.
    kUnexpected,   // It sent a message of another kind than the phase has.
    kFlood,        // It sent more than the limits allow.
  };
  using enum Kind;
  Kind kind = kTimedOut;
  std::string text = {};  // For people: "the server closed the connection after 18 bytes".

  // Whether the server ended the connection.
  [[nodiscard]] bool is_disconnect() const { return kind == kClosed || kind == kReset; }
};

template <typename T>
using Received = std::expected<T, ReceiveError>;

class ClientNegotiation {
 public:
  using InfoRequests = std::vector<std::uint16_t>;

  // What may answer one option.
  struct Limits {
    std::uint64_t bytes_max = 1 << 24;  // Of the payloads, which are all held at once.
    std::uint32_t messages_max = 1 << 16;
  };

  explicit ClientNegotiation(const Limits& limits) : reply_limits_(limits) {}
  virtual ~ClientNegotiation() = default;
  ClientNegotiation(ClientNegotiation&&) noexcept = default;
  ClientNegotiation& operator=(ClientNegotiation&&) noexcept = default;

  [[nodiscard]] const Negotiated& negotiated() const { return negotiated_; }

  // Sends a message as it is, legal or not.
  void Send(const ClientMessage& message);

  // --- One message, and what answers it ---

  // The greeting of a newstyle server. Errors: kUnexpected for an oldstyle one, which enters transmission.
  Received<Greeting> NextGreeting();

  // Replies from the next one up to and with the first that is final. Never empty.
  Received<OptionReplies> NextOptionReplies();

  // Any option but EXPORT_NAME. A GO that is acknowledged enters transmission.
  Received<OptionReplies> Ask(const Option& option);

  // EXPORT_NAME: its own form of reply. `no_zeroes`: both sides set NO_ZEROES, so ten bytes are the whole of it.
  Received<ExportNameReply> AskExportName(std::string_view name, bool no_zeroes);

  // --- The steps of a client that keeps to the rules. Errors: a sentence that says what the server did instead ---

  // Receives the greeting, and sends those of `flags` that the server offers; then begins TLS where it is wanted and
  // the flags allow it. An oldstyle greeting is the whole of its handshake: what is returned then has no flags.
  std::expected<Greeting, std::string> Greet(std::uint32_t flags = kClientFlags);

  // Asks; a refusal is an answer.
  std::expected<OptionReplies, std::string> Try(const Option& option);

  // Asks; a refusal is an error.
  std::expected<OptionReplies, std::string> Require(const Option& option);

  // Enter an export, by GO, by EXPORT_NAME, or by GO where the server knows it. Return the option that entered; the
  // last two 0 where the greeting was oldstyle, and had entered the only export there is.
  using EnteredBy = std::expected<std::uint32_t, std::string>;
  EnteredBy EnterByGo(std::string_view name, InfoRequests requests = {InfoType::kBlockSize});
  EnteredBy EnterByName(std::string_view name);
  EnteredBy EnterByGoOrName(std::string_view name, InfoRequests requests = {InfoType::kBlockSize});

  static constexpr std::uint32_t kClientFlags = ClientFlag::kFixedNewstyle | ClientFlag::kNoZeroes;  // All there are.

 protected:
  virtual void SendMessage(const ClientMessage& message) = 0;
  virtual Received<ServerMessage> ReceiveMessage() = 0;

  // STARTTLS was acknowledged: from here on all messages go through TLS. Only where wants_tls_.
  // Errors: a sentence that says why there is no TLS.
  virtual std::expected<void, std::string> BeginTls() { return std::unexpected("this client has no TLS"); }

  bool wants_tls_ = false;
  ServerDecoder decoder_;

 private:
  Limits reply_limits_;
  Negotiated negotiated_;
};

// What a refusal says: "NBD_OPT_GO was answered NBD_REP_ERR_POLICY \"not you\"". Range: not empty.
std::string RefusalText(const OptionReplies& replies);

}  // namespace nbdspec::engine
