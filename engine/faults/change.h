// SPDX-License-Identifier: BSD-3-Clause
// Change: what makes the reference server wrong, as two functions between it and its wire.
//
// A function may keep state, which is of one connection. option_changes.h and answer_changes.h make changes of usual
// kinds.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/layers/layer.h"
#include "engine/server/server.h"
#include "engine/wire/payloads.h"

namespace nbdspec::engine::faults {

using Messages = std::vector<ServerMessage>;

// What a change may know of the connection it is made on.
struct Connection {
  std::uint64_t number = 0;                // Of the connection at its server, from 0.
  Layer* layer = nullptr;                  // What the server serves, where the tester says it.
  const Negotiated* negotiated = nullptr;  // Set whenever a change is made.
  std::uint64_t export_bytes = 0;          // Of the export that the client has entered.
  std::uint64_t piece_count = 0;           // Pieces of bytes that have come, with the one that ends the message.
  std::uint64_t request_count = 0;         // With the one that is answered.
  Request previous = {};                   // The request before that one, without its payload.
  Bytes overwritten = {};                  // What the layer had where the last WRITE wrote.
};

struct Change {
  // Changes a message from the client. Returns whether the server receives it; if not, the server sends nothing.
  std::function<bool(ClientMessage& received, const Connection& on)> received = [](auto&, auto&) { return true; };
  // Changes what the server sends in answer to `to` as the client sent it (nullptr: the greeting).
  std::function<void(const ClientMessage* to, const Connection& on, Messages& sent)> sent = [](auto*, auto&, auto&) {};
  // Changes how the server's end of TLS behaves.
  std::function<void(TlsConduct& conduct)> tls = [](auto&) {};
  // Changes what stays of a connection that has gone.
  std::function<void(const Negotiated& state, Remains& remains)> remains = [](auto&, auto&) {};
};

// A function that changes a `Changed`. It may also take the message before it, and the connection after it.
template <typename Message, typename Changed>
class Changing {
 public:
  template <typename Function>
  Changing(Function function) {  // Implicit on purpose.
    if constexpr (std::is_invocable_v<Function&, const Message&, Changed&, const Connection&>) {
      call_ = std::move(function);
    } else if constexpr (std::is_invocable_v<Function&, const Message&, Changed&>) {
      call_ = [=](const Message& to, Changed& changed, const Connection&) mutable { function(to, changed); };
    } else {
      call_ = [=](const Message&, Changed& changed, const Connection&) mutable { function(changed); };
    }
  }

  void operator()(const Message& to, Changed& changed, const Connection& on) const { call_(to, changed, on); }

 private:
  std::function<void(const Message& to, Changed& changed, const Connection& on)> call_;
};

// The reference server's connection, changed. `number` and `layer` as in Connection; the layer outlives it.
std::unique_ptr<Interposer> Interpose(const Change& change, std::uint64_t number = 0, Layer* layer = nullptr);

// First the one, then the other.
inline Change Both(const Change& first, const Change& second) {
  return {.received = [a = first.received, b = second.received](
                          ClientMessage& received, const Connection& on) { return a(received, on) && b(received, on); },
          .sent =
              [a = first.sent, b = second.sent](const ClientMessage* to, const Connection& on, Messages& sent) {
                a(to, on, sent);
                b(to, on, sent);
              },
          .tls =
              [a = first.tls, b = second.tls](TlsConduct& conduct) {
                a(conduct);
                b(conduct);
              },
          .remains =
              [a = first.remains, b = second.remains](const Negotiated& state, Remains& remains) {
                a(state, remains);
                b(state, remains);
              }};
}

// Calls `change` for each message that is a `Message`.
template <typename Message, typename Function>
void ForEach(Messages& sent, Function&& change) {
  for (ServerMessage& each : sent) {
    if (auto* message = std::get_if<Message>(&each)) {
      change(*message);
    }
  }
}

template <typename AnyGreeting = Greeting, typename Function>
Change ChangesGreeting(Function change) {
  return {.sent = [=](const ClientMessage* to, const Connection&, Messages& sent) {
    if (to == nullptr) {
      ForEach<AnyGreeting>(sent, change);
    }
  }};
}

// The server takes none of `flags` for set in the client's.
inline Change IgnoresClientFlags(std::uint32_t flags) {
  return {.received = [flags](ClientMessage& received, const Connection&) {
    if (auto* client = std::get_if<ClientFlags>(&received)) {
      client->flags &= ~flags;
    }
    return true;
  }};
}

// The server receives no `Message` that came in as many pieces as `forgets` says: 0 when it came in one piece with the
// message before it.
template <typename Message>
Change ForgetsByPieces(bool (*forgets)(std::uint64_t pieces)) {
  return {.received = [forgets, before = std::uint64_t{0}](ClientMessage& received, const Connection& on) mutable {
    const std::uint64_t pieces = on.piece_count - std::exchange(before, on.piece_count);
    return !std::holds_alternative<Message>(received) || !forgets(pieces);
  }};
}
inline bool CameInPieces(std::uint64_t pieces) { return pieces > 1; }
inline bool CameWithOthers(std::uint64_t pieces) { return pieces == 0; }

// Calls `change` with what `payload` holds, and puts back what it makes of that; not where it is no `Payload`.
template <typename Payload, typename Function>
void ChangePayload(Bytes& payload, Function&& change) {
  if (auto decoded = DecodePayload<Payload>(payload)) {
    change(*decoded);
    payload = EncodePayload(*decoded);
  }
}

}  // namespace nbdspec::engine::faults
