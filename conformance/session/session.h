// SPDX-License-Identifier: BSD-3-Clause
// Session: one raw conversation with a server.
//
// It sends exactly the given messages, legal or not, decodes what it receives with engine/wire, waits no longer than
// its limits allow, and records everything in a transcript. It judges nothing: a server's misbehaviour is returned as
// data.

#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "conformance/peer/target.h"
#include "conformance/peer/tls_transport.h"
#include "conformance/session/transcript.h"
#include "engine/base/bytes.h"
#include "engine/negotiation/client_negotiation.h"
#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"

namespace nbdspec::conformance {

using namespace engine;  // The words of the protocol.

// Of a newstyle greeting.
inline constexpr std::uint64_t kGreetingBytes = 18;

// What a reply is about.
struct ReplyHead {
  std::uint64_t cookie = 0;
  bool ends = true;  // A simple reply, or a chunk with DONE.
  std::size_t payload_bytes = 0;
};
// Nothing for a message that is no reply.
std::optional<ReplyHead> HeadOf(const ServerMessage& message);

// What answers one request: a simple reply, or chunks of which the last has DONE.
struct Answer {
  std::optional<SimpleReply> simple = {};
  std::vector<Chunk> chunks = {};

  // The error of the simple reply or of the first error chunk (NbdError::kEio when that chunk cannot be taken
  // apart); 0 for success.
  [[nodiscard]] std::uint32_t error() const;
};

// What a session and its server send, as bytes: how either side began.
struct Recording {
  static constexpr std::size_t kBytesMax = 4096;  // Of one side: fuzz targets read no more, and servers send megabytes.
  Bytes client = {};
  Bytes server = {};
  auto operator<=>(const Recording&) const = default;
};

// Sees everything that passes on a session.
class Witness {
 public:
  virtual ~Witness() = default;
  virtual void Sent(const ClientMessage& message) = 0;  // As it goes out.
  virtual void SentBytes() = 0;                         // They may be anything; or that we send no more.
  virtual void Received(const ServerMessage& message) = 0;
  virtual void Missed(const ReceiveError& ended) = 0;  // In place of a message that was wanted.
};

class Session : public ClientNegotiation {
 public:
  struct Limits {
    std::chrono::milliseconds reply_timeout{2000};  // Of silence, while a message is wanted.
    std::chrono::milliseconds quiet_time{100};      // How long ExpectSilence waits.
    Transport::Clock::time_point deadline = Transport::Clock::time_point::max();  // For all of it.
    std::uint64_t received_bytes_max = 1 << 28;                                   // Of the whole session: 256 MiB.
    std::uint64_t option_bytes_max = 1 << 24;      // Of the payloads that answer one option: 16 MiB, all held at once.
    std::uint64_t answer_bytes_max = 1 << 26;      // Of what is held while one answer is awaited: 64 MiB.
    std::uint32_t messages_max = 1 << 16;          // In answer to one option or request.
    const std::atomic<bool>* cancelled = nullptr;  // When it becomes true, waiting ends as if timed out.
    std::function<Recording&()> new_recording = {};  // Where there is one: for each session, and stays where it is.
  };

  // `transcript` outlives the session. `connection` is its number there. Where `tls` is not null, Greet begins TLS with
  // it; it is not looked at afterwards.
  Session(std::unique_ptr<Transport> transport, const Limits& limits, Transcript& transcript, int connection = 1,
          const TlsCredentials* tls = nullptr);

  // `witness` outlives the session.
  void SetWitness(Witness& witness) { witness_ = &witness; }

  // --- Sending. See Send as well: requests go in the form that was agreed (SendRaw can send another), the length of a
  // READ is remembered for its simple reply, and a server that does not take what is sent is noticed when an answer is
  // awaited ---

  // Sends bytes as they are; `what` describes them in the transcript.
  void SendRaw(ByteView bytes, std::string what);

  // Sends `messages` as one piece of bytes.
  void SendTogether(std::span<const ClientMessage> messages);

  // Sends `message` as pieces of at most `piece_bytes` (at least 1), each by a call of its own: over TCP by segments of
  // their own, unless the network or the server's machine puts them together.
  void SendInPieces(const ClientMessage& message, std::size_t piece_bytes);

  // Closes our sending side.
  void ShutdownSending();

  // A cookie not used before in this session, nor by NextCookie in another one of the same transcript: there it names
  // one request.
  std::uint64_t NextCookie() { return ++cookie_; }

