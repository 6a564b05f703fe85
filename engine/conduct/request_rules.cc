// SPDX-License-Identifier: BSD-3-Clause
// The rules about a client's requests.
#include <algorithm>
#include <limits>
#include <string>
#include <string_view>

#include "engine/conduct/rule_words.h"
#include "engine/wire/payloads.h"

namespace nbdspec::engine {

namespace {

constexpr std::uint64_t kSectorBytes = 512;  // block-size.default.client-512
constexpr std::string_view kNoRequest = "the client sent no such request";

bool IsExtended(const Moment& moment) { return moment.state.headers == HeaderForm::kExtended; }
bool HasFlag(const Request& request, std::uint16_t flag) { return (request.flags & flag) != 0; }
bool IsAny(const Moment& moment) { return moment.request != nullptr; }
bool IsData(const Moment& moment) { return moment.Is(CommandType::kRead) || moment.Is(CommandType::kWrite); }
bool IsOfRange(const Moment& moment) {
  return IsAny(moment) && !moment.Is(CommandType::kFlush) && !moment.Is(CommandType::kDisc);
}

bool IsStatus(const Moment& moment) { return moment.Is(CommandType::kBlockStatus); }
bool HasQuery(const Moment& moment) {
  return IsStatus(moment) && IsExtended(moment) && HasFlag(*moment.request, CommandFlag::kPayloadLen);
}

// The bytes that a request is about, whatever its form says them in.
RequestHead HeadOf(const Moment& moment) { return RequestHead::Of(*moment.request); }

// What must be so of each request that `is_such`.
template <typename Holds>
Ruling Each(const Moment& moment, bool is_such, Holds holds, std::string_view expected) {
  return is_such ? Require(holds(*moment.request), expected, *moment.request) : NotAsked(kNoRequest);
}

// A command that needs a transmission flag. Whoever has no need of it keeps the rule.
template <std::uint16_t command, std::uint16_t offered_by>
Ruling Gated(const Moment& moment) {
  return Each(
      moment, moment.Is(command), [&](auto&) { return moment.Has(offered_by); },
      "no command that the transmission flags do not offer");
}

template <std::uint16_t command>
Ruling NotEmpty(const Moment& moment) {
  // A payload that cannot be taken apart says no length, and is another rule's.
  const bool says_length = moment.Is(command) && (!HasQuery(moment) || HeadOf(moment).context_ids);
  return Each(moment, says_length, [&](auto&) { return HeadOf(moment).length > 0; }, "a length above 0");
}

template <std::uint16_t command>
Ruling ZeroFields(const Moment& moment) {
  return Each(
      moment, moment.Is(command), [](const Request& request) { return request.offset == 0 && request.length == 0; },
      "offset 0 and length 0");
}

// A command flag that needs a transmission flag.
Ruling FlagGated(const Moment& moment, std::uint16_t flag, std::uint16_t offered_by) {
  return Each(
      moment, IsAny(moment) && HasFlag(*moment.request, flag), [&](auto&) { return moment.Has(offered_by); },
      "no flag that the transmission flags do not offer");
}

// cache.client-unadvertised: CACHE, without a flag, is sent to anybody.
Ruling JudgeFeatures(const Moment& moment) {
  const bool is_cache = moment.Is(CommandType::kCache) && moment.request->flags == 0;
  return Each(
      moment, IsAny(moment) && !is_cache,
      [&](auto&) { return !moment.legality.Has(Reason::kNotOffered) && !moment.legality.Has(Reason::kFlagNotOffered); },
      "no feature that the transmission flags do not offer");
}

Ruling JudgeCookie(const Moment& moment) {
  return Each(
      moment, IsAny(moment) && !moment.outstanding.empty(),
      [&](const Request& request) { return !moment.outstanding.contains(request.cookie); },
      "a cookie that no other outstanding request has");
}

// --- Sizes ---

bool KnowsBlockSize(const Moment& moment) {
  const AskedOption* go = moment.LastAsked(OptionType::kGo);
  const auto query = go != nullptr ? DecodePayload<InfoQuery>(go->option.payload) : std::nullopt;
  return moment.state.has_block_size && query && std::ranges::count(query->requests, InfoType::kBlockSize) > 0;
}

bool IsAligned(const RequestHead& head, std::uint64_t to) { return head.offset % to == 0 && head.length % to == 0; }

// A request at the end of an export whose size is no multiple has no choice.
bool IsAlignedButForTheEnd(const Moment& moment, std::uint64_t to) {
  const RequestHead head = HeadOf(moment);
  return head.offset % to == 0 && (head.length % to == 0 || head.range().end == moment.state.info.size);
}

Ruling JudgeAbides(const Moment& moment) {
  return Each(
      moment, IsOfRange(moment) && KnowsBlockSize(moment),
      [&](auto&) { return !moment.legality.Has(Reason::kMisaligned) && !moment.legality.Has(Reason::kTooLong); },
      "the block sizes that the client asked for, and was sent");
}

Ruling JudgeAligned(const Moment& moment) {
  return Each(
      moment, IsOfRange(moment) && moment.state.has_block_size,
      [&](auto&) { return IsAligned(HeadOf(moment), std::max(1U, moment.state.block_size.minimum)); },
      "multiples of the minimum block size");
}

Ruling JudgeSectors(const Moment& moment) {
  return Each(
      moment, IsOfRange(moment) && !moment.state.has_block_size,
      [&](auto&) { return IsAlignedButForTheEnd(moment, kSectorBytes); },
      "multiples of 512 bytes, where nothing is known of block sizes");
}

Ruling JudgeDefaultMaximum(const Moment& moment) {
  return Each(
      moment, IsData(moment) && !moment.state.has_block_size,
      [&](auto&) { return HeadOf(moment).length <= kPayloadBytesDefaultMax; },
      "at most 32 MiB, where nothing is known of block sizes");
}

Ruling JudgeCap(const Moment& moment, bool is_such) {
  return Each(
      moment, is_such, [&](auto&) { return HeadOf(moment).length <= moment.state.block_size.maximum; },
      "at most the maximum payload");
}

Ruling JudgeBounds(const Moment& moment) {
  return Each(
      moment, IsOfRange(moment), [&](auto&) { return !moment.legality.Has(Reason::kPastEnd); },
      "a range inside of the export");
}

// --- Contexts ---

Ruling JudgeHasContext(const Moment& moment) {
  const AskedOption* set = moment.LastAsked(OptionType::kSetMetaContext);
  return Each(
      moment, IsStatus(moment),
      [&](auto&) {
        return set != nullptr && set->is_acknowledged() &&
               std::ranges::count(set->replies, OptionReplyType::kMetaContext, &OptionReply::type) > 0;
      },
      "a context that the last NBD_OPT_SET_META_CONTEXT selected");
}

Ruling JudgeSameExport(const Moment& moment) {
  const AskedOption* set = moment.LastAsked(OptionType::kSetMetaContext);
  const auto query = set != nullptr ? DecodePayload<MetaContextQuery>(set->option.payload) : std::nullopt;
  return Each(
      moment, IsStatus(moment) && query, [&](auto&) { return query->export_name == moment.state.export_name; },
      "the export that NBD_OPT_SET_META_CONTEXT named");
}

Ruling JudgeNoStarttlsBetween(const Moment& moment) {
  const AskedOption* set = moment.LastAsked(OptionType::kSetMetaContext);
  return Each(
      moment, IsStatus(moment) && moment.state.tls && set != nullptr, [&](auto&) { return set->is_in_tls; },
      "NBD_OPT_SET_META_CONTEXT again after NBD_OPT_STARTTLS");
}

// --- Flags ---

Ruling JudgeDocumented(const Moment& moment) {
  return Each(
      moment, IsAny(moment),
      [&](auto&) {
        return !moment.legality.Has(Reason::kUnknownFlag) && !moment.legality.Has(Reason::kInapplicableFlag);
      },
      "flags that belong to the command");
}

Ruling JudgeFuaOfWrites(const Moment& moment) {
  return Each(
      moment, IsAny(moment) && HasFlag(*moment.request, CommandFlag::kFua),
      [](const Request& request) { return Changes(request.type); }, "FUA on commands that can write");
}

// --- Extended headers ---

Ruling JudgeCompactPayloadLen(const Moment& moment) {
  return Each(
      moment, IsAny(moment) && !IsExtended(moment),
      [](const Request& request) { return !HasFlag(request, CommandFlag::kPayloadLen); },
      "no PAYLOAD_LEN without extended headers");
}

Ruling JudgeWritePayloadLen(const Moment& moment) {
  return Each(
      moment, moment.Is(CommandType::kWrite) && IsExtended(moment),
      [](const Request& request) { return HasFlag(request, CommandFlag::kPayloadLen); }, "WRITE with PAYLOAD_LEN");
}

Ruling JudgePayloadLength(const Moment& moment) {
  return Each(
      moment, IsAny(moment) && IsExtended(moment) && HasFlag(*moment.request, CommandFlag::kPayloadLen),
      [](const Request& request) { return request.length > 0; }, "a payload of some length with PAYLOAD_LEN");
}

Ruling JudgeReadLength(const Moment& moment) {
  return Each(
      moment, moment.Is(CommandType::kRead) && IsExtended(moment),
      [](const Request& request) { return request.length <= std::numeric_limits<std::uint32_t>::max(); },
      "a READ of less than 4 GiB");
}

const ClientRule kRules[] = {
    {kTransmissionCookieClientUnique, JudgeCookie},
    {kBlockSizeClientAbide, JudgeAbides},
    {kBlockSizeDefaultClient512, JudgeSectors},
    {kBlockSizeDefaultClient32m, JudgeDefaultMaximum},
    {kBlockSizeClientWriteCap, [](auto& m) { return JudgeCap(m, m.Is(CommandType::kWrite)); }},
    {kBlockSizeClientReadCapSimple,
     [](auto& m) { return JudgeCap(m, m.Is(CommandType::kRead) && !m.state.structured_replies); }},
    {kBlockSizeClientAlign, JudgeAligned},
    {kTransmissionBoundsClient, JudgeBounds},
    {kBlockStatusClientNeedsContext, JudgeHasContext},
    {kBlockStatusClientSameExport, JudgeSameExport},
    {kEflagsClientGated, JudgeFeatures},
    {kEflagsDfClientGated, [](auto& m) { return FlagGated(m, CommandFlag::kDf, TransmissionFlag::kSendDf); }},
    {kEflagsFastZeroClientGated,
     [](auto& m) { return FlagGated(m, CommandFlag::kFastZero, TransmissionFlag::kSendFastZero); }},
    {kBlockStatusClientNoStarttlsBetween, JudgeNoStarttlsBetween},
    {kCmdflagClientDocumentedOnly, JudgeDocumented},
    {kCmdflagFuaClientWritesOnly, JudgeFuaOfWrites},
    {kTransmissionReadClientZero, NotEmpty<CommandType::kRead>},
    {kTransmissionWriteClientZero, NotEmpty<CommandType::kWrite>},
    {kDiscClientZeroFields, ZeroFields<CommandType::kDisc>},
    {kFlushClientGated, Gated<CommandType::kFlush, TransmissionFlag::kSendFlush>},
    {kFlushClientZeroFields, ZeroFields<CommandType::kFlush>},
    {kTrimClientZero, NotEmpty<CommandType::kTrim>},
    {kTrimClientGated, Gated<CommandType::kTrim, TransmissionFlag::kSendTrim>},
    {kWriteZeroesClientZero, NotEmpty<CommandType::kWriteZeroes>},
    {kWriteZeroesClientGated, Gated<CommandType::kWriteZeroes, TransmissionFlag::kSendWriteZeroes>},
    {kBlockStatusClientZeroLength, NotEmpty<CommandType::kBlockStatus>},
    {kExtCompactClientNoPayloadLen, JudgeCompactPayloadLen},
    {kExtRequestWritePayloadLen, JudgeWritePayloadLen},
    {kExtEflagsBlockStatusPayloadClient,
     [](auto& m) {
       return Each(
           m, HasQuery(m), [&](auto&) { return m.Has(TransmissionFlag::kBlockStatusPayload); },
           "no payload of NBD_CMD_BLOCK_STATUS unless the transmission flags offer it");
     }},
    {kExtPayloadLenNonzero, JudgePayloadLength},
    {kExtReadClient32bit, JudgeReadLength},
    {kExtBlockStatusPayloadSize,
     [](auto& m) {
       return Each(
           m, HasQuery(m),
           [](const Request& request) { return request.too_long || (request.length >= 8 && request.length % 4 == 0); },
           "a payload of 8 bytes and 4 for each context");
     }},
};

}  // namespace

std::span<const ClientRule> RequestRules() { return kRules; }

}  // namespace nbdspec::engine
