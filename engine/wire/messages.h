// SPDX-License-Identifier: BSD-3-Clause
// The messages of the NBD protocol as plain values, right or wrong.
//
// Fields are integers as they stand on the wire, so that an illegal message can be written down and sent; the
// constructors' defaults make a legal one. Each lists its fields once (fields.h). Decoding is in client_decoder.h (what
// a server reads) and server_decoder.h (what a client reads), payloads inside messages in payloads.h.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/base/bytes.h"
#include "engine/wire/protocol.h"

namespace nbdspec::engine {

// --- Server to client -----------------------------------------------------------------------------------------

// The first 18 bytes of a newstyle server.
struct Greeting {
  std::uint64_t magic = kNbdMagic;
  std::uint64_t option_magic = kOptionMagic;
  std::uint16_t flags = HandshakeFlag::kFixedNewstyle | HandshakeFlag::kNoZeroes;
  bool operator==(const Greeting&) const = default;

  static void Fields(auto& io, auto& greeting) { io.Numbers(greeting.magic, greeting.option_magic, greeting.flags); }
};

// The first 152 bytes of an oldstyle server, behind which transmission begins.
struct OldstyleGreeting {
  std::uint64_t size = 0;
  std::uint32_t flags = 0;
  bool pad_is_zero = true;  // The 124 reserved bytes.
  bool operator==(const OldstyleGreeting&) const = default;
};

// One reply to an option: a 20-byte header and a payload.
struct OptionReply {
  std::uint64_t magic = kOptionReplyMagic;
  std::uint32_t option = 0;
  std::uint32_t type = OptionReplyType::kAck;
  Bytes payload = {};
  std::optional<std::uint32_t> length_field = {};  // When set, sent in place of the payload's length.
  bool operator==(const OptionReply&) const = default;

  static void Fields(auto& io, auto& reply) {
    io.Numbers(reply.magic, reply.option, reply.type);
    io.Payload(reply.payload, reply.length_field);
  }

  [[nodiscard]] bool is_error() const { return (type & OptionReplyType::kErrorBit) != 0; }
};

// The answer to NBD_OPT_EXPORT_NAME, which has no option reply header.
struct ExportNameReply {
  std::uint64_t size = 0;
  std::uint16_t flags = TransmissionFlag::kHasFlags;
  Bytes pad = {};  // 124 zero bytes unless both sides set NO_ZEROES.
  bool operator==(const ExportNameReply&) const = default;

  static void Fields(auto& io, auto& reply) {
    io.Numbers(reply.size, reply.flags);
    io.Rest(reply.pad);
  }
};

// A simple reply: a 16-byte header, and data after a successful READ.
struct SimpleReply {
  std::uint32_t magic = kSimpleReplyMagic;
  std::uint32_t error = NbdError::kOk;
  std::uint64_t cookie = 0;
  Bytes data = {};
  bool operator==(const SimpleReply&) const = default;

  static void Fields(auto& io, auto& reply) {
    io.Numbers(reply.magic, reply.error, reply.cookie);
    io.Rest(reply.data);
  }
};

// A chunk of a reply: a header of 20 bytes, or 32 in the extended form, and a payload.
struct Chunk {
  HeaderForm form = HeaderForm::kCompact;
  std::optional<std::uint32_t> magic = {};  // When set, sent in place of the form's.
  std::uint16_t flags = 0;
  std::uint16_t type = ChunkType::kNone;
  std::uint64_t cookie = 0;
  std::uint64_t offset = 0;  // Of the request. Extended form only.
  Bytes payload = {};
  std::optional<std::uint64_t> length_field = {};  // When set, sent in place of the payload's length.
  bool operator==(const Chunk&) const = default;

  static constexpr std::uint32_t MagicOf(HeaderForm form) {
    return form == HeaderForm::kExtended ? kExtendedChunkMagic : kChunkMagic;
  }

  static void Fields(auto& io, auto& chunk) {
    io.Magic(chunk.magic, MagicOf(chunk.form));
    io.Numbers(chunk.flags, chunk.type, chunk.cookie);
    if (chunk.form == HeaderForm::kExtended) {
      io.Numbers(chunk.offset);
    }
    io.Payload(chunk.payload, chunk.length_field, chunk.form);
  }

