// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/inputs/server_session_input.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

#include "engine/base/byte_reader.h"
#include "engine/base/check.h"
#include "engine/negotiation/negotiated.h"
#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"

namespace nbdspec::fuzz {
namespace {

using engine::Bytes;
using engine::CommandFlag;
using engine::CommandType;
using engine::MakeOption;
using engine::Option;
using engine::OptionData;
using engine::OptionType;
using engine::Pick;
using engine::Request;
using namespace std::string_view_literals;

constexpr std::uint32_t kSmallLimit = 4096;
constexpr std::uint32_t kSmallOptionLimit = 256;

// The names a client may ask for, those of MakeSessionExports first: "" is unaligned and spans two 64 KiB blocks.
constexpr auto kNames =
    std::to_array<std::string_view>({"", "strict", "ro", "bare", "\xc3\xa9mpty", "none", std::string_view("\0", 1)});
constexpr auto kSizes = std::to_array<std::uint64_t>({70'001, 1 << 14, 8192, 3000, 0, 0, 0});

class Conversation {
 public:
  Conversation(engine::ByteView choices, const engine::ServerOptions& server)
      : choices_(choices),
        handshake_flags_(server.handshake_flags),
        offers_extended_(server.structured_replies && server.extended_headers) {}

  Bytes Write() && {
    // More would only slow the run.
    constexpr int kMessagesMax = 64;
    constexpr std::size_t kBytesMax = 1 << 16;
    WriteFlags();
    WriteUsualWayIn(choices_.Byte());
    for (int count = 0; !choices_.empty() && count < kMessagesMax && out_.size() < kBytesMax; ++count) {
      size_ ? WriteRequest() : WriteOption();
    }
    return std::move(out_);
  }

 private:
  void WriteFlags() {
    const std::uint8_t byte = choices_.Byte();
    const auto unusual = Pick<std::uint32_t>(byte, {0, engine::ClientFlag::kFixedNewstyle, 4, 1U << 31});
    Encode(engine::ClientFlags{.flags = byte < 224 ? handshake_flags_ : unusual}, out_);
  }

  // bit 0: STRUCTURED_REPLY; bit 1: SET_META_CONTEXT, bit 2: of all contexts, bit 3: for another export; bit 4: no
  // further; bit 5: in by EXPORT_NAME; bits 6-7: the export. Where extended headers are offered, bit 0 is for them, and
  // with them bit 5 for STRUCTURED_REPLY before.
  void WriteUsualWayIn(std::uint8_t byte) {
    const std::size_t entered = byte >> 6;
    const bool is_extended = offers_extended_ && (byte & 1) != 0;
    if ((byte & 1) != 0 && (!is_extended || (byte & 32) != 0)) {
      Put(MakeOption(OptionType::kStructuredReply));
    }
    if (is_extended) {
      AskForExtendedHeaders();
    }
    if ((byte & 2) != 0) {
      const std::size_t named = (byte & 8) != 0 ? (entered + 1) % kNames.size() : entered;
      const std::uint8_t all = is_extended ? 19 : 3;
      Put(ContextQuery(OptionType::kSetMetaContext, named, (byte & 4) != 0 ? all : 1));
    }
    if ((byte & 16) == 0) {
      (byte & 32) != 0 && !is_extended ? WriteExportName(entered) : WriteInfo(OptionType::kGo, entered, byte >> 1);
    }
  }

  void AskForExtendedHeaders() {
    Put(MakeOption(OptionType::kExtendedHeaders));
    is_extended_ = offers_extended_;
  }

  void WriteOption() {
    const std::uint8_t kind = choices_.Byte();
    const std::size_t name = kind / 16U % kNames.size();
    switch (kind % 16) {
      case 0:
        return WriteInfo(OptionType::kGo, name, choices_.Byte());
      case 1:
        return WriteInfo(OptionType::kInfo, name, choices_.Byte());
      case 2:
        return offers_extended_ && kind % 32 < 16 ? AskForExtendedHeaders()
                                                  : Put(MakeOption(OptionType::kStructuredReply));
      case 3:
      case 4:
        return Put(ContextQuery(OptionType::kSetMetaContext, name, choices_.Byte()));
      case 5:
        return Put(ContextQuery(OptionType::kListMetaContext, name, choices_.Byte()));
      case 6:
        return Put(MakeOption(OptionType::kList));
      case 7:
        return kind < 128 ? WriteExportName(name) : Put(MakeOption(OptionType::kAbort));
      case 8:  // Any option with any short data.
        return Put({.option = choices_.Byte(), .payload = choices_.Take(kind / 16)});
      case 9:  // Data that is cut short, or has a byte too many.
        return WriteBroken(kind, ContextQuery(OptionType::kSetMetaContext, name, choices_.Byte()).payload);
      case 10:
        return Put({.option = 1U + kind / 16U, .payload = Bytes(kSmallOptionLimit + choices_.Byte() - 128U)});
      case 11:  // Just above and just below the longest string.
        return Put(MakeOption(kind < 128 ? OptionType::kInfo : OptionType::kGo,
                              {.export_name = std::string(engine::kStringBytesMax + kind / 16U % 2, 'n')}));
      default:
        return WriteAnyBytes(kind);
    }
  }

  void WriteInfo(std::uint32_t option, std::size_t name, unsigned requests) {
    OptionData data = {.export_name = std::string(kNames[name])};
    for (std::uint16_t type = 0; type < 5; ++type) {
      if ((requests >> type & 1U) != 0) {
        data.requests.push_back(type);
      }
    }
    Put(MakeOption(option, data));
    if (option == OptionType::kGo) {
      Enter(name);
    }
  }

  void WriteExportName(std::size_t name) {
    Put(MakeOption(OptionType::kExportName, {.export_name = std::string(kNames[name])}));
    Enter(name);
  }

  // A client does not know better than that the server will let it in.
  void Enter(std::size_t name) {
    if (name < 5) {
      size_ = kSizes[name];
    }
  }

  [[nodiscard]] Option ContextQuery(std::uint32_t option, std::size_t name, std::uint8_t queries) const {
    constexpr auto kQueries = std::to_array<std::string_view>({engine::kBaseAllocation, engine::kBlockIndexContext,
                                                               "base:", "x-nbdspec:", engine::kBaseAllocation,
                                                               "qemu:allocation-depth", "nocolon", "\xff"});
    OptionData data = {.export_name = std::string(kNames[name])};
    for (std::size_t i = 0; i < kQueries.size(); ++i) {
      if ((queries >> i & 1U) != 0) {
        data.queries.emplace_back(offers_extended_ && i == 4 ? engine::kBlockCountdownContext : kQueries[i]);
      }
    }
    return MakeOption(option, data);
  }

  void WriteBroken(std::uint8_t kind, Bytes payload) {
    const std::uint8_t how = choices_.Byte();
    if (how < 64 || payload.empty()) {
      payload.push_back(how);
    } else if (how < 128) {
      payload.resize(payload.size() - std::min<std::size_t>(payload.size(), how % 8U));
    } else {
      payload[how % payload.size()] = static_cast<std::uint8_t>(payload[how % payload.size()] + how);
    }
    const auto option = Pick<std::uint32_t>(
        kind / 16U, {OptionType::kSetMetaContext, OptionType::kListMetaContext, OptionType::kGo, OptionType::kInfo});
    Put({.option = option, .payload = std::move(payload)});
  }

  void WriteRequest() {
    constexpr auto kCommands = std::to_array<std::uint16_t>(
        {CommandType::kRead, CommandType::kWrite, CommandType::kBlockStatus, CommandType::kWriteZeroes,
         CommandType::kTrim, CommandType::kRead, CommandType::kWrite, CommandType::kBlockStatus, CommandType::kCache,
         CommandType::kFlush, CommandType::kBlockStatus, CommandType::kDisc, CommandType::kResize, 0xffff});
    const std::uint8_t kind = choices_.Byte();
    if (kind % 16U >= kCommands.size()) {
      return WriteAnyBytes(kind);
    }
    Request request = {.type = kCommands[kind % 16U], .cookie = ++cookie_};
    if (kind >= 224) {  // The same cookie again, and large ones.
      request.cookie = std::uint64_t{0} - kind / 16U % 2U;
    }
    if (request.type != CommandType::kFlush || kind >= 192) {
      request.flags = Flags(choices_.Byte());
      request.offset = Offset(choices_.Byte());
      request.length = Length(choices_.Byte(), request.offset);
    }
    if (request.type == CommandType::kWrite) {
      WritePayload(choices_.Byte(), request);
    }
    if (is_extended_) {
      Extend(kind / 16U % 4, request);
    }
    Encode(request, out_);
  }

  // Mostly as a client that keeps to the rules does; `how` else: 1: a BLOCK_STATUS says in a payload which contexts are
  // to answer, 2: a WRITE forgets its payload, 3: others have one that is of no use.
  void Extend(unsigned how, Request& request) {
    request = InForm(engine::HeaderForm::kExtended, std::move(request));
    if (request.type == CommandType::kWrite && how == 2) {
      request.flags &= static_cast<std::uint16_t>(~CommandFlag::kPayloadLen);
      request.payload.clear();
    } else if (request.type == CommandType::kBlockStatus && how == 1) {
      request.flags |= CommandFlag::kPayloadLen;
      request.payload = Query(request.length, choices_.Byte());
      request.length = request.payload.size();
    } else if (request.type != CommandType::kWrite && (how == 3 || request.announces_payload())) {
      request.flags |= CommandFlag::kPayloadLen;
      WritePayload(/*fill=*/7, request);
    }
  }

  // bits 0-2: the first ids that the server can have given; bit 3: the first again; bit 4: one that it has not given;
  // bit 5: ids of a second SET_META_CONTEXT; bit 6: from back to front; bit 7: a byte is missing.
  static Bytes Query(std::uint64_t length, std::uint8_t byte) {
    engine::StatusQuery query = {.length = length};
    for (std::uint32_t bit = 0; bit < 5; ++bit) {
      if ((byte >> bit & 1U) != 0) {
        query.context_ids.push_back(Pick(bit, {1U, 2U, 3U, 1U, 77U}) + ((byte & 32) != 0 ? 3U : 0U));
      }
    }
    if ((byte & 64) != 0) {
      std::ranges::reverse(query.context_ids);
    }
    Bytes payload = EncodePayload(query);
    payload.resize(payload.size() - (byte >> 7));
    return payload;
  }

  static std::uint16_t Flags(std::uint8_t byte) {
    const auto flag = Pick<std::uint16_t>(byte, {0, 0, 0, CommandFlag::kFua, CommandFlag::kNoHole, CommandFlag::kDf,
                                                 CommandFlag::kReqOne, CommandFlag::kFastZero});
    return byte < 224 ? flag : static_cast<std::uint16_t>(1U << byte % 16U);
  }

  [[nodiscard]] std::uint64_t Offset(std::uint8_t byte) const {
    const auto offset =
        Pick<std::uint64_t>(byte, {0, 1, 100, 511, 512, 1000, 1024, 4096, *size_, *size_ - 1, *size_ - 512, *size_ + 1,
                                   (1 << 16) - 1, 1 << 16, std::uint64_t{1} << 32, UINT64_MAX});
    const std::uint64_t nudge = byte % 16U < 8U ? byte / 16U * 512U : 0U;
    return offset + nudge;
  }

  // With extended headers, some lengths are right in their low 32 bits alone.
  [[nodiscard]] std::uint64_t Length(std::uint8_t byte, std::uint64_t offset) const {
    const auto length =
        Pick<std::uint64_t>(byte, {512, 1, 100, 511, 513, 1024, 4096, 0, *size_ - offset, *size_ - offset + 1, *size_,
                                   5000, 1 << 16, (1 << 16) + 1, 1U << 31, UINT32_MAX});
    const std::uint64_t nudge = byte % 16U < 7U ? byte / 16U * 512U : 0U;
    const std::uint64_t high = byte >= 240 ? std::uint64_t{1} << 32 : 0;
    return is_extended_ ? length + nudge + high : static_cast<std::uint32_t>(length + nudge);
  }

  // The payload of a WRITE; when it would be very long it ends with the stream, or sooner.
  static void WritePayload(std::uint8_t fill, Request& request) {
    constexpr std::uint32_t kPayloadBytesMax = 1 << 13;
    if (request.length < 1U << 31) {
      request.length = std::min<std::uint64_t>(request.length, kPayloadBytesMax);
    }
    request.payload.resize(std::min<std::uint64_t>(request.length, kPayloadBytesMax));
    std::uint8_t next = fill;
    std::ranges::generate(request.payload, [&] { return next = static_cast<std::uint8_t>(next * 5U + fill); });
  }

  void WriteAnyBytes(std::uint8_t kind) {
    const Bytes bytes = choices_.Take(kind / 16U);
    out_.insert(out_.end(), bytes.begin(), bytes.end());
  }

  void Put(const Option& option) { Encode(option, out_); }

  engine::ByteReader choices_;
  std::uint16_t handshake_flags_;
  bool offers_extended_;
  bool is_extended_ = false;           // They were agreed on.
  std::optional<std::uint64_t> size_;  // Of the export, once it was asked for: what follows are requests.
  std::uint64_t cookie_ = 0;
  Bytes out_;
};

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

void SetLengthHuge(Bytes& payload, std::size_t at) {
  std::fill_n(payload.begin() + static_cast<std::ptrdiff_t>(at), std::min<std::size_t>(4, payload.size() - at), 0xff);
}

// Makes the payload of `data`, of an option that takes a name, or of one without a payload, malformed.
void Spoil(Bytes& payload, const OptionData& data, bool has_queries, Malformed how) {
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
      payload.resize(kSmallOptionLimit + 1);
      break;
  }
}

class Haggling {
 public:
  Haggling(engine::ByteView choices, const engine::ServerOptions& server, Bytes& said)
      : choices_(choices), offers_extended_(server.structured_replies && server.extended_headers), said_(said) {}

  // After the head. `first` is an option without data, or 0 for none.
  void Write(std::uint32_t first) {
    constexpr int kOptionsMax = 16;
    constexpr int kStatusesMax = 4;
    int options = 0;
    if (first != 0) {
      Encode(MakeOption(first), said_);
      is_extended_ = offers_extended_ && first == OptionType::kExtendedHeaders;
      ++options;
    }
    bool has_ended = false;
    for (; !choices_.empty() && options < kOptionsMax && !has_ended; ++options) {
      has_ended = WriteOption();
    }
    if (!has_ended) {
      Encode(MakeOption(OptionType::kGo, {.export_name = selected_}), said_);
    }
    std::uint64_t cookie = 0;
    do {
      WriteStatus(++cookie);
    } while (!choices_.empty() && cookie < kStatusesMax);
  }

 private:
  // Returns whether it ends the haggling.
  bool WriteOption() {
    const std::uint8_t kind = choices_.Byte();
    auto option = Pick<std::uint32_t>(
        kind,
        {OptionType::kSetMetaContext, OptionType::kSetMetaContext, OptionType::kSetMetaContext,
         OptionType::kSetMetaContext, OptionType::kStructuredReply, OptionType::kGo, OptionType::kListMetaContext,
         OptionType::kListMetaContext, OptionType::kStructuredReply, OptionType::kExtendedHeaders, OptionType::kInfo,
         OptionType::kGo, OptionType::kExportName, OptionType::kList, OptionType::kStarttls, 0});
    auto malformed = kind >> 4 > 8 ? static_cast<Malformed>((kind >> 4) - 8) : Malformed::kNot;  // 7 of 16 are.
    if (option == 0) {
      option = (kind & 16) != 0 ? OptionType::kAbort : choices_.Byte() + 12U;  // The latter is known to nobody.
    }
    const bool is_meta = option == OptionType::kSetMetaContext || option == OptionType::kListMetaContext;
    const bool is_entry = option == OptionType::kInfo || option == OptionType::kGo;
    OptionData data;
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
    Option message = MakeOption(option, data);
    Spoil(message.payload, data, is_meta, malformed);
    Encode(message, said_);
    is_extended_ =
        is_extended_ || (offers_extended_ && option == OptionType::kExtendedHeaders && message.payload.empty());
    const bool is_export = IsExport(data.export_name);
    if (option == OptionType::kSetMetaContext && is_export) {
      selected_ = data.export_name;
    }
    return option == OptionType::kExportName || option == OptionType::kAbort ||
           (option == OptionType::kGo && malformed == Malformed::kNot && is_export);
  }

  std::string ExportName() {
    return std::string(choices_.Choose<std::string_view>(
        {"a", "b", "", "a", "b", kBareExport, "a", "A", "", "a", "nowhere", "a\0"sv, "\xff\xfe", "aa"}));
  }

  std::string Query() {
    const bool is_wide = offers_extended_ && !choices_.empty() && choices_.rest().front() % 20 == 4;
    const auto query = choices_.Choose<std::string_view>({"base:allocation",
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
    return std::string(is_wide ? engine::kBlockCountdownContext : query);
  }

  // At or shortly after the begin of a block.
  void WriteStatus(std::uint64_t cookie) {
    const std::uint8_t byte = choices_.Byte();
    const std::uint32_t offset = (byte & 3U) * kMetaBlockBytes + ((byte & 32) != 0 ? 512 : 0);
    const std::uint32_t length = Pick(byte >> 3U, {1U, 512U, kMetaBlockBytes, 3 * kMetaBlockBytes});
    Encode(Request{.form = is_extended_ ? engine::HeaderForm::kExtended : engine::HeaderForm::kCompact,
                   .flags = (byte & 4) != 0 ? CommandFlag::kReqOne : std::uint16_t{0},
                   .type = CommandType::kBlockStatus,
                   .cookie = cookie,
                   .offset = offset,
                   .length = std::min(length, kMetaBlockCount * kMetaBlockBytes - offset)},
           said_);
  }

  engine::ByteReader choices_;
  bool offers_extended_;
  bool is_extended_ = false;  // They were agreed on.
  Bytes& said_;
  std::string selected_ = "a";
};

}  // namespace

SessionInput ReadSessionInput(engine::ByteView input) {
  constexpr std::uint16_t kBoth = engine::HandshakeFlag::kFixedNewstyle | engine::HandshakeFlag::kNoZeroes;
  engine::ByteReader reader(input);
  const std::uint8_t head = reader.Byte();
  const std::size_t first_piece = 1U + reader.Byte();
  const std::size_t second_piece = 1U + reader.Byte() % 8U;
  const bool is_small = (head & 2) != 0;
  SessionInput read = {
      .server = {.handshake_flags = Pick(head >> 2U, {kBoth, kBoth, engine::HandshakeFlag::kFixedNewstyle,
                                                      engine::HandshakeFlag::kNoZeroes}),
                 .structured_replies = (head >> 4 & 3U) != 3,
                 .extended_headers = (head & 128) != 0},
      .payload_bytes_max = is_small ? kSmallLimit : engine::kPayloadBytesDefaultMax,
      .piece_bytes = {first_piece, second_piece},
      .is_read_slowly = (head & 64) != 0,
  };
  if (is_small) {
    read.server.limits = {.option_bytes_max = kSmallOptionLimit, .write_bytes_max = kSmallLimit};
  }
  if ((head & 1) != 0) {
    read.said = Conversation(reader.rest(), read.server).Write();
  } else {
    read.said.assign(reader.rest().begin(), reader.rest().end());
  }
  return read;
}

std::vector<engine::Export> MakeSessionExports(const SessionInput& input) {
  std::vector<engine::Export> exports;
  const auto add = [&](engine::ExportOptions options) -> engine::Export& {
    const std::size_t index = exports.size();
    options.name = kNames[index];
    options.block_size.maximum = input.payload_bytes_max;
    return exports.emplace_back(std::move(options), engine::Disk(kSizes[index]));
  };
  exports.reserve(5);
  add({.description = "two blocks and a tail"});
  add({.block_size = {.minimum = 512}});
  Bytes contents(3000, 'r');
  NBDSPEC_CHECK(add({.description = "not to be written", .read_only = true}).disk.Write(700, contents).has_value());
  add({.flags = engine::TransmissionFlag::kHasFlags, .base_allocation = false});
  add({});
  return exports;
}

SessionInput ReadMetaContextInput(engine::ByteView bytes) {
  engine::ByteReader reader(bytes);
  const std::uint8_t head = reader.Byte();
  SessionInput input = {.server = {.structured_replies = head < 240,
                                   .extended_headers = (head & 8) != 0,
                                   .limits = {.option_bytes_max = kSmallOptionLimit}}};
  const std::uint32_t no_zeroes = (head & 1) == 0 ? engine::ClientFlag::kNoZeroes : 0U;
  Encode(engine::ClientFlags{.flags = engine::ClientFlag::kFixedNewstyle | no_zeroes}, input.said);
  // Most haggling begins with structured replies, and without them there is not much to haggle about.
  const bool is_extended = input.server.extended_headers && (head & 4) != 0;
  const std::uint32_t first = is_extended       ? OptionType::kExtendedHeaders
                              : (head & 6) != 0 ? OptionType::kStructuredReply
                                                : 0;
  Haggling(reader.rest(), input.server, input.said).Write(first);
  return input;
}

}  // namespace nbdspec::fuzz
