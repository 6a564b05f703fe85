// SPDX-License-Identifier: BSD-3-Clause
// ClientConnection: one connection of the reference client: its messages, its requests in flight, and how it ends.
//
// haggling.h, copying.h and mapping.h are what is done on it. Private to this folder.

#pragma once

#include <cstdint>
#include <deque>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/or_return.h"
#include "engine/client/client.h"
#include "engine/exchange/exchange.h"
#include "engine/exchange/rules.h"

namespace nbdspec::engine {

// Why a client ends its job, and how it leaves for that.
struct GivesUp {
  std::string why;
  bool is_hard = false;     // Without ABORT or DISC, for the server broke a rule, or is gone.
  bool is_refusal = false;  // An option was refused, or a request failed.
};
template <typename T>
using OrGivesUp = std::expected<T, GivesUp>;

inline std::unexpected<GivesUp> Soft(std::string why) {
  return std::unexpected(GivesUp{.why = std::move(why), .is_refusal = true});
}
inline std::unexpected<GivesUp> Hard(std::string why) {
  return std::unexpected(GivesUp{.why = std::move(why), .is_hard = true});
}

// Nothing came that was waited for. A server that is only silent is left softly.
inline std::unexpected<GivesUp> Lost(const std::string& what, const ReceiveError& error) {
  return std::unexpected(GivesUp{.why = what + ": " + error.text, .is_hard = error.kind != ReceiveError::kTimedOut});
}

// A request, once it is answered.
struct Answered {
  Request request = {};  // As it was meant.
  std::uint32_t error = NbdError::kOk;
  Bytes data = {};                         // Of a READ without error, as long as the request.
  std::vector<BlockStatus> statuses = {};  // Of a BLOCK_STATUS without error.
};

class ClientConnection final : public ClientNegotiation {
 public:
  // `job` and `conduct` outlive it.
  ClientConnection(std::unique_ptr<ClientLink> link, const ClientJob& job, const ClientConduct& conduct,
                   std::uint64_t number);

  [[nodiscard]] const ClientJob& job() const { return job_; }
  [[nodiscard]] const ClientConduct& conduct() const { return conduct_; }
  [[nodiscard]] const ClientFailings& failings() const { return conduct_.failings; }
  [[nodiscard]] std::uint64_t number() const { return number_; }
  [[nodiscard]] std::uint64_t export_bytes() const { return negotiated().info.size; }
  [[nodiscard]] bool is_abort_answered() const { return is_abort_answered_; }

  // What is negotiated, and the client takes for right: the contexts may be other ones.
  std::vector<MetaContext> contexts = {};
  bool wants_tls = false;  // Demanded or preferred.

  // Whether it is to leave where clause `requirement` is broken.
  [[nodiscard]] bool Minds(std::string_view requirement) const;
  // Leaves unless `holds`, where it minds.
  [[nodiscard]] OrGivesUp<void> Demand(bool holds, std::string_view requirement, std::string_view saw) const;

  // --- Messages ---

  // Puts TLS between.
  std::expected<void, std::string> StartTls() { return BeginTls(); }
  // Everything that was to be sent is.
  void Flush();
  // What is sent from here on goes together, when it next has to wait.
  void Hold() { is_gluing_ = true; }
  // Sends bytes that are no message of the protocol's.
  void SendRaw(ByteView bytes);

  // --- Requests ---

  // Gives it a cookie and the form that was agreed.
  void SendRequest(Request request);
  [[nodiscard]] std::size_t in_flight() const { return pending_.size(); }
  [[nodiscard]] std::uint64_t bytes_in_flight() const { return bytes_in_flight_; }
  // The next request that is answered. Range: one is in flight.
  OrGivesUp<Answered> NextAnswered();

  // --- The end ---

  // The server broke a rule here, or there is no more connection.
  void Break() { is_broken_ = true; }

  // Ends the connection, of a client that gives up or has done its job.
  void Leave(const GivesUp* gives_up);
  // Receives until the link has nothing, and tells nobody.
  void WaitForEver();

 private:
  struct Pending {
    Request meant;
    Exchange exchange;
    Bytes data;
    std::uint64_t filled = 0;  // Bytes of content that came.
    std::uint64_t count = 0;   // Chunks that came, and
    std::uint64_t payload_bytes = 0;
    std::vector<BlockStatus> statuses;
  };

  void SendMessage(const ClientMessage& message) override;
  Received<ServerMessage> ReceiveMessage() override;
  OrGivesUp<Answered> WaitForAnswered();
  std::expected<void, std::string> BeginTls() override;

  OrGivesUp<void> Take(Pending& to, SimpleReply& reply);
  OrGivesUp<void> Take(Pending& to, const Chunk& chunk);
  OrGivesUp<void> TakeContent(Pending& to, const ReplyChunk& digest, const Chunk& chunk);
  OrGivesUp<void> TakeStatus(Pending& to, const Chunk& chunk);
  OrGivesUp<void> TakeErrorText(const ReplyChunk& digest) const;
  [[nodiscard]] bool TakesForError(const Answer& answer) const;
  OrGivesUp<Answered> Finish(std::deque<Pending>::iterator at);
  void Say(const ClientMessage& message);
  void Abort();
  void Disconnect();
  void Drain();

  std::unique_ptr<ClientLink> link_;
  const ClientJob& job_;
  const ClientConduct& conduct_;
  std::uint64_t number_;
  std::vector<Rule> rules_;  // That it minds.
  Bytes outbox_;             // Of a client that glues.
  Bytes inbox_;
  std::deque<Pending> pending_;
  std::uint64_t bytes_in_flight_ = 0;
  std::uint64_t option_count_ = 0;
  std::uint64_t request_count_ = 0;
  std::uint64_t stray_count_ = 0;  // Answers to what was not asked.
  bool is_gluing_ = false;
  bool is_abort_answered_ = true;
  bool is_broken_ = false;
  bool is_silent_ = false;  // Nothing came in time.
  bool has_gone_ = false;   // The server ended the connection, or the client did.
};

// What on_done makes of an answer. It may add to what is to be sent.
using OnAnswered = std::function<OrGivesUp<void>(Answered& answered)>;

// Sends each of `todo` on one of `connections` in turn, as many at once as their conduct has, until all are answered.
using Connections = std::vector<std::unique_ptr<ClientConnection>>;  // Never empty.
OrGivesUp<void> Exchanges(Connections& connections, std::deque<Request>& todo, const OnAnswered& on_answered);

// What a client does about a request that failed, which it could not do without.
GivesUp Failed(const Answered& answered);

}  // namespace nbdspec::engine
