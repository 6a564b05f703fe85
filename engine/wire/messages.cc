// SPDX-License-Identifier: BSD-3-Clause
#include "engine/wire/messages.h"

#include "engine/wire/describe_payload.h"
#include "engine/wire/hex.h"

namespace nbdspec::engine {
namespace {

// ", 12 bytes: WHAT"; nothing when there are none.
std::string Payload(std::size_t byte_count, const std::string& what) {
  if (byte_count == 0) {
    return "";
  }
  return ", " + std::to_string(byte_count) + (byte_count == 1 ? " byte: " : " bytes: ") + what;
}

// The payload of `message`, and a length field that does not tell its length.
template <typename Message>
std::string PayloadOf(const Message& message) {
  std::string text = Payload(message.payload.size(), DescribePayload(message));
  if (message.length_field && *message.length_field != message.payload.size()) {
    text += ", length field " + std::to_string(*message.length_field);
  }
  return text;
}

template <typename Magic>
std::string WrongMagic(Magic magic, Magic right) {
  return magic == right ? "" : ", magic " + MagicText(magic);
}

std::string Text(const Greeting& greeting) {
  return "greeting " + HandshakeFlagNames(greeting.flags) + WrongMagic(greeting.magic, kNbdMagic) +
         WrongMagic(greeting.option_magic, kOptionMagic);
}

std::string Text(const OldstyleGreeting& greeting) {
  return "oldstyle greeting, size " + std::to_string(greeting.size) + ", flags " + HexText(greeting.flags) +
         (greeting.pad_is_zero ? "" : ", reserved bytes not zero");
}

std::string Text(const OptionReply& reply) {
  return OptionReplyName(reply.type) + " for " + OptionName(reply.option) + PayloadOf(reply) +
         WrongMagic(reply.magic, kOptionReplyMagic);
}

std::string Text(const ExportNameReply& reply) {
  return "reply to NBD_OPT_EXPORT_NAME, size " + std::to_string(reply.size) + ", " +
         TransmissionFlagNames(reply.flags) + ", " + std::to_string(reply.pad.size()) + " bytes of padding";
}

std::string Text(const SimpleReply& reply) {
  return "simple reply to cookie " + HexText(reply.cookie) + ", " + ErrorName(reply.error) +
         Payload(reply.data.size(), DescribeBytes(reply.data)) + WrongMagic(reply.magic, kSimpleReplyMagic);
}

std::string Text(const Chunk& chunk) {
  return ChunkName(chunk.type) + " to cookie " + HexText(chunk.cookie) +
         (chunk.flags == 0 ? "" : ", " + ChunkFlagNames(chunk.flags)) + PayloadOf(chunk) +
         WrongMagic(chunk.magic, kChunkMagic);
}

std::string Text(const RawBytes& raw) { return "raw" + Payload(raw.bytes.size(), DescribeBytes(raw.bytes)); }

std::string Text(const HardDisconnect& /*disconnect*/) { return "hard disconnect"; }

std::string Text(const ClientFlags& flags) { return "client flags " + ClientFlagNames(flags.flags); }

std::string Text(const Option& option) {
  return OptionName(option.option) + PayloadOf(option) + (option.too_long ? ", too long" : "") +
         WrongMagic(option.magic, kOptionMagic);
}

std::string Text(const Request& request) {
  return CommandName(request.type) + " offset " + std::to_string(request.offset) + " length " +
         std::to_string(request.length) + " cookie " + HexText(request.cookie) +
         (request.flags == 0 ? "" : ", " + CommandFlagNames(request.flags)) +
         Payload(request.payload.size(), DescribeBytes(request.payload)) + (request.too_long ? ", too long" : "") +
         WrongMagic(request.magic, kRequestMagic);
}

}  // namespace

std::string Describe(const ServerMessage& message) {
  return std::visit([](const auto& each) { return Text(each); }, message);
}

std::string Describe(const ClientMessage& message) {
  return std::visit([](const auto& each) { return Text(each); }, message);
}

}  // namespace nbdspec::engine
