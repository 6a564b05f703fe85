// SPDX-License-Identifier: BSD-3-Clause
// Faults of INFO and GO, and of block sizes: what is advertised, and what is enforced.
#include "engine/faults/fault_tables.h"

namespace nbdspec::engine::faults {

namespace {

// Replies ERR_INVALID to INFO where `is_invalid` holds of the query.
Change CallsInvalid(bool (*is_invalid)(const InfoQuery& query)) {
  return ChangesOptionAnswer(kInfo, [is_invalid](const Option& to, Messages& sent) {
    const auto query = DecodePayload<InfoQuery>(to.payload);
    if (query && is_invalid(*query)) {
      sent = {OptionReply{.option = to.option, .type = kErrInvalid}};
    }
  });
}

// Adds `more` to what refuses the option: at the front, or at the end.
Change AddsToRefusal(std::uint32_t option, const ServerMessage& more, bool at_end) {
  return ChangesOptionAnswer(option, [more, at_end](Messages& sent) {
    if (IsRefused(sent)) {
      sent.insert(at_end ? sent.end() : sent.begin(), more);
    }
  });
}

// The server receives `to` where the client sends `from`, and answers what it was sent.
Change TakesFor(std::uint32_t from, std::uint32_t to) {
  return Both(ChangesOption(from, [to](Option& option) { option.option = to; }),
              ChangesOptionReplies(from, [from](OptionReply& reply) { reply.option = from; }));
}

// Takes what it cannot parse for a question about the default export.
void ParseAnything(Option& option) {
  if (!DecodePayload<InfoQuery>(option.payload)) {
    option.payload = EncodePayload(InfoQuery{});
  }
}

constexpr std::uint32_t kMinimum = 4096;  // The reference server's where it is strict.

Change Advertises(std::uint32_t InfoBlockSize::* field, std::uint32_t bytes) {
  return ChangesInfo<InfoBlockSize>([=](InfoBlockSize& block) { block.*field = bytes; });
}

Change CutsInfo(std::uint32_t option, std::uint16_t info_type, std::size_t bytes) {
  return ChangesInfoBytes(option, info_type, [bytes](Bytes& payload) { payload.resize(bytes); });
}

Change WithholdsBlockSize() { return WithholdsInfo(kAnyOption, InfoType::kBlockSize); }

// Advertises a large export with default limits.
Change ClaimsToBeLarge() {
  return Both(ChangesInfo<InfoExport>([](InfoExport& info) { info.size = 1 << 26; }), WithholdsBlockSize());
}

// Replies BLOCK_SIZE_REQD to GO, after what comes before the ACK if `informs`, and to clients that ask for block sizes
// only if `always`.
Change RequiresBlockSize(bool informs, bool always) {
  return ChangesOptionAnswer(kGo, [informs, always](const Option& to, Messages& sent) {
    const auto query = DecodePayload<InfoQuery>(to.payload);
    if (query && (always || std::ranges::count(query->requests, InfoType::kBlockSize) == 0)) {
      sent.erase(informs ? sent.end() - 1 : sent.begin(), sent.end());
      sent.emplace_back(OptionReply{.option = to.option, .type = OptionReplyType::kErrBlockSizeReqd});
    }
  });
}

// Zeroes the whole block that an unaligned WRITE is in, and refuses it.
Change ZeroesBlockAndRefuses() {
  return Both(ChangesRequest(kWrite,
                             [](Request& request) {
                               if (IsUnaligned(request, kMinimum)) {
                                 request.offset = request.offset / kMinimum * kMinimum;
                                 request.length = kMinimum;
                                 request.payload.assign(kMinimum, 0);
                               }
                             }),
              Fails(kWrite, kEinval, OnUnaligned(kMinimum)));
}

// Advertises 1 MiB as the maximum payload, and disconnects on a longer request.
Change DisconnectsAbove1MiB(std::uint16_t command) {
  return Both(Advertises(&InfoBlockSize::maximum, kMiB), Disconnects(command, OnLonger(kMiB)));
}

}  // namespace

std::vector<Fault> InfoFaults() {
  const OptionReply information{
      .option = kInfo, .type = OptionReplyType::kInfo, .payload = EncodePayload(InfoExport{.flags = 1})};
  return {
      {"server_parses_any_query",
       By(kOptionInfoSyntaxInvalid, kSub<kOptionInfoSyntaxInvalid, "count">, kSub<kOptionInfoSyntaxInvalid, "short">),
       ChangesOption(kInfo, ParseAnything)},
      {"server_refuses_unknown_request", kOptionInfoIgnoreUnknownRequest,
       CallsInvalid([](const InfoQuery& query) { return std::ranges::count(query.requests, 0xfffe) > 0; })},
      {"server_calls_empty_name_invalid", kOptionInfoEmptyNameDefault,
       CallsInvalid([](const InfoQuery& query) { return query.name.empty(); })},
      {"server_calls_unknown_name_invalid", By(kOptionInfoUnknownExport, Session(kError, 3500), Contexts(kError, 150)),
       ReplacesReply(kAnyOption, kErrUnknown, kErrInvalid)},
      {"server_closes_on_info_for_unknown_name", kOptionInfoUnknownExport,
       AddsToRefusal(kInfo, HardDisconnect{}, /*at_end=*/false)},
      {"server_informs_about_unknown_export", kOptionInfoUnknownNoInfo,
       AddsToRefusal(kInfo, information, /*at_end=*/false)},
      {"server_does_not_know_info", kBaselineInfoGoServer, RepliesWith(kInfo, kErrUnsup)},
      {"server_does_not_know_go", kSub<kBaselineInfoGoServer, "go">, RepliesWith(kGo, kErrUnsup)},
      {"server_takes_info_for_go", kOptionInfoStaysInHaggling, TakesFor(kInfo, kGo)},
      {"server_takes_go_for_info", kOptionGoEntersTransmission, TakesFor(kGo, kInfo)},
      {"server_pads_after_go", kOptionGoNoPad,
       ChangesOptionAnswer(kGo,
                           [](Messages& sent) { sent.emplace_back(RawBytes{.bytes = Bytes(kExportNamePadBytes)}); })},
      {"server_closes_after_refused_go", kOptionGoErrorStaysInHaggling,
       AddsToRefusal(kGo, HardDisconnect{}, /*at_end=*/true)},
      {"server_withholds_info_export", By(kOptionInfoAckNeedsExport, kSub<kOptionInfoAckNeedsExport, "go">),
       WithholdsInfo(kAnyOption, InfoType::kExport)},
      {"server_goes_with_other_size", kOptionGoSameAsInfo,
       ChangesInfoBytes(kGo, InfoType::kExport, [](Bytes& payload) { payload[6] ^= 1; })},
      {"server_goes_with_other_flags", kOptionGoSameAsInfo,
       ChangesInfoBytes(kGo, InfoType::kExport, [](Bytes& payload) { payload[11] ^= TransmissionFlag::kSendFua; })},
      {"server_goes_without_name", kOptionGoSameAsInfo, WithholdsInfo(kGo, InfoType::kName)},
      {"server_informs_twice", kRepInfoOnce, RepeatsFirst(kInfo)},
      {"server_acknowledges_repeated_requests_twice", kSub<kOptionReplyForEveryOption, "request-twice">,
       ChangesOptionAnswer(kInfo,
                           [](const Option& to, Messages& sent) {
                             const auto query = DecodePayload<InfoQuery>(to.payload);
                             if (query && query->requests.size() > 3) {
                               sent.push_back(sent.back());
                             }
                           })},
      {"server_sends_longer_info_export", kRepInfoExportLength,
       ChangesInfoBytes(kGo, InfoType::kExport, [](Bytes& payload) { payload.push_back(0); })},
      {"server_sends_shorter_info_export", kRepInfoExportLength, CutsInfo(kGo, InfoType::kExport, 10)},
      {"server_sends_name_without_type", kRepInfoNameLength, CutsInfo(kGo, InfoType::kName, 1)},
      {"server_sends_description_without_type", kRepInfoDescriptionLength, CutsInfo(kGo, InfoType::kDescription, 0)},
      {"server_sends_two_block_sizes", kRepInfoBlockSizeLength, CutsInfo(kGo, InfoType::kBlockSize, 10)},
      {"server_names_what_it_does_not_list", kRepInfoNameMatchesList,
       ChangesInfoBytes(kInfo, InfoType::kName, [](Bytes& payload) { payload.push_back('x'); })},
      {"server_describes_in_two_ways", kRepInfoDescriptionMatchesList,
       ChangesOptionReplies(
           kList, OptionReplyType::kServer,
           [](OptionReply& reply) { reply.payload.insert(reply.payload.end(), {'d', 'i', 's', 'k'}); })},
      {"server_offers_df_without_structured_replies",
       By(kEflagsDfClearWithoutStructured, kOptionStructuredReplyNoEarlyAdvertise, Session(kLost, 150)),
       ChangesFlags(TransmissionFlag::kSendDf)},
      {"server_clears_has_flags", kEflagsHasFlags, ChangesFlags(0, TransmissionFlag::kHasFlags)},
      {"server_offers_fast_zero_alone", kEflagsFastZeroNeedsWriteZeroes,
       ChangesFlags(0, TransmissionFlag::kSendWriteZeroes)},
      {"server_offers_no_fua", kInteropFlushFuaServer, ChangesFlags(0, TransmissionFlag::kSendFua)},
      {"server_offers_no_flush", kInteropFlushFuaServer, ChangesFlags(0, TransmissionFlag::kSendFlush)},
      {"server_closes_on_unaligned_request",
       By(kBlockSizeServerCleanError, kSub<kBlockSizeServerCleanError, "write">, kOptionInfoUnsolicitedNoAssumption),
       Disconnects(kAnyCommand, OnUnaligned(kMinimum))},
      {"server_reads_wrong_byte_unaligned", kBlockSizeServerCleanError,
       Answers(kRead, OnUnaligned(kMinimum),
               [](const Request& to) { return SimpleReply{.cookie = to.cookie, .data = {0xee}}; })},
      {"server_zeroes_block_of_refused_write", kBlockSizeServerNoCorruption, ZeroesBlockAndRefuses()},
      {"server_fails_unaligned_request_by_eio",
       By(kBlockSizeServerUnalignedEinval, kSub<kBlockSizeServerUnalignedEinval, "block-status">),
       Fails(kAnyCommand, kEio, OnUnaligned(kMinimum))},
      {"server_takes_unaligned_write", kSub<kBlockSizeServerUnalignedEinval, "write">,
       Fails(kWrite, kOk, OnUnaligned(kMinimum))},
      {"server_closes_on_large_write", kBlockSizeDosNotUnder32mServer, DisconnectsAbove1MiB(kWrite)},
      {"server_closes_on_large_cache", kBlockSizeServerEffectNoDisconnect, DisconnectsAbove1MiB(kCache)},
      {"server_closes_on_large_trim", kBlockSizeServerEffectNoDisconnect, DisconnectsAbove1MiB(kTrim)},
      {"server_closes_on_large_write_zeroes", kBlockSizeServerEffectNoDisconnect, DisconnectsAbove1MiB(kWriteZeroes)},
      {"server_requires_block_size_of_who_asks", kOptionInfoBsreqNotIfAsked,
       RequiresBlockSize(/*informs=*/true, /*always=*/true)},
      {"server_requires_block_size",
       By(kOptionInfoBsreqNotDefault, kBlockSizeServerNoNeedlessRefusal, kInteropBlockSizeServerNotRequired),
       RequiresBlockSize(/*informs=*/true, /*always=*/false)},
      {"server_requires_block_size_without_information", kOptionInfoBsreqInfoFirst,
       RequiresBlockSize(/*informs=*/false, /*always=*/false)},
      {"server_withholds_block_size",
       By(kBlockSizeServerAdvertise, kBlockSizeServerAdvertiseUnlessOob, kRepInfoBlockSizeRequired,
          Session(kLost, 100)),
       WithholdsBlockSize()},
      {"server_has_unadvertised_minimum_512", kBlockSizeDefaultMin1,
       Both(WithholdsBlockSize(), FailsSimply(kAnyCommand, kEinval, OnUnaligned(512)))},
      {"server_refuses_32m", kBlockSizeDefaultMax32m, ClaimsToBeLarge()},
      {"server_closes_on_32m", kBlockSizeDefaultMax32m,
       Both(ClaimsToBeLarge(), Disconnects(kAnyCommand, OnLonger(1 << 24)))},
      {"server_advertises_minimum_0", kBlockSizeMinPowerOf2, Advertises(&InfoBlockSize::minimum, 0)},
      {"server_advertises_minimum_3", kBlockSizeMinPowerOf2, Advertises(&InfoBlockSize::minimum, 3)},
      {"server_advertises_odd_strict_minimum", kSub<kBlockSizeMinPowerOf2, "strict">,
       ChangesInfo<InfoBlockSize>([](InfoBlockSize& block) { block.minimum += 512; })},
      {"server_advertises_minimum_131072", kBlockSizeMinCap65536, Advertises(&InfoBlockSize::minimum, 131072)},
      {"server_has_part_of_a_block", kBlockSizeExportSizeMultipleOfMin,
       ChangesInfo<InfoExport>([](InfoExport& info) { info.size -= 512; })},
      {"server_prefers_3000", kBlockSizePreferredPowerOf2, Advertises(&InfoBlockSize::preferred, 3000)},
      {"server_prefers_256", kBlockSizePreferredFloor, Advertises(&InfoBlockSize::preferred, 256)},
      {"server_prefers_less_than_minimum", kSub<kBlockSizePreferredFloor, "strict">,
       ChangesInfo<InfoBlockSize>([](InfoBlockSize& block) { block.preferred = block.minimum / 2; })},
      {"server_has_maximum_below_preferred", kBlockSizeMaxFloorPreferred,
       ChangesInfo<InfoBlockSize>([](InfoBlockSize& block) { block.maximum = block.preferred - 1; })},
      {"server_has_64k_as_maximum", kBlockSizeMaxFloor1m, Advertises(&InfoBlockSize::maximum, 1 << 16)},
      {"server_sends_more_than_its_maximum_payload", kStructuredChunkMaxPayload,
       Advertises(&InfoBlockSize::maximum, 4096)},
  };
}

}  // namespace nbdspec::engine::faults
