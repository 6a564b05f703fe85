// SPDX-License-Identifier: BSD-3-Clause
// Bytes of a stream to messages, incrementally: ClientDecoder is what a server reads with, ServerDecoder what a client
// reads with. Bytes may come in any pieces.
//
// They repair nothing and judge nothing: a message with a wrong option number or an unknown type is decoded as it is;
// only what cannot be framed (a wrong magic, a server's payload above the limit) is Undecodable.

#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "engine/base/bytes.h"
#include "engine/wire/byte_queue.h"
#include "engine/wire/fields.h"
#include "engine/wire/messages.h"

namespace nbdspec::engine {

// A peer's bytes that cannot be a message (a wrong magic): there is no way to go on after it.
struct Undecodable {
  std::string what;          // For people: "option magic is 0x…, not IHAVEOPT".
  std::uint64_t offset = 0;  // Of the first byte of what is no message, from the start of the stream.
  bool operator==(const Undecodable&) const = default;
};

// The phases follow the server's word: flags, then options until EnterTransmission(), then requests. Memory is bounded
// by the limits: a longer payload is read and dropped as it arrives, and the message says so, so that a server can
// refuse it without losing its place. Such a request in the extended form, which may announce 2^64 bytes, comes before
// they do, for a server is to disconnect then (ext.request.oversize-payload-disconnect).
class ClientDecoder {
 public:
  struct Limits {
    std::uint32_t option_bytes_max = 1 << 16;                 // Payload of one option.
    std::uint32_t write_bytes_max = kPayloadBytesDefaultMax;  // Payload of one request.
  };

  ClientDecoder() : ClientDecoder(Limits{}) {}
  explicit ClientDecoder(Limits limits) : limits_(limits) {}

  // Takes more bytes of the stream, any number.
  void Feed(ByteView bytes);

  // The next whole message, or Undecodable (then always), or nothing while bytes are missing.
  std::optional<std::variant<ClientMessage, Undecodable>> Next();

  // The server has entered transmission: what follows are requests of that form.
  void EnterTransmission(HeaderForm form = HeaderForm::kCompact) {
    next_ = form == HeaderForm::kExtended ? &ClientDecoder::NextRequest<HeaderForm::kExtended>
                                          : &ClientDecoder::NextRequest<HeaderForm::kCompact>;
  }

  // Gives back the bytes that are not yet part of a message: they are of another protocol (TLS).
  [[nodiscard]] Bytes TakePending() { return pending_.Take(); }

  // Bytes taken but not yet part of a message, without those of a payload that is being dropped.
  [[nodiscard]] std::size_t pending_bytes() const { return pending_.size(); }

 private:
  using Decoded = std::optional<std::variant<ClientMessage, Undecodable>>;

  Decoded NextFlags();
  Decoded NextOption();
  template <HeaderForm form>
  Decoded NextRequest();
  template <typename Message, HeaderForm form>
  Decoded WithPayload(Header<Message, form>& header, std::uint64_t length, std::uint32_t bytes_max);
  void DropPayload();
  Decoded Die(std::string what);

  Limits limits_;
  Decoded (ClientDecoder::*next_)() = &ClientDecoder::NextFlags;  // Reads what the phase allows.
  ByteQueue pending_;                                             // Empty after Feed and Next while to_drop_ is not 0.
  std::size_t needed_ = 0;                                        // Bytes of the message that is under way, if known.
  std::uint64_t to_drop_ = 0;                                     // Payload bytes of an overlong message still to come.
  std::optional<ClientMessage> overlong_;                         // The message they belong to.
  std::optional<Undecodable> dead_;
};

// A message and where it stood in the stream.
struct PlacedServerMessage {
  ServerMessage message;
  std::uint64_t offset = 0;  // Of its first byte, from the start of the stream.
  std::uint64_t length = 0;  // Of its wire form, in bytes.
  bool operator==(const PlacedServerMessage&) const = default;
};

// What the bytes mean depends on what was asked, so the client tells the decoder: an EXPORT_NAME was sent, the
// transmission phase was entered, a simple reply with this cookie would carry so much data.
class ServerDecoder {
 public:
  struct Limits {
    std::uint32_t payload_bytes_max = 1 << 26;  // Of one option reply, simple reply or chunk.
  };

  ServerDecoder() : ServerDecoder(Limits{}) {}
  explicit ServerDecoder(Limits limits) : limits_(limits) {}

  // Takes more bytes of the stream, any number.
  void Feed(ByteView bytes);

  // The next whole message, or Undecodable (then always), or nothing while bytes are missing.
  std::optional<std::variant<PlacedServerMessage, Undecodable>> Next();

  // An EXPORT_NAME was sent: the next message is an ExportNameReply, then transmission begins.
  // `pad` says whether 124 bytes are to follow its ten.
  void ExpectExportNameReply(bool pad);

  // GO was acknowledged: what follows are replies to requests, those in chunks of that form.
  void EnterTransmission(HeaderForm form = HeaderForm::kCompact) {
    next_ = &ServerDecoder::NextReply;
    form_ = form;
  }

  // A successful simple reply with `cookie` carries `length` bytes of data (a READ was sent); without this a simple
  // reply is 16 bytes. It holds for one reply: a simple one, right or wrong, or a chunk with DONE. When a cookie
  // was used again before its reply, what was expected first holds first.
  void ExpectData(std::uint64_t cookie, std::uint64_t length) { data_by_cookie_.emplace(cookie, length); }

  // Gives back the bytes that are not yet part of a message: they are of another protocol (TLS).
  [[nodiscard]] Bytes TakePending() { return pending_.Take(); }

  // Bytes taken but not yet part of a message.
  [[nodiscard]] ByteView Pending() const { return pending_.view(); }

  // Offset in the stream of the first pending byte.
  [[nodiscard]] std::uint64_t offset() const { return pending_.offset(); }

 private:
  using Decoded = std::optional<std::variant<PlacedServerMessage, Undecodable>>;

  Decoded NextGreeting();
  Decoded NextOldstyleGreeting();
  Decoded NextOptionReply();
  Decoded NextExportNameReply();
  Decoded NextReply();
  Decoded NextSimpleReply();
  template <HeaderForm form>
  Decoded NextChunk();
  void ForgetData(std::uint64_t cookie);
  template <typename Message, HeaderForm form>
  Decoded WithPayload(Header<Message, form>& header, Bytes& payload, std::uint64_t length);
  Decoded Place(ServerMessage message, std::size_t length);
  Decoded Die(std::string what);
  Decoded DieOfLength(std::string_view what, std::uint64_t length);

  Limits limits_;
  Decoded (ServerDecoder::*next_)() = &ServerDecoder::NextGreeting;  // Reads what the phase allows.
  bool pad_ = false;
  HeaderForm form_ = HeaderForm::kCompact;
  ByteQueue pending_;
  std::multimap<std::uint64_t, std::uint64_t> data_by_cookie_;
  std::optional<Undecodable> dead_;
};

}  // namespace nbdspec::engine