  [[nodiscard]] bool is_error() const { return (type & ChunkType::kErrorBit) != 0; }
  [[nodiscard]] bool is_done() const { return (flags & ChunkFlag::kDone) != 0; }
};

// Bytes that are no message: what a faulty server may say.
struct RawBytes {
  Bytes bytes;
  bool operator==(const RawBytes&) const = default;
};

// The end of the connection, after everything sent before it.
struct HardDisconnect {
  bool operator==(const HardDisconnect&) const = default;
};

using ServerMessage = std::variant<Greeting, OldstyleGreeting, OptionReply, ExportNameReply, SimpleReply, Chunk,
                                   RawBytes, HardDisconnect>;

// --- Client to server -----------------------------------------------------------------------------------------

// The four bytes that answer a greeting.
struct ClientFlags {
  std::uint32_t flags = ClientFlag::kFixedNewstyle | ClientFlag::kNoZeroes;
  bool operator==(const ClientFlags&) const = default;

  static void Fields(auto& io, auto& flags) { io.Numbers(flags.flags); }
};

// One option: a 16-byte header and a payload.
struct Option {
  std::uint64_t magic = kOptionMagic;
  std::uint32_t option = 0;
  Bytes payload = {};
  std::optional<std::uint32_t> length_field = {};  // When set, sent in place of the payload's length.
  bool too_long = false;  // Decoded only: the payload passed the decoder's limit, was read and dropped; its length
                          // is in length_field.
  bool operator==(const Option&) const = default;

  static void Fields(auto& io, auto& option) {
    io.Numbers(option.magic, option.option);
    io.Payload(option.payload, option.length_field);
  }
};

// One request: a header of 28 bytes, or 32 in the extended form, and a payload: the data of a WRITE, mostly.
struct Request {
  HeaderForm form = HeaderForm::kCompact;
  std::optional<std::uint32_t> magic = {};  // When set, sent in place of the form's.
  std::uint16_t flags = 0;
  std::uint16_t type = CommandType::kRead;
  std::uint64_t cookie = 0;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;  // Below 2^32 in the compact form.
  Bytes payload = {};
  bool too_long = false;  // Decoded only: the payload passed the decoder's limit, was read and dropped.
  bool operator==(const Request&) const = default;

  static constexpr std::uint32_t MagicOf(HeaderForm form) {
    return form == HeaderForm::kExtended ? kExtendedRequestMagic : kRequestMagic;
  }

  static void Fields(auto& io, auto& request) {
    io.Magic(request.magic, MagicOf(request.form));
    io.Numbers(request.flags, request.type, request.cookie, request.offset);
    io.Length(request.length, request.form);
    io.Rest(request.payload);
  }

  // Whether its length is that of a payload, which follows the header; else it is that of the range it is about.
  [[nodiscard]] bool announces_payload() const {
    return form == HeaderForm::kExtended ? (flags & CommandFlag::kPayloadLen) != 0 : type == CommandType::kWrite;
  }
};

// What `request` asks for. Range: an end below 2^64.
inline ByteRange RangeOf(const Request& request) {
  return {.begin = request.offset, .end = request.offset + request.length};
}

// A chunk that answers `to`, in its form.
inline Chunk ChunkFor(const Request& to, std::uint16_t type = ChunkType::kNone, Bytes payload = {},
                      std::uint16_t flags = 0) {
  return {.form = to.form,
          .flags = flags,
          .type = type,
          .cookie = to.cookie,
          .offset = to.form == HeaderForm::kExtended ? to.offset : 0,
          .payload = std::move(payload)};
}

using ClientMessage = std::variant<ClientFlags, Option, Request>;

// Appends the wire form of `message` to `out`, field by field: an illegal message gives illegal bytes. HardDisconnect
// has none.
void Encode(const ServerMessage& message, Bytes& out);
void Encode(const ClientMessage& message, Bytes& out);

Bytes Encode(const ServerMessage& message);
Bytes Encode(const ClientMessage& message);

// One line for people, with the specification's names; data is shown by its length and first bytes, and
// everything a peer chose is escaped: "NBD_REP_INFO for NBD_OPT_GO, 12 bytes". At most some 300 characters.
std::string Describe(const ServerMessage& message);
std::string Describe(const ClientMessage& message);

// The same, and where in it the value of each field stands.
struct Description {
  struct Field {
    std::string_view name;  // "cookie"; a literal.
    std::size_t begin = 0;  // Of its value in the text.
    std::size_t end = 0;
  };
  std::string text = {};
  std::size_t name_bytes = 0;  // The text begins with what kind of message it is: "NBD_CMD_READ", "simple reply".
  std::vector<Field> fields = {};
};
Description DescribeFields(const ServerMessage& message);
Description DescribeFields(const ClientMessage& message);

}  // namespace nbdspec::engine
