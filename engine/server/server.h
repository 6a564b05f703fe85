// SPDX-License-Identifier: BSD-3-Clause
// The reference NBD server: one connection as a state machine without sockets. Bytes in, bytes out.
//
// It means to meet every clause it offers, plainly rather than fast: fixed newstyle, EXPORT_NAME, ABORT, LIST, INFO,
// GO, STRUCTURED_REPLY, LIST_ and SET_META_CONTEXT; READ, WRITE, DISC, FLUSH, TRIM, CACHE, WRITE_ZEROES and
// BLOCK_STATUS with base:allocation and nbdspec's own x-nbdspec:block-index context.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/layers/layer.h"
#include "engine/layers/plugins.h"
#include "engine/negotiation/negotiated.h"
#include "engine/wire/decoders.h"
#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"

namespace nbdspec::engine {

// A metadata context of our own, so that there are two: the status is the number of the 64 KiB block that holds the
// extent, modulo 2^32. It shows that a status is not always a set of bits.
inline constexpr std::string_view kBlockIndexContext = "x-nbdspec:block-index";
inline constexpr std::uint32_t kBlockIndexBytes = 1 << 16;

// What one export offers. The defaults offer everything the reference server knows.
struct ExportOptions {
  static constexpr std::uint16_t kAllFlags =
      TransmissionFlag::kHasFlags | TransmissionFlag::kSendFlush | TransmissionFlag::kSendFua |
      TransmissionFlag::kSendTrim | TransmissionFlag::kSendWriteZeroes | TransmissionFlag::kSendDf |
      TransmissionFlag::kCanMultiConn | TransmissionFlag::kSendCache | TransmissionFlag::kSendFastZero;

  std::string name;
  std::string description = {};
  bool read_only = false;
  std::uint16_t flags = kAllFlags;  // Those of writes only where it is writable, DF only with structured replies.
  bool base_allocation = true;
  InfoBlockSize block_size = {};
};

// Shared by the connections that entered it.
struct Export {
  ExportOptions options;
  Disk disk = Disk(0);                     // Served unless there is a stack.
  std::unique_ptr<Layer> stack = nullptr;  // Served in place of the disk.

  [[nodiscard]] Layer& layer() { return stack != nullptr ? *stack : disk; }
  [[nodiscard]] const Layer& layer() const { return stack != nullptr ? *stack : static_cast<const Layer&>(disk); }
  [[nodiscard]] bool read_only() const { return options.read_only || !layer().CanWrite(); }
};

// Sits between the reference server and its wire, and may change what passes. The reference server is right;
// engine/faults makes it wrong, one named way at a time. Keeping that in one place leaves the server free of tests.
class Interposer {
 public:
  virtual ~Interposer() = default;

  // Bytes have come from the client, in one piece. The messages that end in it follow.
  virtual void BytesCame() {}

  // The message that the server is about to handle. May change it; returns false to withhold it from the server, which
  // then sends nothing by itself (AfterServer is still called, with no messages).
  virtual bool BeforeServer(ClientMessage& /*received*/, const Negotiated& /*state*/) { return true; }

  // The messages that the server is about to send in answer to `received` as it arrived (nullptr: the greeting). May
  // change, drop or add messages.
  virtual void AfterServer(const ClientMessage* /*received*/, const Negotiated& /*state*/,
                           std::vector<ServerMessage>& /*sent*/) {}
};

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

  // Takes the bytes to send; the greeting is there from the start. Requests wait while more than kOutputBytesMax is not
  // taken, so call it until it returns nothing.
  [[nodiscard]] Bytes TakeOutput();

  // Whether the server has closed the connection, once TakeOutput returns nothing.
  [[nodiscard]] bool closed() const { return closed_; }

  [[nodiscard]] const Negotiated& state() const { return state_; }

  // Above it the server answers nothing more until output is taken; one answer may pass it.
  static constexpr std::size_t kOutputBytesMax = 1 << 20;

 private:
  using Messages = std::vector<ServerMessage>;

  void Pump();
  void Handle(ClientMessage received);
  void Send(const ClientMessage* received, Messages messages);

  // Option haggling. What an answer means for `state_` is in engine/negotiation.
  Messages AnswerFlags(const ClientFlags& flags);
  Messages AnswerOption(const Option& option);
  Messages AnswerExportName(const Option& option);
  OptionReplies RepliesTo(const Option& option);
  [[nodiscard]] OptionReplies AnswerList(const Option& option) const;
  OptionReplies AnswerInfoOrGo(const Option& option);
  OptionReplies AnswerMetaContext(const Option& option);
  [[nodiscard]] Export* FindExport(std::string_view name) const;
  [[nodiscard]] std::uint16_t TransmissionFlagsOf(const Export& of) const;

  // server_commands.cc: transmission.
  Messages AnswerRequest(const Request& request);
  [[nodiscard]] std::uint32_t Refusal(const Request& request) const;
  Messages Execute(const Request& request);
  Messages AnswerRead(const Request& request) const;
  Messages AnswerBlockStatus(const Request& request) const;
  [[nodiscard]] Messages Result(const Request& request, std::uint32_t error = NbdError::kOk) const;

  ServerOptions options_;
  std::vector<Export*> exports_;
  Interposer* interposer_;
  ClientDecoder decoder_;
  Negotiated state_;
  Export* entered_ = nullptr;
  std::uint32_t context_id_last_ = 0;
  Bytes output_;
  bool closed_ = false;
};

}  // namespace nbdspec::engine
