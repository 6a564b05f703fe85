// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/comparisons/payload_differential.h"

#include <algorithm>
#include <array>

#include "engine/wire/protocol.h"

namespace nbdspec::fuzz {
namespace {

using engine::Bytes;
using engine::ByteView;
using engine::ChunkType;
using engine::InfoType;
using engine::OptionReplyType;
using engine::OptionType;

template <typename Decoded>
std::optional<Bytes> Encoded(const std::optional<Decoded>& decoded) {
  return decoded ? std::optional(engine::EncodePayload(*decoded)) : std::nullopt;
}

// The number of `count` bytes at `at`, big-endian; nothing when it does not lie in `bytes`.
std::optional<std::uint64_t> NumberAt(ByteView bytes, std::uint64_t at, std::uint64_t count) {
  if (at > bytes.size() || count > bytes.size() - at) {
    return std::nullopt;
  }
  std::uint64_t number = 0;
  for (const std::uint8_t byte : bytes.subspan(at, count)) {
    number = number * 256 + byte;
  }
  return number;
}

// The place after a string at `at`, whose length is the number of `count` bytes before it.
std::optional<std::uint64_t> AfterString(ByteView bytes, std::optional<std::uint64_t> at, std::uint64_t count) {
  const auto length = at ? NumberAt(bytes, *at, count) : std::nullopt;
  const bool is_inside = length && *length <= bytes.size() - *at - count;
  return is_inside ? std::optional(*at + count + *length) : std::nullopt;
}

std::optional<std::size_t> AllIf(bool fits, ByteView payload) {
  return fits ? std::optional(payload.size()) : std::nullopt;
}

}  // namespace

std::optional<Bytes> EnginePayloads::Again(const engine::Option& option) {
  switch (option.option) {
    case OptionType::kInfo:
    case OptionType::kGo:
      return Encoded(engine::DecodePayload<engine::InfoQuery>(option.payload));
    case OptionType::kListMetaContext:
    case OptionType::kSetMetaContext:
      return Encoded(engine::DecodePayload<engine::MetaContextQuery>(option.payload));
    default:
      return std::nullopt;
  }
}

std::optional<Bytes> EnginePayloads::Again(const engine::OptionReply& reply) {
  const ByteView payload = reply.payload;
  switch (reply.type) {
    case OptionReplyType::kServer:
      return Encoded(engine::DecodePayload<engine::ListedExport>(payload));
    case OptionReplyType::kMetaContext:
      return Encoded(engine::DecodePayload<engine::MetaContext>(payload));
    case OptionReplyType::kInfo:
      break;
    default:
      return std::nullopt;
  }
  const auto type = engine::DecodeInfoType(payload);
  if (type == InfoType::kExport) {
    return Encoded(engine::DecodePayload<engine::InfoExport>(payload));
  }
  if (type == InfoType::kBlockSize) {
    return Encoded(engine::DecodePayload<engine::InfoBlockSize>(payload));
  }
  const bool is_text = type == InfoType::kName || type == InfoType::kDescription;
  return is_text ? Encoded(engine::DecodePayload<engine::InfoText>(payload)) : std::nullopt;
}

std::optional<Bytes> EnginePayloads::Again(const engine::Chunk& chunk) {
  switch (chunk.type) {
    case ChunkType::kOffsetData:
      return Encoded(engine::DecodePayload<engine::OffsetData>(chunk.payload));
    case ChunkType::kOffsetHole:
      return Encoded(engine::DecodePayload<engine::OffsetHole>(chunk.payload));
    case ChunkType::kBlockStatus:
      return Encoded(engine::DecodePayload<engine::BlockStatus>(chunk.payload));
    case ChunkType::kError:
    case ChunkType::kErrorOffset:
      return Encoded(engine::DecodeErrorPayload(chunk.type, chunk.payload));
    default:
      return std::nullopt;
  }
}

std::optional<std::size_t> NaiveLayoutBytes(const engine::Option& option) {
  const ByteView payload = option.payload;
  const bool is_info = option.option == OptionType::kInfo || option.option == OptionType::kGo;
  if (!is_info && option.option != OptionType::kListMetaContext && option.option != OptionType::kSetMetaContext) {
    return std::nullopt;
  }
  auto at = AfterString(payload, 0, 4);
  const std::uint64_t count_bytes = is_info ? 2 : 4;
  const auto count = at ? NumberAt(payload, *at, count_bytes) : std::nullopt;
  if (!count) {
    return std::nullopt;
  }
  *at += count_bytes;
  for (std::uint64_t i = 0; i < *count && at; ++i) {
    if (is_info) {
      *at += 2;
      at = *at <= payload.size() ? at : std::nullopt;
    } else {
      at = AfterString(payload, at, 4);
    }
  }
  return AllIf(at == payload.size(), payload);
}

std::optional<std::size_t> NaiveLayoutBytes(const engine::OptionReply& reply) {
  const ByteView payload = reply.payload;
  if (reply.type == OptionReplyType::kServer) {
    return AllIf(AfterString(payload, 0, 4).has_value(), payload);
  }
  if (reply.type == OptionReplyType::kMetaContext) {
    return AllIf(payload.size() >= 4, payload);
  }
  if (reply.type != OptionReplyType::kInfo) {
    return std::nullopt;
  }
  const auto type = NumberAt(payload, 0, 2);
  const bool is_text = type == InfoType::kName || type == InfoType::kDescription;
  return AllIf(is_text || (type == InfoType::kExport && payload.size() == 12) ||
                   (type == InfoType::kBlockSize && payload.size() == 14),
               payload);
}

std::optional<std::size_t> NaiveLayoutBytes(const engine::Chunk& chunk) {
  const ByteView payload = chunk.payload;
  switch (chunk.type) {
    case ChunkType::kOffsetData:
      return AllIf(payload.size() >= 8, payload);
    case ChunkType::kOffsetHole:
      return AllIf(payload.size() == 12, payload);
    case ChunkType::kBlockStatus:
      return AllIf(payload.size() % 8 == 4, payload);
    case ChunkType::kError:
    case ChunkType::kErrorOffset: {
      const auto message_end = AfterString(payload, 4, 2);
      const std::uint64_t end = message_end.value_or(0) + (chunk.type == ChunkType::kErrorOffset ? 8 : 0);
      return message_end && end <= payload.size() ? std::optional<std::size_t>(end) : std::nullopt;
    }
    default:
      return std::nullopt;
  }
}

bool IsNaivelyValidString(ByteView text) {
  struct Row {  // First and second byte, from and to; how many follow that are 0x80 to 0xbf.
    std::uint8_t first_from, first_to, second_from, second_to;
    std::size_t more;
  };
  constexpr auto kRows = std::to_array<Row>({{0xc2, 0xdf, 0x80, 0xbf, 0},
                                             {0xe0, 0xe0, 0xa0, 0xbf, 1},
                                             {0xe1, 0xec, 0x80, 0xbf, 1},
                                             {0xed, 0xed, 0x80, 0x9f, 1},
                                             {0xee, 0xef, 0x80, 0xbf, 1},
                                             {0xf0, 0xf0, 0x90, 0xbf, 2},
                                             {0xf1, 0xf3, 0x80, 0xbf, 2},
                                             {0xf4, 0xf4, 0x80, 0x8f, 2}});
  const auto is_in = [](std::uint8_t byte, std::uint8_t from, std::uint8_t to) { return from <= byte && byte <= to; };
  while (!text.empty()) {
    if (is_in(text[0], 0x01, 0x7f)) {
      text = text.subspan(1);
      continue;
    }
    const auto row =
        std::ranges::find_if(kRows, [&](const Row& each) { return is_in(text[0], each.first_from, each.first_to); });
    if (row == kRows.end() || text.size() < 2 + row->more || !is_in(text[1], row->second_from, row->second_to) ||
        !std::ranges::all_of(text.subspan(2, row->more), [&](auto byte) { return is_in(byte, 0x80, 0xbf); })) {
      return false;
    }
    text = text.subspan(2 + row->more);
  }
  return true;
}

bool IsShortPrintableLine(std::string_view text) {
  constexpr std::size_t kBytesMax = 320;
  return !text.empty() && text.size() <= kBytesMax &&
         std::ranges::all_of(text, [](char byte) { return byte >= ' ' && byte <= '~'; });
}

}  // namespace nbdspec::fuzz
