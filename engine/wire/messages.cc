// SPDX-License-Identifier: BSD-3-Clause
#include "engine/wire/messages.h"

#include <algorithm>
#include <cstddef>

#include "engine/base/quoted.h"
#include "engine/wire/payloads.h"

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

// --- Payloads in a few words: some 150 characters, escaped; the first bytes of those that cannot be taken apart ---

constexpr std::size_t kBytesShown = 16;
constexpr std::size_t kTextBytesShown = 30;
constexpr std::size_t kListShown = 2;

std::string Short(std::string_view text) { return Quoted(text, kTextBytesShown); }

// The first bytes: as text when all of them are printable, else in hexadecimal.
std::string DescribeBytes(ByteView bytes) {
  const ByteView first = bytes.first(std::min(bytes.size(), kTextBytesShown));
  const auto is_printable = [](std::uint8_t byte) { return 0x20 <= byte && byte < 0x7f; };
  if (!bytes.empty() && std::ranges::all_of(first, is_printable)) {
    return Short({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : bytes.first(std::min(bytes.size(), kBytesShown))) {
    text.append(text.empty() ? "" : " ") += kDigits[byte >> 4];
    text += kDigits[byte & 0xf];
  }
  return bytes.size() > kBytesShown ? text + " ..." : text;
}

// The first few of `items`, each as `text_of` says it.
std::string FirstFew(const auto& items, auto text_of) {
  std::string text;
  for (std::size_t i = 0; i < std::min(items.size(), kListShown); ++i) {
    text.append(i == 0 ? "" : ", ").append(text_of(items[i]));
  }
  return items.size() > kListShown ? text + ", ..." : text;
}

std::string Text(const InfoQuery& query) {
  return Short(query.name) + (query.requests.empty() ? "" : " asking " + FirstFew(query.requests, InfoName));
}

std::string Text(const MetaContextQuery& query) {
  const auto quoted = [](const std::string& each) { return Quoted(each, 16); };
  return Quoted(query.export_name, 16) + ", " + std::to_string(query.queries.size()) + " queries" +
         (query.queries.empty() ? "" : ": " + FirstFew(query.queries, quoted));
}

std::string Text(const ListedExport& listed) {
  return Short(listed.name) + (listed.description.empty() ? "" : ", " + Quoted(listed.description, 16));
}

std::string Text(const MetaContext& context) {
  return "id " + std::to_string(context.id) + " is " + Short(context.name);
}

std::string Text(const InfoExport& info) {
  return "NBD_INFO_EXPORT size " + std::to_string(info.size) + ", " + TransmissionFlagNames(info.flags);
}

std::string Text(const InfoBlockSize& info) {
  return "NBD_INFO_BLOCK_SIZE minimum " + std::to_string(info.minimum) + ", preferred " +
         std::to_string(info.preferred) + ", maximum " + std::to_string(info.maximum);
}

std::string Text(const InfoText& info) { return InfoName(info.type) + " " + Short(info.text); }

std::string Text(const OffsetHole& hole) {
  return "offset " + std::to_string(hole.offset) + ", hole of " + std::to_string(hole.length);
}

std::string Text(const ErrorPayload& error) {
  return ErrorName(error.error) + (error.offset ? " at offset " + std::to_string(*error.offset) : "") +
         (error.message.empty() ? "" : " " + Short(error.message));
}

std::string Text(const StatusQuery& query) {
  const auto text_of = [](std::uint32_t id) { return std::to_string(id); };
  return "length " + std::to_string(query.length) + ", " + std::to_string(query.context_ids.size()) + " contexts" +
         (query.context_ids.empty() ? "" : ": " + FirstFew(query.context_ids, text_of));
}

template <typename Payload>
std::string TextOr(const std::optional<Payload>& payload, ByteView bytes) {
  return payload ? Text(*payload) : DescribeBytes(bytes);
}

template <typename Payload>
std::string DescribeAs(ByteView payload) {
  return TextOr(DecodePayload<Payload>(payload), payload);
}

std::string DescribeInfo(ByteView payload) {
  switch (DecodeInfoType(payload).value_or(0xffff)) {
    case InfoType::kExport:
      return DescribeAs<InfoExport>(payload);
    case InfoType::kBlockSize:
      return DescribeAs<InfoBlockSize>(payload);
    case InfoType::kName:
    case InfoType::kDescription:
      return DescribeAs<InfoText>(payload);
    default:
      return DescribeBytes(payload);
  }
}

std::string DescribeOffsetData(ByteView payload) {
  const std::size_t offset_bytes = std::min<std::size_t>(payload.size(), 8);
  // Without its data, of which there may be much.
  const auto data = DecodePayload<OffsetData>(payload.first(offset_bytes));
  if (!data) {
    return DescribeBytes(payload);
  }
  const ByteView bytes = payload.subspan(offset_bytes);
  return "offset " + std::to_string(data->offset) + ", " + std::to_string(bytes.size()) + " bytes " +
         DescribeBytes(bytes);
}

std::string DescribeBlockStatus(HeaderForm form, ByteView payload) {
  const std::size_t head_bytes = BlockStatus::HeadBytes(form);
  const std::size_t bytes_each = BlockStatus::DescriptorBytes(form);
  // One more than is shown, so that FirstFew sees that it cuts.
  const std::size_t bytes_shown = std::min(payload.size(), head_bytes + bytes_each * (kListShown + 1));
  const auto status = DecodeInto(BlockStatus{.form = form}, payload.first(bytes_shown));
  if (!status || (payload.size() - head_bytes) % bytes_each != 0) {
    return DescribeBytes(payload);
  }
  const std::size_t count = (payload.size() - head_bytes) / bytes_each;
  const std::size_t count_field =
      form == HeaderForm::kExtended ? status->count_field.value_or(status->descriptors.size()) : count;
  const auto text_of = [](const Descriptor& each) { return std::to_string(each.length) + ":" + HexText(each.status); };
  return "context " + std::to_string(status->context_id) + ", " + std::to_string(count) + " descriptors " +
         FirstFew(status->descriptors, text_of) +
         (count_field == count ? "" : ", count field " + std::to_string(count_field));
}

std::string DescribePayload(const Option& option) {
  switch (option.option) {
    case OptionType::kInfo:
    case OptionType::kGo:
      return DescribeAs<InfoQuery>(option.payload);
    case OptionType::kListMetaContext:
    case OptionType::kSetMetaContext:
      return DescribeAs<MetaContextQuery>(option.payload);
    default:
      return DescribeBytes(option.payload);
  }
}

std::string DescribePayload(const OptionReply& reply) {
  switch (reply.type) {
    case OptionReplyType::kServer:
      return DescribeAs<ListedExport>(reply.payload);
    case OptionReplyType::kInfo:
      return DescribeInfo(reply.payload);
    case OptionReplyType::kMetaContext:
      return DescribeAs<MetaContext>(reply.payload);
    default:
      return DescribeBytes(reply.payload);
  }
}

std::string DescribePayload(const Chunk& chunk) {
  if (chunk.is_error()) {
    return TextOr(DecodeErrorPayload(chunk.type, chunk.payload), chunk.payload);
  }
  switch (chunk.type) {
    case ChunkType::kOffsetData:
      return DescribeOffsetData(chunk.payload);
    case ChunkType::kOffsetHole:
      return DescribeAs<OffsetHole>(chunk.payload);
    case ChunkType::kBlockStatus:
      return DescribeBlockStatus(HeaderForm::kCompact, chunk.payload);
    case ChunkType::kBlockStatusExt:
      return DescribeBlockStatus(HeaderForm::kExtended, chunk.payload);
    default:
      return DescribeBytes(chunk.payload);
  }
}

std::string DescribePayload(const Request& request) {
  return request.type == CommandType::kBlockStatus ? DescribeAs<StatusQuery>(request.payload)
                                                   : DescribeBytes(request.payload);
}

// --- Messages in a line ---

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

// Of a message that has one for each form.
template <typename Message>
std::string MagicOf(const Message& message) {
  return WrongMagic(message.magic.value_or(Message::MagicOf(message.form)), Message::MagicOf(message.form));
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
         (chunk.form == HeaderForm::kExtended ? " and offset " + std::to_string(chunk.offset) : "") +
         (chunk.flags == 0 ? "" : ", " + ChunkFlagNames(chunk.flags)) + PayloadOf(chunk) + MagicOf(chunk);
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
         Payload(request.payload.size(), DescribePayload(request)) + (request.too_long ? ", too long" : "") +
         (request.form == HeaderForm::kExtended ? ", extended" : "") + MagicOf(request);
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

std::string Describe(const ServerMessage& message) {
  return std::visit([](const auto& each) { return Text(each); }, message);
}

std::string Describe(const ClientMessage& message) {
  return std::visit([](const auto& each) { return Text(each); }, message);
}

}  // namespace nbdspec::engine
