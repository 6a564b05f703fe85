// SPDX-License-Identifier: BSD-3-Clause
// The reference NBD server: one connection as a state machine without sockets. Bytes in, bytes out.
//
// It means to meet every clause it offers, plainly rather than fast: fixed newstyle, EXPORT_NAME, ABORT, LIST, INFO,
// GO, STRUCTURED_REPLY, LIST_ and SET_META_CONTEXT; READ, WRITE, DISC, FLUSH, TRIM, CACHE, WRITE_ZEROES and
// BLOCK_STATUS with base:allocation and nbdspec's own x-nbdspec:block-index context.

#pragma once

#include <cstdint>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/server/export.h"
#include "engine/server/interposer.h"
#include "engine/wire/client_decoder.h"
#include "engine/wire/messages.h"

namespace nbdspec::engine {

struct ServerOptions {
  std::uint16_t handshake_flags = HandshakeFlag::kFixedNewstyle | HandshakeFlag::kNoZeroes;
  bool structured_replies = true;  // Whether STRUCTURED_REPLY and metadata contexts are offered.
  ClientDecoder::Limits limits = {};
};

class Server {
 public:
  // `exports` are shared with other connections and outlive the server; the first one whose name is "" is the
  // default. `interposer` may be null, and outlives the server.
  Server(const ServerOptions& options, std::vector<Export*> exports, Interposer* interposer = nullptr);

  // Takes bytes from the client, any number. Bytes after the end of the connection are ignored.
  void Receive(ByteView bytes);

  // The client closed its side: nothing more will come.
  void ReceiveEnd();

  // Takes what the server has to say; the greeting is there from the start. Bounded by what the client asked.
  [[nodiscard]] Bytes TakeOutput();

  // Whether the server has closed the connection (after the output taken).
  [[nodiscard]] bool closed() const { return closed_; }

  [[nodiscard]] const ConnectionState& state() const { return state_; }

 private:
  void Hear(ClientMessage heard);
  void Say(const ClientMessage* heard, std::vector<ServerMessage> said);

  ServerOptions options_;
  std::vector<Export*> exports_;
  Interposer* interposer_;
  ClientDecoder decoder_;
  ConnectionState state_;
  Export* entered_ = nullptr;
  Bytes output_;
  bool closed_ = false;
};

}  // namespace nbdspec::engine
