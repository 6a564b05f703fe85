// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/comparisons/wire_decode_differential.h"

#include <algorithm>
#include <array>
#include <span>

#include "engine/base/byte_reader.h"
#include "engine/wire/protocol.h"
#include "fuzz/inputs/fresh_inputs.h"

namespace nbdspec::fuzz {
namespace {

using engine::Bytes;
using engine::ByteView;
using engine::ChunkType;
using engine::InfoType;
using engine::OptionReplyType;
using engine::OptionType;

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

using LayoutBytes = std::optional<std::size_t>;

LayoutBytes AllIf(bool fits, ByteView payload) { return fits ? LayoutBytes(payload.size()) : std::nullopt; }

template <std::size_t kBytes>
LayoutBytes Exactly(ByteView payload) {
  return AllIf(payload.size() == kBytes, payload);
}

template <std::size_t kBytes>
LayoutBytes AtLeast(ByteView payload) {
  return AllIf(payload.size() >= kBytes, payload);
}

// A name, then a count of `count_bytes`, and so many times what `after_item` passes over.
template <typename AfterItem>
LayoutBytes NameAndItems(ByteView payload, std::uint64_t count_bytes, const AfterItem& after_item) {
  auto at = AfterString(payload, 0, 4);
  const auto count = at ? NumberAt(payload, *at, count_bytes) : std::nullopt;
  if (!count) {
    return std::nullopt;
  }
  *at += count_bytes;
  for (std::uint64_t i = 0; i < *count && at; ++i) {
    at = after_item(*at);
  }
  return AllIf(at == payload.size(), payload);
}

LayoutBytes InfoQuery(ByteView payload) {
  return NameAndItems(
      payload, 2, [&](std::uint64_t at) { return at + 2 <= payload.size() ? std::optional(at + 2) : std::nullopt; });
}

LayoutBytes ContextQuery(ByteView payload) {
  return NameAndItems(payload, 4, [&](std::uint64_t at) { return AfterString(payload, at, 4); });
}

LayoutBytes Listed(ByteView payload) { return AllIf(AfterString(payload, 0, 4).has_value(), payload); }

LayoutBytes Status(ByteView payload) { return AllIf(payload.size() % 8 == 4, payload); }

template <std::size_t kMoreBytes>
LayoutBytes Error(ByteView payload) {
  const auto message_end = AfterString(payload, 4, 2);
  const bool fits = message_end && *message_end + kMoreBytes <= payload.size();
  return fits ? LayoutBytes(*message_end + kMoreBytes) : std::nullopt;
}

template <auto kDecode>
std::optional<Bytes> Again(ByteView payload) {
  const auto decoded = kDecode(payload);
  return decoded ? std::optional(engine::EncodePayload(*decoded)) : std::nullopt;
}

template <std::uint16_t kType>
std::optional<engine::ErrorPayload> DecodeError(ByteView payload) {
  return engine::DecodeErrorPayload(kType, payload);
}

constexpr PayloadLayout kOptions[] = {
    {OptionType::kInfo, InfoQuery, Again<engine::DecodePayload<engine::InfoQuery>>},
    {OptionType::kGo, InfoQuery, Again<engine::DecodePayload<engine::InfoQuery>>},
    {OptionType::kListMetaContext, ContextQuery, Again<engine::DecodePayload<engine::MetaContextQuery>>},
    {OptionType::kSetMetaContext, ContextQuery, Again<engine::DecodePayload<engine::MetaContextQuery>>},
};
constexpr PayloadLayout kReplies[] = {
    {OptionReplyType::kServer, Listed, Again<engine::DecodePayload<engine::ListedExport>>},
    {OptionReplyType::kMetaContext, AtLeast<4>, Again<engine::DecodePayload<engine::MetaContext>>},
};
constexpr PayloadLayout kInformation[] = {
    {InfoType::kExport, Exactly<12>, Again<engine::DecodePayload<engine::InfoExport>>},
    {InfoType::kName, AtLeast<2>, Again<engine::DecodePayload<engine::InfoText>>},
    {InfoType::kDescription, AtLeast<2>, Again<engine::DecodePayload<engine::InfoText>>},
    {InfoType::kBlockSize, Exactly<14>, Again<engine::DecodePayload<engine::InfoBlockSize>>},
};
constexpr PayloadLayout kChunks[] = {
    {ChunkType::kOffsetData, AtLeast<8>, Again<engine::DecodePayload<engine::OffsetData>>},
    {ChunkType::kOffsetHole, Exactly<12>, Again<engine::DecodePayload<engine::OffsetHole>>},
    {ChunkType::kBlockStatus, Status, Again<engine::DecodePayload<engine::BlockStatus>>},
    {ChunkType::kError, Error<0>, Again<DecodeError<ChunkType::kError>>},
    {ChunkType::kErrorOffset, Error<8>, Again<DecodeError<ChunkType::kErrorOffset>>},
};

const PayloadLayout* Find(std::span<const PayloadLayout> layouts, std::uint64_t type) {
  const auto found = std::ranges::find(layouts, type, &PayloadLayout::type);
  return found == layouts.end() ? nullptr : &*found;
}

}  // namespace

const PayloadLayout* LayoutOf(const engine::Option& option) { return Find(kOptions, option.option); }
const PayloadLayout* LayoutOf(const engine::OptionReply& reply) {
  const auto information = NumberAt(reply.payload, 0, 2);
  const bool is_information = reply.type == OptionReplyType::kInfo && information;
  return is_information ? Find(kInformation, *information) : Find(kReplies, reply.type);
}
const PayloadLayout* LayoutOf(const engine::Chunk& chunk) { return Find(kChunks, chunk.type); }

WireInput ReadWireInput(ByteView input) {
  engine::ByteReader reader(input);
  const std::uint8_t head = reader.Byte();
  WireInput read = {.from_server = (head & 1) != 0, .phase = head >> 1 & 3U};
  read.limit = engine::Pick<std::uint32_t>(head >> 3, {0, 16, 40, 4096});
  read.piece_bytes[0] += reader.Byte() % 64U;
  read.piece_bytes[1] += reader.Byte() % 8U;
  read.data_bytes = reader.Byte();
  read.stream = reader.rest();
  return read;
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

FuzzTarget WireDecodeTarget() {
  return {.name = "wire_decode",
          .subject = "the decoders of both directions, and of payloads",
          .against = "the encoder; the same bytes in pieces; naive layouts",
          .inputs = {.fresh = FreshWireInput},
          .find_in_bytes = [](ByteView input) { return FindWireDecodeDisagreement(input); },
          .dictionary = "nbd.dict"};
}

}  // namespace nbdspec::fuzz
