// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/inputs/meta_context_input.h"

#include <algorithm>
#include <array>

#include "engine/base/byte_reader.h"
#include "engine/base/quoted.h"
#include "engine/wire/payloads.h"

namespace nbdspec::fuzz {
namespace {

using engine::OptionType;
using namespace std::string_view_literals;

constexpr std::size_t kOptionsMax = 16;
constexpr std::size_t kStatusesMax = 4;

class Reader : public engine::ByteReader {
 public:
  using ByteReader::ByteReader;

  OptionStep Option() {
    constexpr auto kOptions = std::to_array<std::uint32_t>(
        {OptionType::kSetMetaContext, OptionType::kSetMetaContext, OptionType::kSetMetaContext,
         OptionType::kSetMetaContext, OptionType::kStructuredReply, OptionType::kGo, OptionType::kListMetaContext,
         OptionType::kListMetaContext, OptionType::kStructuredReply, OptionType::kExtendedHeaders, OptionType::kInfo,
         OptionType::kGo, OptionType::kExportName, OptionType::kList, OptionType::kStarttls, 0});
    const std::uint8_t kind = Byte();
    OptionStep step = {.option = kOptions[kind % kOptions.size()]};
    const std::uint8_t malformed = kind >> 4;  // Seven of sixteen are.
    step.malformed = malformed > 8 ? static_cast<Malformed>(malformed - 8) : Malformed::kNot;
    if (step.option == 0) {
      step.option = (kind & 16) != 0 ? OptionType::kAbort : Byte() + 12U;  // The latter is known to nobody.
    }
    const bool is_meta = step.option == OptionType::kSetMetaContext || step.option == OptionType::kListMetaContext;
    const bool is_entry = step.option == OptionType::kInfo || step.option == OptionType::kGo;
    if (is_meta || is_entry || step.option == OptionType::kExportName) {
      step.export_name = ExportName();
    } else if (step.malformed != Malformed::kNot && step.malformed != Malformed::kTooLong) {
      step.malformed = Malformed::kTrailingByte;  // Others have no payload.
    }
    if (step.option == OptionType::kExportName) {
      step.malformed =
          step.malformed == Malformed::kTooLong ? step.malformed : Malformed::kNot;  // Any bytes are a name.
    } else if (is_meta) {
      for (unsigned count = Byte() % 4U; count > 0; --count) {
        step.queries.push_back(Query());
      }
    }
    return step;
  }

  StatusStep Status() {
    constexpr auto kLengths = std::to_array<std::uint32_t>({1, 512, kMetaBlockBytes, 3 * kMetaBlockBytes});
    const std::uint8_t byte = Byte();
    StatusStep step = {.offset = (byte & 3U) * kMetaBlockBytes, .req_one = (byte & 4) != 0};
    step.offset += (byte & 32) != 0 ? 512 : 0;
    step.length = std::min(kLengths[byte >> 3 & 3U], kMetaBlockCount * kMetaBlockBytes - step.offset);
    return step;
  }

 private:
  std::string ExportName() {
    constexpr auto kNames = std::to_array<std::string_view>(
        {"a", "b", "", "a", "b", kBareExport, "a", "A", "", "a", "nowhere", "a\0"sv, "\xff\xfe", "aa"});
    return std::string(kNames[Byte() % kNames.size()]);
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
    return std::string(kQueries[Byte() % kQueries.size()]);
  }
};

void SetLength(engine::Bytes& payload, std::size_t at, std::uint32_t length) {
  for (int shift = 24; shift >= 0 && at < payload.size(); shift -= 8) {
    payload[at++] = static_cast<std::uint8_t>(length >> shift);
  }
}

bool IsExport(std::string_view name) { return name == kBareExport || std::ranges::count(kMetaExports, name) > 0; }

// By transmission or disconnection.
bool EndsHaggling(const OptionStep& step) {
  return step.option == OptionType::kExportName || step.option == OptionType::kAbort ||
         (step.option == OptionType::kGo && step.malformed == Malformed::kNot && IsExport(step.export_name));
}

}  // namespace

MetaContextInput ReadMetaContextInput(engine::ByteView bytes) {
  Reader reader(bytes);
  const std::uint8_t head = reader.Byte();
  MetaContextInput input = {.is_offered = head < 240, .no_zeroes = (head & 1) == 0};
  // Most haggling begins with it, and without it there is not much to haggle about.
  if ((head & 6) != 0) {
    input.options.push_back({.option = OptionType::kStructuredReply});
  }
  std::string name = "a";
  while (!reader.empty() && input.options.size() < kOptionsMax) {
    input.options.push_back(reader.Option());
    const OptionStep& step = input.options.back();
    if (step.option == OptionType::kSetMetaContext && IsExport(step.export_name)) {
      name = step.export_name;
    }
    if (EndsHaggling(step)) {
      break;
    }
  }
  if (input.options.empty() || !EndsHaggling(input.options.back())) {
    input.options.push_back({.option = OptionType::kGo, .export_name = name});
  }
  do {
    input.statuses.push_back(reader.Status());
  } while (!reader.empty() && input.statuses.size() < kStatusesMax);
  return input;
}

engine::Option ToOption(const OptionStep& step) {
  const bool is_meta = step.option == OptionType::kSetMetaContext || step.option == OptionType::kListMetaContext;
  const bool is_entry = step.option == OptionType::kInfo || step.option == OptionType::kGo;
  engine::Option option = {.option = step.option};
  engine::Bytes& payload = option.payload;
  if (is_meta) {
    payload = EncodePayload(engine::MetaContextQuery{.export_name = step.export_name, .queries = step.queries});
  } else if (is_entry) {
    payload = EncodePayload(engine::InfoQuery{.name = step.export_name});
  } else if (step.option == OptionType::kExportName) {
    payload.assign(step.export_name.begin(), step.export_name.end());
  }
  switch (step.malformed) {
    case Malformed::kNot:
      break;
    case Malformed::kQueryLengthHuge:
      if (!step.queries.empty()) {
        SetLength(payload, payload.size() - step.queries.back().size() - 4, UINT32_MAX);
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
      payload[4 + step.export_name.size() + (is_meta ? 3 : 1)] += 1;
      break;
    case Malformed::kNameLengthHuge:
      SetLength(payload, 0, UINT32_MAX);
      break;
    case Malformed::kEmpty:
      payload.clear();
      break;
    case Malformed::kTooLong:
      payload.resize(kMetaOptionBytesMax + 1);
      break;
  }
  return option;
}

std::string Print(const OptionStep& step) {
  std::string text = engine::Describe(engine::ClientMessage(ToOption(step))) + " " + engine::Quoted(step.export_name);
  for (const std::string& query : step.queries) {
    text += " " + engine::Quoted(query);
  }
  return text + (step.malformed == Malformed::kNot ? "" : ", malformed");
}

}  // namespace nbdspec::fuzz