  // --- Receiving ---

  Received<ServerMessage> Next();

  // Everything that answers the request with `cookie`. Replies to other cookies that come meanwhile are kept for
  // their own call; a reply to a cookie never sent is kept in unmatched().
  Received<Answer> NextAnswer(std::uint64_t cookie);

  // Waits for quiet_time. Returns what came; nothing when the server stays silent and connected.
  std::optional<std::string> ExpectSilence();

  // Waits for quiet_time, and leaves what comes where it is.
  void Rest() const;

  // Waits for the server to end the connection, ignoring what it sends: how it ended it, or kTimedOut after
  // reply_timeout.
  ReceiveError WaitForEnd();

  // --- Both at once ---

  using ClientNegotiation::Ask;
  Received<Answer> Ask(Request request);  // request.cookie 0 is replaced by NextCookie().

  // For a conversation that is not begun by Ask or AskExportName: from here on NextAnswer.
  void EnterTransmission() { decoder_.EnterTransmission(negotiated().headers); }

  // Sends DISC and closes our sending side. Errors: none; whatever happens is in the transcript.
  void Disconnect();

  // --- TLS ---

  // Holds the handshake of TLS, as a client whose STARTTLS was acknowledged; then all messages go through it.
  // Errors: why there is no TLS; what is sent then goes nowhere.
  std::expected<void, std::string> StartTls(const TlsOptions& options);

  // Sends bytes beneath TLS, or before it; `what` describes them in the transcript.
  void SendBeneathTls(ByteView bytes, std::string what);

  // Appends what comes beneath TLS, or in place of it, to `came`, until the server ends the connection or reply_timeout
  // is over. Returns how it ended it, or kTimedOut.
  Ending WaitForEndBeneathTls(Bytes& came);

  // Null before StartTls.
  [[nodiscard]] const TlsTransport* tls() const { return tls_; }

  // --- State ---

  [[nodiscard]] const std::vector<ServerMessage>& unmatched() const { return unmatched_; }
  [[nodiscard]] std::uint64_t received_byte_count() const { return received_bytes_; }
  // Of them, those before the first option that Greet does not ask by itself.
  [[nodiscard]] std::uint64_t greeting_byte_count() const { return greeting_bytes_; }
  // Bytes that came and are no whole message: of one that is not finished, or of what cannot be decoded.
  [[nodiscard]] ByteView pending() const { return decoder_.Pending(); }
  [[nodiscard]] const Limits& limits() const { return limits_; }

 private:
  std::expected<void, std::string> BeginTls() override;
  void SendMessage(const ClientMessage& message) override;
  Received<ServerMessage> ReceiveMessage() override { return Next(); }

  // See session.cc.
  // A message in the form of headers that is agreed, and what it is, for the transcript. Its reply is expected.
  struct Prepared {
    Bytes bytes;
    Transcript::Line line;
  };
  Prepared Prepare(const ClientMessage& message);
  void AddSent(std::uint64_t length, Transcript::Line line);
  void SendOut(ByteView bytes);
  Received<ServerMessage> NextUntil(Transport::Clock::time_point deadline);
  [[nodiscard]] Transport::Clock::time_point Until(std::chrono::milliseconds wait) const;
  Ending ReceiveMore(Transport::Clock::time_point deadline);
  void Note(std::string text);
  Transport& Wire() { return tls_ != nullptr ? tls_->wire() : *transport_; }

  std::unique_ptr<Transport> transport_;
  TlsTransport* tls_ = nullptr;  // The transport, in TLS.
  TlsCredentials credentials_;   // For BeginTls.
  Limits limits_;
  Transcript* transcript_;
  Recording* recording_;
  Witness* witness_ = nullptr;
  int connection_;
  std::uint64_t cookie_;  // The last one given.
  std::uint64_t sent_bytes_ = 0;
  std::uint64_t received_bytes_ = 0;
  std::uint64_t greeting_bytes_ = kGreetingBytes;
  std::optional<ReceiveError> over_;  // Set once nothing more can come.
  std::vector<ServerMessage> unmatched_;
  std::vector<ServerMessage> early_;        // Replies that came before they were asked for by cookie.
  std::vector<std::uint64_t> outstanding_;  // Cookies sent and not yet wholly answered.
};

}  // namespace nbdspec::conformance
