// SPDX-License-Identifier: BSD-3-Clause
// The reference NBD server: one connection as a state machine without sockets. Bytes in, bytes out.
//
// It means to meet every clause it offers, plainly rather than fast: fixed newstyle (or what came before it: newstyle
// with handshake flags that lack FIXED_NEWSTYLE, and oldstyle), EXPORT_NAME, ABORT, LIST, INFO,
// GO, STRUCTURED_REPLY, EXTENDED_HEADERS, LIST_ and SET_META_CONTEXT, STARTTLS in each mode; READ, WRITE, DISC, FLUSH,
// TRIM, CACHE, WRITE_ZEROES and BLOCK_STATUS, also of contexts that its payload selects, with base:allocation and two
// contexts of nbdspec's own.

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

// Another one, whose status takes 64 bits: 2^64 - 1 minus that number. It needs extended headers, and is there where
// they are offered.
inline constexpr std::string_view kBlockCountdownContext = "x-nbdspec:block-countdown";

// What one export offers. The defaults offer everything the reference server knows.
struct ExportOptions {
  static constexpr std::uint16_t kAllFlags = TransmissionFlag::kHasFlags | TransmissionFlag::kSendFlush |
                                             TransmissionFlag::kSendFua | TransmissionFlag::kSendTrim |
                                             TransmissionFlag::kSendWriteZeroes | TransmissionFlag::kSendDf |
                                             TransmissionFlag::kCanMultiConn | TransmissionFlag::kSendCache |
                                             TransmissionFlag::kSendFastZero | TransmissionFlag::kBlockStatusPayload;

  std::string name;
  std::string description = {};
  bool tls_only = false;  // In SELECTIVETLS: before TLS it is hidden.
  bool read_only = false;
  // Those of writes only where it is writable, DF only with structured replies, BLOCK_STATUS_PAYLOAD only with extended
  // headers and a context.
  std::uint16_t flags = kAllFlags;
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

// How the server's end of TLS behaves, for whoever carries its bytes. The defaults are right.
struct TlsConduct {
  bool demands_certificate = true;      // Of the client, by an authority that it knows.
  bool speaks_1_1 = false;              // These are versions of TLS.
  bool speaks_1_2 = true;               //
  bool speaks_1_3 = true;               //
  bool says_close = true;               // Whether close_notify comes before the end of the connection.
  bool reads_what_came_before = false;  // Takes what came in plaintext behind STARTTLS as if it had come inside TLS,
  Bytes comes_first = {};               // and this before it.
  bool ends_when_it_fails = true;       // A handshake that fails ends the connection; else it goes on in plaintext.
  Bytes plaintext_first = {};           // Sent in plaintext after the acknowledgement of STARTTLS.
  Bytes plaintext_inside = {};          // Sent in plaintext after the handshake.
  bool operator==(const TlsConduct&) const = default;
};

// What stays of a connection when it has gone, for whoever counts it. Nothing, which is right.
struct Remains {
  std::uint64_t memory_bytes = 0;
  std::uint64_t descriptor_count = 0;
  std::uint64_t thread_count = 0;
  bool is_busy = false;  // The processor never rests again.
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

  // Changes how the server's end of TLS behaves; asked once, before its handshake.
  virtual void ChangeTls(TlsConduct& /*conduct*/) {}

  // Changes what stays when the client has gone; asked once, then.
  virtual void ChangeRemains(const Negotiated& /*state*/, Remains& /*remains*/) {}

  // The messages that the server is about to send in answer to `received` as it arrived (nullptr: the greeting). May
  // change, drop or add messages.
  virtual void AfterServer(const ClientMessage* /*received*/, const Negotiated& /*state*/,
                           std::vector<ServerMessage>& /*sent*/) {}
};

// The modes of the specification's section on TLS.
enum class TlsMode : std::uint8_t {
  kNone,       // NOTLS.
  kSelective,  // SELECTIVETLS: exports that are tls_only demand it.
  kForced,     // FORCEDTLS.
};

struct ServerOptions {
  bool oldstyle = false;  // Greets with the default export, which must be there. Only without TLS.
  TlsMode tls = TlsMode::kNone;
  std::uint16_t handshake_flags = HandshakeFlag::kFixedNewstyle | HandshakeFlag::kNoZeroes;
  bool structured_replies = true;  // Whether STRUCTURED_REPLY and metadata contexts are offered.
  bool extended_headers = true;    // Whether EXTENDED_HEADERS is offered; only with structured replies.
  ClientDecoder::Limits limits = {};
};

class Server {
 public:
  // `exports` are shared with other connections and outlive the server; the one whose name is "" is the default.
  // `interposer` may be null, and outlives the server.
  Server(const ServerOptions& options, std::vector<Export*> exports, Interposer* interposer = nullptr);

