// SPDX-License-Identifier: BSD-3-Clause
#include "engine/wire/encode.h"

#include <limits>
#include <variant>

#include "engine/base/check.h"
#include "engine/wire/big_endian.h"

namespace nbdspec::engine {
namespace {

void Append(ByteView bytes, Bytes& out) { out.insert(out.end(), bytes.begin(), bytes.end()); }

// Puts the length field of `message`, then its payload.
template <typename Message>
void PutPayload(const Message& message, Bytes& out) {
  NBDSPEC_CHECK(message.length_field || message.payload.size() <= std::numeric_limits<std::uint32_t>::max());
  PutBigEndian<std::uint32_t>(message.length_field.value_or(static_cast<std::uint32_t>(message.payload.size())), out);
  Append(message.payload, out);
}

void Put(const Greeting& greeting, Bytes& out) {
  PutBigEndian<std::uint64_t>(greeting.magic, out);
  PutBigEndian<std::uint64_t>(greeting.option_magic, out);
  PutBigEndian<std::uint16_t>(greeting.flags, out);
}

void Put(const OldstyleGreeting& greeting, Bytes& out) {
  PutBigEndian<std::uint64_t>(kNbdMagic, out);
  PutBigEndian<std::uint64_t>(kOldstyleMagic, out);
  PutBigEndian<std::uint64_t>(greeting.size, out);
  PutBigEndian<std::uint32_t>(greeting.flags, out);
  out.insert(out.end(), kOldstylePadBytes, greeting.pad_is_zero ? 0x00 : 0xff);
}

void Put(const OptionReply& reply, Bytes& out) {
  PutBigEndian<std::uint64_t>(reply.magic, out);
  PutBigEndian<std::uint32_t>(reply.option, out);
  PutBigEndian<std::uint32_t>(reply.type, out);
  PutPayload(reply, out);
}

void Put(const ExportNameReply& reply, Bytes& out) {
  PutBigEndian<std::uint64_t>(reply.size, out);
  PutBigEndian<std::uint16_t>(reply.flags, out);
  Append(reply.pad, out);
}

void Put(const SimpleReply& reply, Bytes& out) {
  PutBigEndian<std::uint32_t>(reply.magic, out);
  PutBigEndian<std::uint32_t>(reply.error, out);
  PutBigEndian<std::uint64_t>(reply.cookie, out);
  Append(reply.data, out);
}

void Put(const Chunk& chunk, Bytes& out) {
  PutBigEndian<std::uint32_t>(chunk.magic, out);
  PutBigEndian<std::uint16_t>(chunk.flags, out);
  PutBigEndian<std::uint16_t>(chunk.type, out);
  PutBigEndian<std::uint64_t>(chunk.cookie, out);
  PutPayload(chunk, out);
}

void Put(const RawBytes& raw, Bytes& out) { Append(raw.bytes, out); }

void Put(const HardDisconnect& /*disconnect*/, Bytes& /*out*/) {}

void Put(const ClientFlags& flags, Bytes& out) { PutBigEndian<std::uint32_t>(flags.flags, out); }

void Put(const Option& option, Bytes& out) {
  PutBigEndian<std::uint64_t>(option.magic, out);
  PutBigEndian<std::uint32_t>(option.option, out);
  PutPayload(option, out);
}

void Put(const Request& request, Bytes& out) {
  PutBigEndian<std::uint32_t>(request.magic, out);
  PutBigEndian<std::uint16_t>(request.flags, out);
  PutBigEndian<std::uint16_t>(request.type, out);
  PutBigEndian<std::uint64_t>(request.cookie, out);
  PutBigEndian<std::uint64_t>(request.offset, out);
  PutBigEndian<std::uint32_t>(request.length, out);
  Append(request.payload, out);
}

}  // namespace

void Encode(const ServerMessage& message, Bytes& out) {
  std::visit([&out](const auto& each) { Put(each, out); }, message);
}

void Encode(const ClientMessage& message, Bytes& out) {
  std::visit([&out](const auto& each) { Put(each, out); }, message);
}

Bytes Encode(const ServerMessage& message) {
  Bytes out;
  Encode(message, out);
  return out;
}

Bytes Encode(const ClientMessage& message) {
  Bytes out;
  Encode(message, out);
  return out;
}

}  // namespace nbdspec::engine
