// SPDX-License-Identifier: BSD-3-Clause
// Messages in words. What is said stands here once, with the field that each word is the value of: a line of text and a
// picture of the conversation say the same.

#include <algorithm>
#include <cstddef>

#include "engine/base/quoted.h"
#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"

namespace nbdspec::engine {
namespace {

class Words {
 public:
  Words() {  // Most fit without growing: sessions describe each message.
    made_.text.reserve(100);
    made_.fields.reserve(8);
  }
  // What kind of message it is: first of all.
  void Name(std::string_view name) {
    Say(name);
    made_.name_bytes = made_.text.size();
  }
  void Say(std::string_view words) { made_.text += words; }
  void Field(std::string_view name, std::string_view value) {
    const std::size_t begin = made_.text.size();
    made_.text += value;
    made_.fields.push_back({.name = name, .begin = begin, .end = made_.text.size()});
  }
  void Field(std::string_view name, std::uint64_t value) { Field(name, std::to_string(value)); }
  Description Take() && { return std::move(made_); }

 private:
  Description made_;
};

// --- Payloads in a few words: some 150 characters, escaped; the first bytes of those that cannot be taken apart ---

constexpr std::size_t kBytesShown = 16;
constexpr std::size_t kTextBytesShown = 30;
constexpr std::size_t kListShown = 2;

std::string Short(std::string_view text) { return Quoted(text, kTextBytesShown); }

// The first bytes: as text when all of them are printable, else in hexadecimal.
std::string BytesText(ByteView bytes) {
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

void SayBytes(Words& words, ByteView bytes) { words.Field("data", BytesText(bytes)); }

// The first few of `items`, each as `text_of` says it.
std::string FirstFew(const auto& items, auto text_of) {
  std::string text;
  for (std::size_t i = 0; i < std::min(items.size(), kListShown); ++i) {
    text.append(i == 0 ? "" : ", ").append(text_of(items[i]));
  }
  return items.size() > kListShown ? text + ", ..." : text;
}

// A list, and what comes before it where there is one.
void SayFew(Words& words, std::string_view before, std::string_view name, const auto& items, auto text_of) {
  if (!items.empty()) {
    words.Say(before);
    words.Field(name, FirstFew(items, text_of));
  }
}

void Say(Words& words, const InfoQuery& query) {
  words.Field("name", Short(query.name));
  SayFew(words, " asking ", "requests", query.requests, InfoName);
}

void Say(Words& words, const MetaContextQuery& query) {
  words.Field("name", Quoted(query.export_name, 16));
  words.Say(", ");
  words.Field("query count", query.queries.size());
  words.Say(" queries");
  SayFew(words, ": ", "queries", query.queries, [](const std::string& each) { return Quoted(each, 16); });
}

void Say(Words& words, const ListedExport& listed) {
  words.Field("name", Short(listed.name));
  if (!listed.description.empty()) {
    words.Say(", ");
    words.Field("description", Quoted(listed.description, 16));
  }
}

void Say(Words& words, const MetaContext& context) {
  words.Say("id ");
  words.Field("context id", context.id);
  words.Say(" is ");
  words.Field("context", Short(context.name));
}

void Say(Words& words, const InfoExport& info) {
  words.Field("information", "NBD_INFO_EXPORT");
  words.Say(" size ");
  words.Field("size", info.size);
  words.Say(", ");
  words.Field("transmission flags", TransmissionFlagNames(info.flags));
}

void Say(Words& words, const InfoBlockSize& info) {
  words.Field("information", "NBD_INFO_BLOCK_SIZE");
  words.Say(" minimum ");
  words.Field("minimum", info.minimum);
  words.Say(", preferred ");
  words.Field("preferred", info.preferred);
  words.Say(", maximum ");
  words.Field("maximum", info.maximum);
}

void Say(Words& words, const InfoText& info) {
  words.Field("information", InfoName(info.type));
  words.Say(" ");
  words.Field("text", Short(info.text));
}

void Say(Words& words, const OffsetHole& hole) {
  words.Say("offset ");
  words.Field("offset", hole.offset);
  words.Say(", hole of ");
  words.Field("hole size", hole.length);
}

void Say(Words& words, const ErrorPayload& error) {
  words.Field("error", ErrorName(error.error));
  if (error.offset) {
    words.Say(" at offset ");
    words.Field("offset", *error.offset);
  }
  if (!error.message.empty()) {
    words.Say(" ");
    words.Field("text", Short(error.message));
  }
}

void Say(Words& words, const StatusQuery& query) {
  words.Say("length ");
  words.Field("effect length", query.length);
  words.Say(", ");
  words.Field("context count", query.context_ids.size());
  words.Say(" contexts");
  SayFew(words, ": ", "context ids", query.context_ids, [](std::uint32_t id) { return std::to_string(id); });
}

template <typename Payload>
void SayOr(Words& words, const std::optional<Payload>& payload, ByteView bytes) {
  if (payload) {
    Say(words, *payload);
  } else {
    SayBytes(words, bytes);
  }
}

template <typename Payload>
void SayAs(Words& words, ByteView payload) {
  SayOr(words, DecodePayload<Payload>(payload), payload);
}

void SayInfo(Words& words, ByteView payload) {
  switch (DecodeInfoType(payload).value_or(0xffff)) {
    case InfoType::kExport:
      return SayAs<InfoExport>(words, payload);
    case InfoType::kBlockSize:
      return SayAs<InfoBlockSize>(words, payload);
    case InfoType::kName:
    case InfoType::kDescription:
      return SayAs<InfoText>(words, payload);
    default:
      return SayBytes(words, payload);
  }
}

void SayOffsetData(Words& words, ByteView payload) {
  const std::size_t offset_bytes = std::min<std::size_t>(payload.size(), 8);
  // Without its data, of which there may be much.
  const auto data = DecodePayload<OffsetData>(payload.first(offset_bytes));
  if (!data) {
    return SayBytes(words, payload);
  }
  const ByteView bytes = payload.subspan(offset_bytes);
  words.Say("offset ");
  words.Field("offset", data->offset);
  words.Say(", ");
  words.Field("data length", bytes.size());
  words.Say(" bytes ");
  SayBytes(words, bytes);
}

void SayBlockStatus(Words& words, HeaderForm form, ByteView payload) {
  const std::size_t head_bytes = BlockStatus::HeadBytes(form);
  const std::size_t bytes_each = BlockStatus::DescriptorBytes(form);
  // One more than is shown, so that FirstFew sees that it cuts.
  const std::size_t bytes_shown = std::min(payload.size(), head_bytes + bytes_each * (kListShown + 1));
  const auto status = DecodeInto(BlockStatus{.form = form}, payload.first(bytes_shown));
  if (!status || (payload.size() - head_bytes) % bytes_each != 0) {
    return SayBytes(words, payload);
  }
  const std::size_t count = (payload.size() - head_bytes) / bytes_each;
  const std::size_t count_field =
      form == HeaderForm::kExtended ? status->count_field.value_or(status->descriptors.size()) : count;
  words.Say("context ");
  words.Field("context id", status->context_id);
  words.Say(", ");
  words.Field("descriptor count", count);
  words.Say(" descriptors ");
  words.Field("descriptors", FirstFew(status->descriptors, [](const Descriptor& each) {
                return std::to_string(each.length) + ":" + HexText(each.status);
              }));
  if (count_field != count) {
    words.Say(", count field ");
    words.Field("count field", count_field);
  }
}

void SayPayload(Words& words, const Option& option) {
  switch (option.option) {
    case OptionType::kInfo:
    case OptionType::kGo:
      return SayAs<InfoQuery>(words, option.payload);
    case OptionType::kListMetaContext:
    case OptionType::kSetMetaContext:
      return SayAs<MetaContextQuery>(words, option.payload);
    default:
      return SayBytes(words, option.payload);
  }
}

void SayPayload(Words& words, const OptionReply& reply) {
  switch (reply.type) {
    case OptionReplyType::kServer:
      return SayAs<ListedExport>(words, reply.payload);
    case OptionReplyType::kInfo:
      return SayInfo(words, reply.payload);
    case OptionReplyType::kMetaContext:
      return SayAs<MetaContext>(words, reply.payload);
    default:
      return SayBytes(words, reply.payload);
  }
}

void SayPayload(Words& words, const Chunk& chunk) {
  if (chunk.is_error()) {
    return SayOr(words, DecodeErrorPayload(chunk.type, chunk.payload), chunk.payload);
  }
  switch (chunk.type) {
    case ChunkType::kOffsetData:
      return SayOffsetData(words, chunk.payload);
    case ChunkType::kOffsetHole:
      return SayAs<OffsetHole>(words, chunk.payload);
    case ChunkType::kBlockStatus:
      return SayBlockStatus(words, HeaderForm::kCompact, chunk.payload);
    case ChunkType::kBlockStatusExt:
      return SayBlockStatus(words, HeaderForm::kExtended, chunk.payload);
    default:
      return SayBytes(words, chunk.payload);
  }
}

void SayPayload(Words& words, const Request& request) {
  if (request.type == CommandType::kBlockStatus) {
    SayAs<StatusQuery>(words, request.payload);
  } else {
    SayBytes(words, request.payload);
  }
}

// --- Messages in a line ---

// ", 12 bytes: WHAT"; nothing when there are none.
template <typename SayWhat>
void SaySized(Words& words, std::size_t byte_count, SayWhat say_what) {
  if (byte_count == 0) {
    return;
  }
  words.Say(", ");
  words.Field("payload length", byte_count);
  words.Say(byte_count == 1 ? " byte: " : " bytes: ");
  say_what();
}

// The payload of `message`, and a length field that does not tell its length.
template <typename Message>
void SayWithLength(Words& words, const Message& message) {
  SaySized(words, message.payload.size(), [&] { SayPayload(words, message); });
  if (message.length_field && *message.length_field != message.payload.size()) {
    words.Say(", length field ");
    words.Field("length field", *message.length_field);
  }
}

template <typename Magic>
void SayWrongMagic(Words& words, Magic magic, Magic right) {
  if (magic != right) {
    words.Say(", magic ");
    words.Field("magic", MagicText(magic));
  }
}

// Of a message that has one for each form.
template <typename Message>
void SayMagicOf(Words& words, const Message& message) {
  SayWrongMagic(words, message.magic.value_or(Message::MagicOf(message.form)), Message::MagicOf(message.form));
}

void Say(Words& words, const Greeting& greeting) {
  words.Name("greeting");
  words.Say(" ");
  words.Field("handshake flags", HandshakeFlagNames(greeting.flags));
  SayWrongMagic(words, greeting.magic, kNbdMagic);
  SayWrongMagic(words, greeting.option_magic, kOptionMagic);
}

void Say(Words& words, const OldstyleGreeting& greeting) {
  words.Name("oldstyle greeting");
  words.Say(", size ");
  words.Field("size", greeting.size);
  words.Say(", flags ");
  words.Field("flags", HexText(greeting.flags));
  words.Say(greeting.pad_is_zero ? "" : ", reserved bytes not zero");
}

void Say(Words& words, const OptionReply& reply) {
  words.Name(OptionReplyName(reply.type));
  words.Say(" for ");
  words.Field("option", OptionName(reply.option));
  SayWithLength(words, reply);
  SayWrongMagic(words, reply.magic, kOptionReplyMagic);
}

void Say(Words& words, const ExportNameReply& reply) {
  words.Name("reply to NBD_OPT_EXPORT_NAME");
  words.Say(", size ");
  words.Field("size", reply.size);
  words.Say(", ");
  words.Field("transmission flags", TransmissionFlagNames(reply.flags));
  words.Say(", ");
  words.Field("padding", reply.pad.size());
  words.Say(" bytes of padding");
}

void Say(Words& words, const SimpleReply& reply) {
  words.Name("simple reply");
  words.Say(" to cookie ");
  words.Field("cookie", HexText(reply.cookie));
  words.Say(", ");
  words.Field("error", ErrorName(reply.error));
  SaySized(words, reply.data.size(), [&] { SayBytes(words, reply.data); });
  SayWrongMagic(words, reply.magic, kSimpleReplyMagic);
}

void Say(Words& words, const Chunk& chunk) {
  words.Name(ChunkName(chunk.type));
  words.Say(" to cookie ");
  words.Field("cookie", HexText(chunk.cookie));
  if (chunk.form == HeaderForm::kExtended) {
    words.Say(" and offset ");
    words.Field("request offset", chunk.offset);
  }
  if (chunk.flags != 0) {
    words.Say(", ");
    words.Field("chunk flags", ChunkFlagNames(chunk.flags));
  }
  SayWithLength(words, chunk);
  SayMagicOf(words, chunk);
}

void Say(Words& words, const RawBytes& raw) {
  words.Name("raw");
  SaySized(words, raw.bytes.size(), [&] { SayBytes(words, raw.bytes); });
}

void Say(Words& words, const HardDisconnect& /*disconnect*/) { words.Name("hard disconnect"); }

void Say(Words& words, const ClientFlags& flags) {
  words.Name("client flags");
  words.Say(" ");
  words.Field("client flags", ClientFlagNames(flags.flags));
}

void Say(Words& words, const Option& option) {
  words.Name(OptionName(option.option));
  SayWithLength(words, option);
  words.Say(option.too_long ? ", too long" : "");
  SayWrongMagic(words, option.magic, kOptionMagic);
}

void Say(Words& words, const Request& request) {
  words.Name(CommandName(request.type));
  words.Say(" offset ");
  words.Field("offset", request.offset);
  words.Say(" length ");
  words.Field("length", request.length);
  words.Say(" cookie ");
  words.Field("cookie", HexText(request.cookie));
  if (request.flags != 0) {
    words.Say(", ");
    words.Field("command flags", CommandFlagNames(request.flags));
  }
  SaySized(words, request.payload.size(), [&] { SayPayload(words, request); });
  words.Say(request.too_long ? ", too long" : "");
  words.Say(request.form == HeaderForm::kExtended ? ", extended" : "");
  SayMagicOf(words, request);
}

Description DescribeAny(const auto& message) {
  Words words;
  std::visit([&](const auto& each) { Say(words, each); }, message);
  return std::move(words).Take();
}

}  // namespace

Description DescribeFields(const ServerMessage& message) { return DescribeAny(message); }
Description DescribeFields(const ClientMessage& message) { return DescribeAny(message); }

std::string Describe(const ServerMessage& message) { return DescribeAny(message).text; }
std::string Describe(const ClientMessage& message) { return DescribeAny(message).text; }

}  // namespace nbdspec::engine
