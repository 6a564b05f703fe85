// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/comparisons/wire_decode_differential.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <numeric>
#include <span>

#include "engine/base/byte_reader.h"
#include "engine/wire/protocol.h"
#include "fuzz/inputs/fresh_inputs.h"

namespace nbdspec::fuzz {
namespace {

using engine::Bytes;
using engine::ByteView;
using engine::ChunkType;
using engine::CommandType;
using engine::HeaderForm;
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

using Taken = std::optional<TakenApart>;

Taken FirstOf(ByteView payload, std::size_t count) {
  return TakenApart{.bytes = Bytes(payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(count))};
}

Taken AllIf(bool fits, ByteView payload) { return fits ? FirstOf(payload, payload.size()) : std::nullopt; }

template <std::size_t kBytes>
Taken Exactly(ByteView payload) {
  return AllIf(payload.size() == kBytes, payload);
}

template <std::size_t kBytes>
Taken AtLeast(ByteView payload) {
  return AllIf(payload.size() >= kBytes, payload);
}

// A name, then a count of `count_bytes`, and so many times what `after_item` passes over.
template <typename AfterItem>
Taken NameAndItems(ByteView payload, std::uint64_t count_bytes, const AfterItem& after_item) {
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

Taken InfoQuery(ByteView payload) {
  return NameAndItems(
      payload, 2, [&](std::uint64_t at) { return at + 2 <= payload.size() ? std::optional(at + 2) : std::nullopt; });
}

Taken ContextQuery(ByteView payload) {
  return NameAndItems(payload, 4, [&](std::uint64_t at) { return AfterString(payload, at, 4); });
}

Taken Listed(ByteView payload) { return AllIf(AfterString(payload, 0, 4).has_value(), payload); }

// One number of each of `first` bytes, then any number of items of `item_bytes` each, which are numbers of
// `number_bytes`.
Taken NumbersAndItems(ByteView payload, std::initializer_list<std::uint64_t> first, std::uint64_t item_bytes,
                      std::uint64_t number_bytes) {
  const std::uint64_t head_bytes = std::accumulate(first.begin(), first.end(), std::uint64_t{0});
  Taken taken = AllIf(payload.size() >= head_bytes && (payload.size() - head_bytes) % item_bytes == 0, payload);
  if (!taken) {
    return std::nullopt;
  }
  std::uint64_t at = 0;
  for (const std::uint64_t bytes : first) {
    taken->numbers.push_back(*NumberAt(payload, at, bytes));
    at += bytes;
  }
  for (; at < payload.size(); at += number_bytes) {
    taken->numbers.push_back(*NumberAt(payload, at, number_bytes));
  }
  return taken;
}

// The id of the context; descriptors of a length and a status.
Taken Status(ByteView payload) { return NumbersAndItems(payload, {4}, 8, 4); }
// The same with a count before the descriptors.
Taken ExtendedStatus(ByteView payload) { return NumbersAndItems(payload, {4, 4}, 16, 8); }
// The effect length; ids of contexts.
Taken StatusQuery(ByteView payload) { return NumbersAndItems(payload, {8}, 4, 4); }

template <std::size_t kMoreBytes>
Taken Error(ByteView payload) {
  const auto message_end = AfterString(payload, 4, 2);
  const bool fits = message_end && *message_end + kMoreBytes <= payload.size();
  return fits ? FirstOf(payload, *message_end + kMoreBytes) : std::nullopt;
}

std::vector<std::uint64_t> NumbersOf(const auto& /*payload*/) { return {}; }

std::vector<std::uint64_t> NumbersOf(const engine::BlockStatus& status) {
  std::vector<std::uint64_t> numbers = {status.context_id};
  if (status.form == engine::HeaderForm::kExtended) {
    numbers.push_back(status.count_field.value_or(static_cast<std::uint32_t>(status.descriptors.size())));
  }
  for (const engine::Descriptor& each : status.descriptors) {
    numbers.insert(numbers.end(), {each.length, each.status});
  }
  return numbers;
}

std::vector<std::uint64_t> NumbersOf(const engine::StatusQuery& query) {
  std::vector<std::uint64_t> numbers = {query.length};
  numbers.insert(numbers.end(), query.context_ids.begin(), query.context_ids.end());
  return numbers;
}

template <auto kDecode>
Taken ByEngine(ByteView payload) {
  const auto decoded = kDecode(payload);
  return decoded ? Taken({.bytes = engine::EncodePayload(*decoded), .numbers = NumbersOf(*decoded)}) : std::nullopt;
}

template <std::uint16_t kType>
std::optional<engine::ErrorPayload> DecodeError(ByteView payload) {
  return engine::DecodeErrorPayload(kType, payload);
}

template <std::uint16_t kType>
std::optional<engine::BlockStatus> DecodeStatus(ByteView payload) {
  return engine::DecodeBlockStatus(kType, payload);
}

constexpr PayloadLayout kOptions[] = {
    {OptionType::kInfo, InfoQuery, ByEngine<engine::DecodePayload<engine::InfoQuery>>},
    {OptionType::kGo, InfoQuery, ByEngine<engine::DecodePayload<engine::InfoQuery>>},
    {OptionType::kListMetaContext, ContextQuery, ByEngine<engine::DecodePayload<engine::MetaContextQuery>>},
    {OptionType::kSetMetaContext, ContextQuery, ByEngine<engine::DecodePayload<engine::MetaContextQuery>>},
};
constexpr PayloadLayout kReplies[] = {
    {OptionReplyType::kServer, Listed, ByEngine<engine::DecodePayload<engine::ListedExport>>},
    {OptionReplyType::kMetaContext, AtLeast<4>, ByEngine<engine::DecodePayload<engine::MetaContext>>},
};
constexpr PayloadLayout kInformation[] = {
    {InfoType::kExport, Exactly<12>, ByEngine<engine::DecodePayload<engine::InfoExport>>},
    {InfoType::kName, AtLeast<2>, ByEngine<engine::DecodePayload<engine::InfoText>>},
    {InfoType::kDescription, AtLeast<2>, ByEngine<engine::DecodePayload<engine::InfoText>>},
    {InfoType::kBlockSize, Exactly<14>, ByEngine<engine::DecodePayload<engine::InfoBlockSize>>},
};
constexpr PayloadLayout kChunks[] = {
    {ChunkType::kOffsetData, AtLeast<8>, ByEngine<engine::DecodePayload<engine::OffsetData>>},
    {ChunkType::kOffsetHole, Exactly<12>, ByEngine<engine::DecodePayload<engine::OffsetHole>>},
    {ChunkType::kBlockStatus, Status, ByEngine<DecodeStatus<ChunkType::kBlockStatus>>},
    {ChunkType::kBlockStatusExt, ExtendedStatus, ByEngine<DecodeStatus<ChunkType::kBlockStatusExt>>},
    {ChunkType::kError, Error<0>, ByEngine<DecodeError<ChunkType::kError>>},
    {ChunkType::kErrorOffset, Error<8>, ByEngine<DecodeError<ChunkType::kErrorOffset>>},
};
constexpr PayloadLayout kRequests[] = {
    {CommandType::kBlockStatus, StatusQuery, ByEngine<engine::DecodePayload<engine::StatusQuery>>},
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
const PayloadLayout* LayoutOf(const engine::Request& request) { return Find(kRequests, request.type); }

std::string Describe(const std::optional<TakenApart>& taken) {
  return taken ? fmt::format("{} bytes {:02x}, numbers {}", taken->bytes.size(), fmt::join(taken->bytes, ""),
                             fmt::join(taken->numbers, " "))
               : "nothing";
}

namespace {

// A number of a header: its place, its size in bytes, and what a decoder made of it.
struct HeaderNumber {
  std::string_view name;
  std::uint64_t at;
  std::uint64_t count;
  std::uint64_t decoded;
};

Found FindInNumbers(std::string_view message, std::initializer_list<HeaderNumber> numbers, ByteView here) {
  for (const auto& [name, at, count, decoded] : numbers) {
    const auto there = NumberAt(here, at, count);
    if (there != decoded) {
      return Compare(fmt::format("{} of a header, {}", name, message), there.value_or(0), decoded);
    }
  }
  return std::nullopt;
}

}  // namespace

Found FindHeaderDisagreement(const engine::ClientMessage& message, HeaderForm form, std::uint32_t payload_bytes_max,
                             ByteView here) {
  const auto* request = std::get_if<engine::Request>(&message);
  if (request == nullptr) {
    return std::nullopt;
  }
  const bool is_extended = form == HeaderForm::kExtended;
  if (auto found = FindInNumbers("request",
                                 {{"magic", 0, 4, is_extended ? 0x21e4'1c71U : 0x2560'9513U},
                                  {"flags", 4, 2, request->flags},
                                  {"type", 6, 2, request->type},
                                  {"cookie", 8, 8, request->cookie},
                                  {"offset", 16, 8, request->offset},
                                  {"length", 24, is_extended ? 8U : 4U, request->length}},
                                 here)) {
    return found;
  }
  constexpr std::uint16_t kPayloadLen = 1 << 5;
  const bool has_payload = is_extended ? (request->flags & kPayloadLen) != 0 : request->type == CommandType::kWrite;
  const std::uint64_t announced = has_payload ? request->length : 0;
  const bool is_too_long = announced > payload_bytes_max;
  auto found = Compare("whether a request is extended", is_extended, request->form == HeaderForm::kExtended);
  found = found ? found : Compare("whether a payload is too long", is_too_long, request->too_long);
  return found ? found
               : Compare("bytes of a request's payload", is_too_long ? 0 : announced,
                         std::uint64_t{request->payload.size()});
}

Found FindHeaderDisagreement(const engine::ServerMessage& message, HeaderForm form, std::uint32_t /*payload_bytes_max*/,
                             ByteView here) {
  const auto* chunk = std::get_if<engine::Chunk>(&message);
  if (chunk == nullptr) {
    return std::nullopt;
  }
  const bool is_extended = form == HeaderForm::kExtended;
  auto found = Compare("whether a chunk is extended", is_extended, chunk->form == HeaderForm::kExtended);
  found = found ? found
                : FindInNumbers("chunk",
                                {{"magic", 0, 4, is_extended ? 0x6e8a'278cU : 0x668e'33efU},
                                 {"flags", 4, 2, chunk->flags},
                                 {"type", 6, 2, chunk->type},
                                 {"cookie", 8, 8, chunk->cookie}},
                                here);
  if (found) {
    return found;
  }
  const std::uint64_t payload_bytes = chunk->payload.size();
  return is_extended
             ? FindInNumbers("chunk", {{"offset", 16, 8, chunk->offset}, {"length", 24, 8, payload_bytes}}, here)
             : FindInNumbers("chunk", {{"length", 16, 4, payload_bytes}}, here);
}

WireInput ReadWireInput(ByteView input) {
  engine::ByteReader reader(input);
  const std::uint8_t head = reader.Byte();
  WireInput read = {.from_server = (head & 1) != 0, .phase = head >> 1 & 3U};
  read.headers = (head & 128) != 0 ? HeaderForm::kExtended : HeaderForm::kCompact;
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
          .subject = "the decoders of both directions and forms of headers, and of payloads",
          .against = "the encoder; the same bytes in pieces; naive layouts",
          .inputs = {.fresh = FreshWireInput},
          .find_in_bytes = [](ByteView input) { return FindWireDecodeDisagreement(input); },
          .dictionary = "nbd.dict"};
}

}  // namespace nbdspec::fuzz