  // The server is being shut down: from here on it refuses options but ABORT by ERR_SHUTDOWN, and requests by
  // ESHUTDOWN, those that wait too, until the client leaves.
  void ShutDown() { is_shutting_down_ = true; }

  // Takes bytes from the client, any number. Bytes after the end of the connection are ignored.
  void Receive(ByteView bytes);

  // Takes the bytes to send; the greeting is there from the start. Requests wait while more than kOutputBytesMax is not
  // taken, so call it until it returns nothing.
  [[nodiscard]] Bytes TakeOutput();

  // Whether the server has closed the connection, once TakeOutput returns nothing.
  [[nodiscard]] bool closed() const { return closed_; }

  // Whether STARTTLS was acknowledged, and TLS has to begin once TakeOutput has returned everything. Until BeginTls the
  // server reads nothing more.
  [[nodiscard]] bool tls_is_due() const { return tls_is_due_; }

  [[nodiscard]] TlsConduct tls_conduct() const {
    TlsConduct conduct;
    if (interposer_ != nullptr) {
      interposer_->ChangeTls(conduct);
    }
    return conduct;
  }

  [[nodiscard]] Remains remains() const {
    Remains remains;
    if (interposer_ != nullptr) {
      interposer_->ChangeRemains(state_, remains);
    }
    return remains;
  }

  // TLS, which is the caller's, has begun: from here on Receive takes, and TakeOutput returns, what is inside it.
  // Returns the bytes that came behind STARTTLS: they are TLS's.
  [[nodiscard]] Bytes BeginTls();

  [[nodiscard]] const Negotiated& state() const { return state_; }

  // Above it the server answers nothing more until output is taken; one answer may pass it.
  static constexpr std::size_t kOutputBytesMax = 1 << 20;

 private:
  using Messages = std::vector<ServerMessage>;

  void Greet();
  void Pump();
  void Handle(ClientMessage received);
  void Send(const ClientMessage* received, Messages messages);

  // Option haggling. What an answer means for `state_` is in engine/negotiation.
  Messages AnswerFlags(const ClientFlags& flags);
  Messages AnswerOption(const Option& option);
  Messages AnswerExportName(const Option& option);
  [[nodiscard]] OptionReplies AnswerStarttls(const Option& option) const;
  OptionReplies RepliesTo(const Option& option);
  [[nodiscard]] OptionReplies AnswerHeaders(const Option& option) const;
  [[nodiscard]] OptionReplies AnswerList(const Option& option) const;
  OptionReplies AnswerInfoOrGo(const Option& option);
  OptionReplies AnswerMetaContext(const Option& option);
  [[nodiscard]] Export* FindExport(std::string_view name) const;
  [[nodiscard]] std::vector<std::string_view> ContextsOf(const Export& of) const;
  [[nodiscard]] bool IsHidden(const Export& of) const { return of.options.tls_only && !state_.tls; }
  [[nodiscard]] bool IsForced() const { return options_.tls == TlsMode::kForced && !state_.tls; }
  [[nodiscard]] std::uint16_t TransmissionFlagsOf(const Export& of) const;

  // server_commands.cc: transmission.
  Messages AnswerRequest(const Request& request);
  [[nodiscard]] std::uint32_t Refusal(const Request& request) const;
  Messages Execute(const Request& request);
  Messages AnswerRead(const Request& request) const;
  Messages AnswerStatusQuery(const Request& request) const;
  Messages AnswerBlockStatus(const Request& request, const std::vector<MetaContext>& contexts) const;
  [[nodiscard]] Messages Result(const Request& request, std::uint32_t error = NbdError::kOk) const;

  ServerOptions options_;
  std::vector<Export*> exports_;
  Interposer* interposer_;
  ClientDecoder decoder_;
  Negotiated state_;
  Export* entered_ = nullptr;
  std::uint32_t context_id_last_ = 0;
  Bytes output_;
  bool tls_is_due_ = false;
  bool tls_has_begun_ = false;
  bool is_shutting_down_ = false;
  bool closed_ = false;
};

}  // namespace nbdspec::engine
