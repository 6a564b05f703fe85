// SPDX-License-Identifier: BSD-3-Clause
#include "engine/wire/describe_payload.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string_view>

#include "engine/base/quoted.h"
#include "engine/wire/hex.h"
#include "engine/wire/payloads.h"

namespace nbdspec::engine {
namespace {

constexpr std::size_t kBytesShown = 16;
constexpr std::size_t kTextBytesShown = 30;
constexpr std::size_t kListShown = 2;

std::string Short(std::string_view text) { return Quoted(text, kTextBytesShown); }

std::string_view AsText(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// The first few of `items`, each as `text_of` says it.
template <typename Item>
std::string FirstFew(const std::vector<Item>& items, std::string (*text_of)(const Item&)) {
  std::string text;
  for (std::size_t i = 0; i < std::min(items.size(), kListShown); ++i) {
    text.append(i == 0 ? "" : ", ").append(text_of(items[i]));
  }
  return items.size() > kListShown ? text + ", ..." : text;
}

std::string Text(const InfoQuery& query) {
  const auto name_of = [](const std::uint16_t& type) { return InfoName(type); };
  return Short(query.name) +
         (query.requests.empty() ? "" : " asking " + FirstFew<std::uint16_t>(query.requests, name_of));
}

std::string Text(const MetaContextQuery& query) {
  const auto quoted = [](const std::string& each) { return Quoted(each, 16); };
  return Quoted(query.export_name, 16) + ", " + std::to_string(query.queries.size()) + " queries" +
         (query.queries.empty() ? "" : ": " + FirstFew<std::string>(query.queries, quoted));
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

template <typename Payload>
std::string TextOr(const std::optional<Payload>& payload, ByteView bytes) {
  return payload ? Text(*payload) : DescribeBytes(bytes);
}

std::string DescribeInfo(ByteView payload) {
  switch (DecodeInfoType(payload).value_or(0xffff)) {
    case InfoType::kExport:
      return TextOr(DecodeInfoExport(payload), payload);
    case InfoType::kBlockSize:
      return TextOr(DecodeInfoBlockSize(payload), payload);
    case InfoType::kName:
    case InfoType::kDescription:
      return TextOr(DecodeInfoText(payload), payload);
    default:
      return DescribeBytes(payload);
  }
}

std::string DescribeOffsetData(ByteView payload) {
  const std::size_t offset_bytes = std::min<std::size_t>(payload.size(), 8);
  const auto data = DecodeOffsetData(payload.first(offset_bytes));  // Without its data, of which there may be much.
  if (!data) {
    return DescribeBytes(payload);
  }
  const ByteView bytes = payload.subspan(offset_bytes);
  return "offset " + std::to_string(data->offset) + ", " + std::to_string(bytes.size()) + " bytes " +
         DescribeBytes(bytes);
}

std::string DescribeBlockStatus(ByteView payload) {
  constexpr std::size_t kPayloadShown = 4 + 8 * (kListShown + 1);  // One more, so that FirstFew sees that it cuts.
  const bool is_whole = payload.size() % 8 == 4;
  const auto status = DecodeBlockStatus(payload.first(std::min(payload.size(), kPayloadShown)));
  if (!is_whole || !status) {
    return DescribeBytes(payload);
  }
  const auto text_of = [](const Descriptor& each) { return std::to_string(each.length) + ":" + HexText(each.status); };
  return "context " + std::to_string(status->context_id) + ", " + std::to_string(payload.size() / 8) + " descriptors " +
         FirstFew<Descriptor>(status->descriptors, text_of);
}

}  // namespace

std::string DescribePayload(const Option& option) {
  switch (option.option) {
    case OptionType::kInfo:
    case OptionType::kGo:
      return TextOr(DecodeInfoQuery(option.payload), option.payload);
    case OptionType::kListMetaContext:
    case OptionType::kSetMetaContext:
      return TextOr(DecodeMetaContextQuery(option.payload), option.payload);
    default:
      return DescribeBytes(option.payload);
  }
}

std::string DescribePayload(const OptionReply& reply) {
  switch (reply.type) {
    case OptionReplyType::kServer:
      return TextOr(DecodeListedExport(reply.payload), reply.payload);
    case OptionReplyType::kInfo:
      return DescribeInfo(reply.payload);
    case OptionReplyType::kMetaContext:
      return TextOr(DecodeMetaContext(reply.payload), reply.payload);
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
      return TextOr(DecodeOffsetHole(chunk.payload), chunk.payload);
    case ChunkType::kBlockStatus:
      return DescribeBlockStatus(chunk.payload);
    default:
      return DescribeBytes(chunk.payload);
  }
}

std::string DescribeBytes(ByteView bytes) {
  const ByteView first = bytes.first(std::min(bytes.size(), kTextBytesShown));
  const auto is_printable = [](std::uint8_t byte) { return 0x20 <= byte && byte < 0x7f; };
  if (!bytes.empty() && std::ranges::all_of(first, is_printable)) {
    return Quoted(AsText(bytes), kTextBytesShown);
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : bytes.first(std::min(bytes.size(), kBytesShown))) {
    text.append(text.empty() ? "" : " ") += kDigits[byte >> 4];
    text += kDigits[byte & 0xf];
  }
  return bytes.size() > kBytesShown ? text + " ..." : text;
}

}  // namespace nbdspec::engine
