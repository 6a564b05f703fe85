// SPDX-License-Identifier: BSD-3-Clause
#include "engine/client/habits.h"

#include <limits>
#include <string>

#include "engine/base/byte_range.h"
#include "engine/base/mix.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine {

namespace {

using namespace spec;  // The ids of requirements.
using Looks = HagglingConduct::Looks;
using Wants = HagglingConduct::Wants;
using Order = TransferConduct::Order;

constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();

const ClientStage kMaps = {.copies_out = false, .maps = true};
const ClientStage kWrites = {.copies_out = false, .copies_in = true};
const ClientStage kCopies = {.copies_in = true};
const ClientStage kOffersTls = {.server = {.tls = TlsMode::kSelective}};

// Queries of LIST_META_CONTEXT.
Option ListsContexts(std::vector<std::string> queries) {
  return MakeOption(OptionType::kListMetaContext, {.queries = std::move(queries)});
}

std::vector<ClientHabit> HagglingHabits() {
  return {
      {"client_sets_no_zeroes_flag_never",
       kOptionExportNameZeroPad,
       {.haggling = {.flags = ClientFlag::kFixedNewstyle}}},
      {"client_lists_and_aborts_first", kSessionSoftClientAnyTime, {.haggling = {.looks_first = Looks::kLists}}},
      {"client_informs_itself_and_aborts_first",
       kOptionInfoClientMayRefuse,
       {.haggling = {.looks_first = Looks::kInforms}}},
      {"client_does_not_wait_for_the_reply_to_abort",
       kOptionAbortServerToleratesClose,
       {.haggling = {.looks_first = Looks::kLists}, .leaving = {.waits_for_abort = false}}},
      {"client_asks_info_before_go", kOptionGoSameAsInfo, {.haggling = {.info_count = 1}}},
      {"client_asks_info_often", kOptionInfoStaysInHaggling, {.haggling = {.info_count = 5}}},
      {"client_asks_for_no_information",
       kOptionInfoClientEmptyList,
       {.haggling = {.info_requests = {}}},
       {},
       {kBlockSizeClientAnnounce}},
      {"client_asks_for_all_information",
       kOptionInfoClientEmptyList,
       {.haggling = {.info_requests = {InfoType::kDescription, InfoType::kBlockSize, InfoType::kName,
                                       InfoType::kExport}}}},
      {"client_asks_for_unknown_information",
       kOptionInfoIgnoreUnknownRequest,
       {.haggling = {.info_requests = {0x7ffe, InfoType::kBlockSize}}}},
      {"client_lists_exports_first",
       kOptionListReplyShape,
       {.haggling = {.before_chunks = {MakeOption(OptionType::kList)}}}},
      {"client_tries_an_unknown_option", kRepErrUnsup, {.haggling = {.before_chunks = {{.option = 0x7ffffffe}}}}},
      {"client_asks_about_an_export_that_is_not_there",
       kOptionInfoUnknownExport,
       {.haggling = {.before_contexts = {MakeOption(OptionType::kInfo,
                                                    {.export_name = "nowhere", .requests = {InfoType::kBlockSize}})}}}},
      {"client_wants_simple_replies", kBaselineSimpleRepliesClient, {.haggling = {.wants = Wants::kSimple}}, kCopies},
      {"client_wants_extended_headers", kExtRequestHeader, {.haggling = {.wants = Wants::kExtended}}, kCopies},
      {"client_wants_structured_replies_then_extended_headers",
       kExtOptionPrecedence,
       {.haggling = {.wants = Wants::kStructuredThenExtended}}},
      {"client_lists_all_contexts_first",
       kOptionListMetaContextZeroQueriesAll,
       {.haggling = {.before_contexts = {ListsContexts({})}}},
       kMaps},
      {"client_lists_contexts_by_wildcard",
       kMetadataBaseListWildcard,
       {.haggling = {.before_contexts = {ListsContexts({"base:"})}}},
       kMaps},
      {"client_selects_unknown_contexts_too",
       kOptionSetMetaContextUnknownNamespace,
       {.haggling = {.queries_beside = {"x-nobody:nothing", "base:nothing"}}},
       kMaps},
      {"client_selects_several_contexts",
       kOptionSetMetaContextOrder,
       {.haggling = {.queries_beside = {std::string(kBlockIndexContext)}}},
       kMaps},
      {"client_selects_contexts_twice", kOptionSetMetaContextReplaces, {.haggling = {.set_count = 2}}, kMaps},
      {"client_selects_contexts_that_it_does_not_use",
       kOptionSetMetaContextNoneOk,
       {.haggling = {.wants_contexts = true}}},
      {"client_prefers_tls", kTlsClientRefused, {.haggling = {.prefers_tls = true}}},
      {"client_begins_tls_where_it_is_not_demanded",
       kTlsClientStarttlsAnyTime,
       {.haggling = {.prefers_tls = true}},
       kOffersTls},
      {"client_lists_exports_before_tls",
       kTlsClientStarttlsAnyTime,
       {.haggling = {.prefers_tls = true, .before_tls = {MakeOption(OptionType::kList)}}},
       kOffersTls,
       {kTlsClientFirstOption}},
      {"client_wants_extended_headers_before_tls_alone",
       kTlsClientStarttlsAnyTime,
       {.haggling = {.prefers_tls = true, .before_tls = {MakeOption(OptionType::kExtendedHeaders)}}},
       {.maps = true, .server = {.tls = TlsMode::kSelective}},
       {kOptionStarttlsClientDeferState, kTlsClientFirstOption}},
  };
}

std::vector<ClientHabit> OrderHabits() {
  return {
      {"client_sends_byte_by_byte", kOptionHeaderLengthAccurate, {.sending = {.byte_by_byte = true}}},
      {"client_sends_messages_glued", kTransmissionOrderReorder, {.sending = {.glues = true}}, kCopies},
      {"client_has_one_request_at_a_time", kTransmissionOrderReorder, {.transfer = {.in_flight = 1}}},
      {"client_has_64_requests_in_flight",
       kTransmissionRepliesOutOfOrder,
       {.transfer = {.in_flight = 64, .request_bytes = 2048}}},
      {"client_reads_sector_by_sector", kBlockSizeDefaultMin1, {.transfer = {.request_bytes = 512}}},
      {"client_reads_odd_sizes", kBlockSizeDefaultMin1, {.transfer = {.request_bytes = 4608, .varies_sizes = true}}},
      {"client_reads_as_much_as_it_may", kBlockSizeDefaultMax32m, {.transfer = {.request_bytes = kAll}}},
      {"client_copies_backwards", kTransmissionOrderReorder, {.transfer = {.order = Order::kBackwards}}, kCopies},
      {"client_copies_in_no_order", kTransmissionOrderReorder, {.transfer = {.order = Order::kShuffled}}, kCopies},
      {"client_has_random_cookies",
       kTransmissionCookieClientReuse,
       {.transfer = {.cookie = [](std::uint64_t number) { return Mixed(number * kMixStep); }}}},
      {"client_has_cookies_with_all_bits",
       kTransmissionCookieOpaque,
       {.transfer = {.cookie = [](std::uint64_t number) { return kAll - number; }}}},
      {"client_uses_one_cookie_again",
       kTransmissionCookieClientReuse,
       {.transfer = {.in_flight = 1, .cookie = [](std::uint64_t) { return std::uint64_t{0}; }}}},
      {"client_reads_by_several_connections", kEflagsMultiConnFlushVisible, {.transfer = {.connections = 4}}},
      {"client_writes_by_several_connections",
       kEflagsMultiConnFlushVisible,
       {.transfer = {.connections = 3, .reads_back = true}},
       kWrites},
      {"client_waits_for_the_end_after_disc", kDiscClientAnyTime, {.leaving = {.waits_for_end = true}}},
      {"client_sends_disc_behind_a_read",
       kDiscClientAnyTime,
       {.leaving = {.disc_at_once = true}},
       {},
       {kDiscClientWaits}},
  };
}

std::vector<ClientHabit> CommandHabits() {
  return {
      {"client_reads_with_df", kStructuredReadDfOneContent, {.transfer = {.df = true}}},
      {"client_caches_before_it_reads", kCacheMayUse, {.transfer = {.caches_first = true}}},
      {"client_caches_where_that_is_not_offered",
       kCacheClientUnadvertised,
       {.transfer = {.caches_first = true}},
       {.offers = [](ExportOptions& of) { of.flags &= ~TransmissionFlag::kSendCache; }}},
      {"client_reads_no_zeroes", kBaseAllocationZeroReadsZero, {.transfer = {.skips_zeroes = true}}},
      {"client_reads_twice", kTransmissionOrderReorder, {.transfer = {.reads_twice = true}}},
      {"client_writes_with_fua", kEflagsFuaWorks, {.transfer = {.fua = true}}, kWrites},
      {"client_flushes_after_each_write", kEflagsFlushWorks, {.transfer = {.flushes_often = true}}, kWrites},
      {"client_flushes_what_it_only_read", kEflagsFlushWorks, {.transfer = {.flushes_always = true}}},
      {"client_writes_zeroes_by_command",
       kEflagsWriteZeroesWorks,
       {.transfer = {.request_bytes = 8192, .zeroes = true}},
       kCopies},
      {"client_writes_zeroes_without_holes",
       kCmdflagNoHoleSupport,
       {.transfer = {.request_bytes = 8192, .zeroes = true, .no_hole = true}},
       kCopies},
      {"client_writes_zeroes_without_holes_where_trim_is_not_offered",
       kCmdflagNoHoleWithoutTrim,
       {.transfer = {.request_bytes = 8192, .zeroes = true, .no_hole = true}},
       {.copies_in = true, .offers = [](ExportOptions& of) { of.flags &= ~TransmissionFlag::kSendTrim; }}},
      {"client_writes_zeroes_fast",
       kEflagsFastZeroAlwaysEnotsup,
       {.transfer = {.request_bytes = 8192, .zeroes = true, .fast_zero = true}},
       kCopies},
      {"client_trims_before_it_writes", kEflagsTrimWorks, {.transfer = {.trims_first = true}}, kCopies},
      {"client_reads_back_what_it_wrote", kTransmissionOrderReorder, {.transfer = {.reads_back = true}}, kWrites},
      {"client_asks_one_extent_at_a_time", kBlockStatusReqOneSingle, {.transfer = {.req_one = true}}, kMaps},
      {"client_asks_status_of_small_ranges", kBlockStatusClientProgress, {.transfer = {.status_bytes = 4096}}, kMaps},
      {"client_asks_status_by_payload",
       kExtBlockStatusPayloadFilter,
       {.haggling = {.wants = Wants::kExtended, .queries_beside = {std::string(kBlockIndexContext)}},
        .transfer = {.status_payload = true}},
       kMaps},
      {"client_asks_status_of_all_at_once",
       kBlockSizeClientEffectLength,
       {.haggling = {.wants = Wants::kExtended}},
       {.copies_out = false, .maps = true, .serves = ClientStage::Serves::kSparse}},
      {"client_caches_all_at_once",
       kBlockSizeClientEffectLength,
       {.transfer = {.first_requests = {{.type = CommandType::kCache, .length = 128 * kKiB}}}},
       {.serves = ClientStage::Serves::kBlocks,
        .offers = [](ExportOptions& of) { of.block_size.maximum = 64 * kKiB; }}},
  };
}

}  // namespace

std::span<const ClientHabit> AllHabits() {
  static const std::vector<ClientHabit> habits = [] {
    std::vector<ClientHabit> all;
    for (const auto& part : {HagglingHabits(), OrderHabits(), CommandHabits()}) {
      all.insert(all.end(), part.begin(), part.end());
    }
    return all;
  }();
  return habits;
}

}  // namespace nbdspec::engine
