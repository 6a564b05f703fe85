// SPDX-License-Identifier: BSD-3-Clause
// Faults of INFO and GO.
#include <algorithm>

#include "engine/faults/fault_tables.h"
#include "engine/faults/option_changes.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine::faults {

namespace {

constexpr std::uint32_t kInfo = OptionType::kInfo;
constexpr std::uint32_t kGo = OptionType::kGo;

// Replies ERR_INVALID to INFO where `is_invalid` holds of the query.
Change CallsInvalid(bool (*is_invalid)(const InfoQuery& query)) {
  return ChangesOptionAnswer(kInfo, [is_invalid](const Option& to, Messages& sent) {
    const auto query = DecodePayload<InfoQuery>(to.payload);
    if (query && is_invalid(*query)) {
      sent = {OptionReply{.option = to.option, .type = OptionReplyType::kErrInvalid}};
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

}  // namespace

std::vector<Fault> InfoQueryFaults() {
  const OptionReply information{
      .option = kInfo, .type = OptionReplyType::kInfo, .payload = EncodePayload(InfoExport{.flags = 1})};
  return {
      {"server_parses_any_query",
       By(spec::kOptionInfoSyntaxInvalid, spec::kSub<spec::kOptionInfoSyntaxInvalid, "count">,
          spec::kSub<spec::kOptionInfoSyntaxInvalid, "short">),
       ChangesOption(kInfo, ParseAnything)},
      {"server_refuses_unknown_request", spec::kOptionInfoIgnoreUnknownRequest,
       CallsInvalid([](const InfoQuery& query) { return std::ranges::count(query.requests, 0xfffe) > 0; })},
      {"server_calls_empty_name_invalid", spec::kOptionInfoEmptyNameDefault,
       CallsInvalid([](const InfoQuery& query) { return query.name.empty(); })},
      {"server_calls_unknown_name_invalid",
       By(spec::kOptionInfoUnknownExport, Session(Family::kError, 3500), Contexts(Family::kError, 150)),
       ReplacesReply(kAnyOption, OptionReplyType::kErrUnknown, OptionReplyType::kErrInvalid)},
      {"server_closes_on_info_for_unknown_name", spec::kOptionInfoUnknownExport,
       AddsToRefusal(kInfo, HardDisconnect{}, /*at_end=*/false)},
      {"server_informs_about_unknown_export", spec::kOptionInfoUnknownNoInfo,
       AddsToRefusal(kInfo, information, /*at_end=*/false)},
      {"server_does_not_know_info", spec::kBaselineInfoGoServer, RepliesWith(kInfo, OptionReplyType::kErrUnsup)},
      {"server_does_not_know_go", spec::kSub<spec::kBaselineInfoGoServer, "go">,
       RepliesWith(kGo, OptionReplyType::kErrUnsup)},
      {"server_takes_info_for_go", spec::kOptionInfoStaysInHaggling, TakesFor(kInfo, kGo)},
      {"server_takes_go_for_info", spec::kOptionGoEntersTransmission, TakesFor(kGo, kInfo)},
      {"server_pads_after_go", spec::kOptionGoNoPad,
       ChangesOptionAnswer(kGo,
                           [](Messages& sent) { sent.emplace_back(RawBytes{.bytes = Bytes(kExportNamePadBytes)}); })},
      {"server_closes_after_refused_go", spec::kOptionGoErrorStaysInHaggling,
       AddsToRefusal(kGo, HardDisconnect{}, /*at_end=*/true)},
  };
}

std::vector<Fault> InformationFaults() {
  return {
      {"server_withholds_info_export",
       By(spec::kOptionInfoAckNeedsExport, spec::kSub<spec::kOptionInfoAckNeedsExport, "go">),
       WithholdsInfo(kAnyOption, InfoType::kExport)},
      {"server_goes_with_other_size", spec::kOptionGoSameAsInfo,
       ChangesInfoBytes(kGo, InfoType::kExport, [](Bytes& payload) { payload[6] ^= 1; })},
      {"server_goes_with_other_flags", spec::kOptionGoSameAsInfo,
       ChangesInfoBytes(kGo, InfoType::kExport, [](Bytes& payload) { payload[11] ^= TransmissionFlag::kSendFua; })},
      {"server_goes_without_name", spec::kOptionGoSameAsInfo, WithholdsInfo(kGo, InfoType::kName)},
      {"server_informs_twice", spec::kRepInfoOnce, RepeatsFirst(kInfo)},
      {"server_sends_longer_info_export", spec::kRepInfoExportLength,
       ChangesInfoBytes(kGo, InfoType::kExport, [](Bytes& payload) { payload.push_back(0); })},
      {"server_sends_shorter_info_export", spec::kRepInfoExportLength,
       ChangesInfoBytes(kGo, InfoType::kExport, [](Bytes& payload) { payload.resize(10); })},
      {"server_sends_name_without_type", spec::kRepInfoNameLength,
       ChangesInfoBytes(kGo, InfoType::kName, [](Bytes& payload) { payload.resize(1); })},
      {"server_sends_description_without_type", spec::kRepInfoDescriptionLength,
       ChangesInfoBytes(kGo, InfoType::kDescription, [](Bytes& payload) { payload.clear(); })},
      {"server_sends_two_block_sizes", spec::kRepInfoBlockSizeLength,
       ChangesInfoBytes(kGo, InfoType::kBlockSize, [](Bytes& payload) { payload.resize(10); })},
      {"server_names_what_it_does_not_list", spec::kRepInfoNameMatchesList,
       ChangesInfoBytes(kInfo, InfoType::kName, [](Bytes& payload) { payload.push_back('x'); })},
      {"server_describes_in_two_ways", spec::kRepInfoDescriptionMatchesList,
       ChangesOptionReplies(
           OptionType::kList, OptionReplyType::kServer,
           [](OptionReply& reply) { reply.payload.insert(reply.payload.end(), {'d', 'i', 's', 'k'}); })},
      {"server_offers_df_without_structured_replies",
       By(spec::kEflagsDfClearWithoutStructured, spec::kOptionStructuredReplyNoEarlyAdvertise,
          Session(Family::kLost, 150)),
       ChangesFlags(TransmissionFlag::kSendDf)},
      {"server_clears_has_flags", spec::kEflagsHasFlags, ChangesFlags(0, TransmissionFlag::kHasFlags)},
      {"server_offers_fast_zero_alone", spec::kEflagsFastZeroNeedsWriteZeroes,
       ChangesFlags(0, TransmissionFlag::kSendWriteZeroes)},
      {"server_offers_no_fua", spec::kInteropFlushFuaServer, ChangesFlags(0, TransmissionFlag::kSendFua)},
      {"server_offers_no_flush", spec::kInteropFlushFuaServer, ChangesFlags(0, TransmissionFlag::kSendFlush)},
  };
}

}  // namespace nbdspec::engine::faults
