// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/inputs/meta_context_input.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "engine/base/byte_reader.h"
#include "engine/negotiation/negotiated.h"
#include "engine/wire/messages.h"

namespace nbdspec::fuzz {
namespace {

using engine::OptionType;
using namespace std::string_view_literals;

constexpr int kOptionsMax = 16;
constexpr int kStatusesMax = 4;
constexpr std::uint32_t kOptionBytesMax = 256;  // What the server takes as payload of an option.

// What is wrong with the payload of an option.
enum class Malformed : std::uint8_t {
  kNot,
  kTruncated,        // The last byte is missing.
  kTrailingByte,     // There is one more.
  kCountTooLarge,    // More queries (or information requests) are announced than there are.
  kNameLengthHuge,   // The name is said to have 2^32-1 bytes.
  kQueryLengthHuge,  // So is the last query; without queries as kTruncated.
  kEmpty,            // No payload at all.
  kTooLong,          // Of more bytes than the server takes.
};

bool IsExport(std::string_view name) { return name == kBareExport || std::ranges::count(kMetaExports, name) > 0; }

void SetLengthHuge(engine::Bytes& payload, std::size_t at) {
  std::fill_n(payload.begin() + static_cast<std::ptrdiff_t>(at), std::min<std::size_t>(4, payload.size() - at), 0xff);
}

// Makes the payload of `data`, of an option that takes a name, or of one without a payload, malformed.
void Spoil(engine::Bytes& payload, const engine::OptionData& data, bool has_queries, Malformed how) {
  switch (how) {
    case Malformed::kNot:
      break;
    case Malformed::kQueryLengthHuge:
      if (!data.queries.empty()) {
        SetLengthHuge(payload, payload.size() - data.queries.back().size() - 4);
        break;
      }
      [[fallthrough]];
    case Malformed::kTruncated:
      payload.pop_back();
      break;
    case Malformed::kTrailingByte:
      payload.push_back(0);
      break;
    case Malformed::kCountTooLarge:
      payload[4 + data.export_name.size() + (has_queries ? 3 : 1)] += 1;
      break;
    case Malformed::kNameLengthHuge:
      SetLengthHuge(payload, 0);
      break;
    case Malformed::kEmpty:
      payload.clear();
      break;
    case Malformed::kTooLong:
      payload.resize(kOptionBytesMax + 1);
      break;
  }
}

class Haggling {
 public:
  Haggling(engine::ByteView choices, engine::Bytes& said) : choices_(choices), said_(said) {}

  // After the head.
  void Write(bool begins_with_structured_reply) {
    int options = 0;
    if (begins_with_structured_reply) {
      Encode(engine::MakeOption(OptionType::kStructuredReply), said_);
      ++options;
    }
    bool has_ended = false;
    for (; !choices_.empty() && options < kOptionsMax && !has_ended; ++options) {
      has_ended = WriteOption();
    }
    if (!has_ended) {
      Encode(engine::MakeOption(OptionType::kGo, {.export_name = selected_}), said_);
    }
    std::uint64_t cookie = 0;
    do {
      WriteStatus(++cookie);
    } while (!choices_.empty() && cookie < kStatusesMax);
  }

