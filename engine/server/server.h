// SPDX-License-Identifier: BSD-3-Clause
// The reference NBD server: one connection as a state machine without sockets. Bytes in, bytes out.
//
// It means to meet every clause it offers, plainly rather than fast: fixed newstyle, EXPORT_NAME, ABORT, LIST, INFO,
// GO, STRUCTURED_REPLY, LIST_ and SET_META_CONTEXT; READ, WRITE, DISC, FLUSH, TRIM, CACHE, WRITE_ZEROES and
// BLOCK_STATUS with base:allocation and nbdspec's own x-nbdspec:block-index context.

#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/extents/extent_map.h"
#include "engine/server/export.h"
#include "engine/server/interposer.h"
#include "engine/wire/client_decoder.h"
#include "engine/wire/messages.h"

namespace nbdspec::engine {

// A metadata context of our own, so that there are two: the status is the number of the 64 KiB block that holds the
// extent, modulo 2^32. It shows that a status is not always a set of bits.
inline constexpr std::string_view kBlockIndexContext = "x-nbdspec:block-index";
inline constexpr std::uint32_t kBlockIndexBytes = 1 << 16;

struct ServerOptions {
  std::uint16_t handshake_flags = HandshakeFlag::kFixedNewstyle | HandshakeFlag::kNoZeroes;
  bool structured_replies = true;  // Whether STRUCTURED_REPLY and metadata contexts are offered.
  ClientDecoder::Limits limits = {};
};

class Server {
 public:
  // `exports` are shared with other connections and outlive the server; the one whose name is "" is the default.
  // `interposer` may be null, and outlives the server.
  Server(const ServerOptions& options, std::vector<Export*> exports, Interposer* interposer = nullptr);

  // Takes bytes from the client, any number. Bytes after the end of the connection are ignored.
  void Receive(ByteView bytes);

  // Takes what the server has to say; the greeting is there from the start. Requests wait while more than
  // kOutputBytesMax is not taken, so call it until it gives nothing.
  [[nodiscard]] Bytes TakeOutput();

  // Whether the server has closed the connection, once TakeOutput gives nothing.
  [[nodiscard]] bool closed() const { return closed_; }

  [[nodiscard]] const ConnectionState& state() const { return state_; }

  // Above it the server answers nothing more until output is taken; one answer may pass it.
  static constexpr std::size_t kOutputBytesMax = 1 << 20;

 private:
  using Said = std::vector<ServerMessage>;

  void Pump();
  void Hear(ClientMessage heard);
  void Say(const ClientMessage* heard, Said said);
  void Enter(Export& entered);

  // server_options.cc: option haggling.
  Said AnswerFlags(const ClientFlags& flags);
  Said AnswerOption(const Option& option);
  Said AnswerExportName(const Option& option);
  Said AnswerList(const Option& option);
  Said AnswerInfoOrGo(const Option& option);
  Said AnswerStructuredReply(const Option& option);
  Said AnswerMetaContext(const Option& option);
  [[nodiscard]] Export* FindExport(std::string_view name) const;
  [[nodiscard]] std::uint16_t TransmissionFlagsOf(const Export& of) const;

  // server_commands.cc: transmission.
  Said AnswerRequest(const Request& request);
  [[nodiscard]] std::uint32_t Refusal(const Request& request) const;
  Said Execute(const Request& request);
  Said AnswerRead(const Request& request) const;
  [[nodiscard]] std::optional<ExtentMap> ExtentsForRead(const Request& request) const;
  Said AnswerBlockStatus(const Request& request) const;
  [[nodiscard]] Said Done(const Request& request) const;
  [[nodiscard]] Said Failed(const Request& request, std::uint32_t error) const;

  ServerOptions options_;
  std::vector<Export*> exports_;
  Interposer* interposer_;
  ClientDecoder decoder_;
  ConnectionState state_;
  Export* entered_ = nullptr;
  std::uint32_t context_id_last_ = 0;
  Bytes output_;
  bool closed_ = false;
};

}  // namespace nbdspec::engine
