// SPDX-License-Identifier: BSD-3-Clause
#include "engine/wire/messages.h"

#include "engine/wire/fields.h"

namespace nbdspec::engine {
namespace {

// --- To bytes ---

template <typename Message>
void Put(const Message& message, Bytes& out) {
  FieldWriter writer(out);
  Message::Fields(writer, message);
}

void Put(const OldstyleGreeting& greeting, Bytes& out) {
  PutBigEndian<std::uint64_t>(kNbdMagic, out);
  PutBigEndian<std::uint64_t>(kOldstyleMagic, out);
  PutBigEndian<std::uint64_t>(greeting.size, out);
  PutBigEndian<std::uint32_t>(greeting.flags, out);
  out.insert(out.end(), kOldstylePadBytes, greeting.pad_is_zero ? 0x00 : 0xff);
}

void Put(const RawBytes& raw, Bytes& out) { FieldWriter(out).Rest(raw.bytes); }

void Put(const HardDisconnect& /*disconnect*/, Bytes& /*out*/) {}

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