 private:
  // Returns whether it ends the haggling.
  bool WriteOption() {
    constexpr auto kOptions = std::to_array<std::uint32_t>(
        {OptionType::kSetMetaContext, OptionType::kSetMetaContext, OptionType::kSetMetaContext,
         OptionType::kSetMetaContext, OptionType::kStructuredReply, OptionType::kGo, OptionType::kListMetaContext,
         OptionType::kListMetaContext, OptionType::kStructuredReply, OptionType::kExtendedHeaders, OptionType::kInfo,
         OptionType::kGo, OptionType::kExportName, OptionType::kList, OptionType::kStarttls, 0});
    const std::uint8_t kind = choices_.Byte();
    std::uint32_t option = kOptions[kind % kOptions.size()];
    auto malformed = kind >> 4 > 8 ? static_cast<Malformed>((kind >> 4) - 8) : Malformed::kNot;  // 7 of 16 are.
    if (option == 0) {
      option = (kind & 16) != 0 ? OptionType::kAbort : choices_.Byte() + 12U;  // The latter is known to nobody.
    }
    const bool is_meta = option == OptionType::kSetMetaContext || option == OptionType::kListMetaContext;
    const bool is_entry = option == OptionType::kInfo || option == OptionType::kGo;
    engine::OptionData data;
    if (is_meta || is_entry || option == OptionType::kExportName) {
      data.export_name = ExportName();
    } else if (malformed != Malformed::kNot && malformed != Malformed::kTooLong) {
      malformed = Malformed::kTrailingByte;  // Others have no payload.
    }
    if (option == OptionType::kExportName && malformed != Malformed::kTooLong) {
      malformed = Malformed::kNot;  // Any bytes are a name.
    }
    for (std::uint64_t left = is_meta ? choices_.Below(4) : 0; left > 0; --left) {
      data.queries.push_back(Query());
    }
    engine::Option message = engine::MakeOption(option, data);
    Spoil(message.payload, data, is_meta, malformed);
    Encode(message, said_);
    const bool is_export = IsExport(data.export_name);
    if (option == OptionType::kSetMetaContext && is_export) {
      selected_ = data.export_name;
    }
    return option == OptionType::kExportName || option == OptionType::kAbort ||
           (option == OptionType::kGo && malformed == Malformed::kNot && is_export);
  }

  std::string ExportName() {
    constexpr auto kNames = std::to_array<std::string_view>(
        {"a", "b", "", "a", "b", kBareExport, "a", "A", "", "a", "nowhere", "a\0"sv, "\xff\xfe", "aa"});
    return std::string(choices_.Choose(kNames));
  }

  std::string Query() {
    constexpr auto kQueries = std::to_array<std::string_view>({"base:allocation",
                                                               "x-nbdspec:block-index",
                                                               "base:",
                                                               "base:allocation",
                                                               "x-nbdspec:block-index",
                                                               "x-nbdspec:",
                                                               "base",
                                                               "",
                                                               ":",
                                                               "base:alloc",
                                                               "BASE:ALLOCATION",
                                                               "base:allocation2",
                                                               "qemu:dirty-bitmap:b",
                                                               "x-nowhere:",
                                                               ":allocation",
                                                               "allocation",
                                                               "base:allocation\0"sv,
                                                               "base:\xc3\x28",
                                                               "x-nbdspec:block-inde",
                                                               " base:allocation"});
    return std::string(choices_.Choose(kQueries));
  }

  // At or shortly after the begin of a block.
  void WriteStatus(std::uint64_t cookie) {
    constexpr auto kLengths = std::to_array<std::uint32_t>({1, 512, kMetaBlockBytes, 3 * kMetaBlockBytes});
    const std::uint8_t byte = choices_.Byte();
    const std::uint32_t offset = (byte & 3U) * kMetaBlockBytes + ((byte & 32) != 0 ? 512 : 0);
    Encode(engine::Request{.flags = (byte & 4) != 0 ? engine::CommandFlag::kReqOne : std::uint16_t{0},
                           .type = engine::CommandType::kBlockStatus,
                           .cookie = cookie,
                           .offset = offset,
                           .length = std::min(kLengths[byte >> 3 & 3U], kMetaBlockCount * kMetaBlockBytes - offset)},
           said_);
  }

  engine::ByteReader choices_;
  engine::Bytes& said_;
  std::string selected_ = "a";
};

}  // namespace

SessionInput ReadMetaContextInput(engine::ByteView bytes) {
  const std::uint8_t head = bytes.empty() ? std::uint8_t{0} : bytes[0];
  SessionInput input = {.server = {.structured_replies = head < 240, .limits = {.option_bytes_max = kOptionBytesMax}}};
  const std::uint32_t no_zeroes = (head & 1) == 0 ? engine::ClientFlag::kNoZeroes : 0U;
  Encode(engine::ClientFlags{.flags = engine::ClientFlag::kFixedNewstyle | no_zeroes}, input.said);
  // Most haggling begins with structured replies, and without them there is not much to haggle about.
  Haggling(bytes.subspan(std::min<std::size_t>(1, bytes.size())), input.said).Write((head & 6) != 0);
  return input;
}

}  // namespace nbdspec::fuzz
