// SPDX-License-Identifier: BSD-3-Clause
// Faults of flags and options.
#include "engine/client/client_fault_tables.h"

namespace nbdspec::engine {

namespace {

constexpr std::uint32_t kInfo = OptionType::kInfo;
constexpr std::uint32_t kList = OptionType::kListMetaContext;
constexpr std::uint32_t kSet = OptionType::kSetMetaContext;

Option InfoOf(std::string name) {
  return MakeOption(kInfo, {.export_name = std::move(name), .requests = {InfoType::kBlockSize}});
}

Option Queries(std::uint32_t type, std::string query = std::string(kBaseAllocation)) {
  return MakeOption(type, {.queries = {std::move(query)}});
}

// A count of two queries before one.
Option MiscountsQueries(std::uint32_t type) {
  Option option = Queries(type);
  option.payload[7] = 2;
  return option;
}

// A name as long as the data and more.
Option OverrunsName() { return {.option = kInfo, .payload = {0, 0, 0, 9, 'd', 'i', 's', 'k', 0, 0}}; }

// Agrees on `before` without TLS, and selects contexts inside without it.
ClientConduct ForgetsToRenegotiate(std::uint32_t before) {
  return {
      .haggling = {.wants = Wants::kSimple, .before_tls = {MakeOption(before)}, .before_contexts = {Queries(kSet)}}};
}

const ClientStage kNotFixed = Greets(HandshakeFlag::kNoZeroes);

}  // namespace

std::vector<ClientFault> HagglingFaults() {
  return {
      // Strings.
      {"client_sends_name_that_is_no_utf8", {kGeneralStringUtf8Client}, Asks(InfoOf("\xff\xfe"))},
      {"client_sends_name_with_nul", {kGeneralStringNoNulClient}, Asks(InfoOf(std::string("a\0b", 3)))},
      {"client_sends_name_of_4097_bytes", {kGeneralStringMax4096Client}, Asks(InfoOf(std::string(4097, 'a')))},
      {"client_sends_name_of_300_bytes", {kGeneralStringSoft256Client}, Asks(InfoOf(std::string(300, 'a')))},

      // Flags, and what they allow.
      {"client_haggles_without_fixed_newstyle",
       {kOptionNonfixedOnlyExportName},
       {.failings = {.assumes_fixed = true}},
       kNotFixed},
      {"client_leaves_fixed_newstyle_unset",
       {kHandshakeClientFlagsFixed, kBaselineFixedNewstyleClient},
       {.haggling = {.flags = ClientFlag::kNoZeroes, .wants = Wants::kSimple, .enters_by_name = true}}},
      {"client_sets_no_zeroes_unoffered",
       {kHandshakeClientFlagsNoZeroesGated},
       {.hooks = Changes<ClientFlags>([](ClientFlags& flags) { flags.flags |= ClientFlag::kNoZeroes; })},
       Greets(HandshakeFlag::kFixedNewstyle)},
      {"client_sets_unknown_flag",
       {kHandshakeClientFlagsNoOther},
       {.hooks = Changes<ClientFlags>([](ClientFlags& flags) { flags.flags |= 4; })}},

      // The order of options.
      {"client_sends_options_without_waiting", {kOptionSerial}, {.failings = {.overlaps_options = true}}},
      {"client_agrees_on_structured_replies_twice",
       {kOptionStateClientNoRepeat},
       Asks(MakeOption(OptionType::kStructuredReply))},

      // TLS.
      {"client_asks_for_tls_without_fixed_newstyle",
       {kTlsClientNoStarttlsWithoutFixed, kOptionNonfixedOnlyExportName},
       {.haggling = {.prefers_tls = true}, .failings = {.assumes_fixed = true}},
       kNotFixed},
      {"client_asks_for_tls_inside_tls", {kTlsClientNoSecondStarttls}, Asks(MakeOption(OptionType::kStarttls)), kInTls},
      {"client_lists_before_it_asks_for_tls",
       {kTlsClientFirstOption},
       {.haggling = {.before_tls = {MakeOption(OptionType::kList)}}},
       kInTls},
      {"client_enters_by_name_inside_tls",
       {kTlsClientPreferGo, kOptionExportNameClientPrefersGo},
       {.haggling = {.enters_by_name = true}},
       kInTls},
      {"client_attaches_data_to_starttls",
       {kOptionStarttlsClientNoData},
       {.haggling = {.prefers_tls = true}, .hooks = PutsDataInto(OptionType::kStarttls)}},
      {"client_agrees_on_structured_replies_before_it_asks_for_tls",
       {kOptionStarttlsClientDeferState, kTlsClientFirstOption},
       {.haggling = {.before_tls = {MakeOption(OptionType::kStructuredReply)}}},
       kInTls},
      {"client_forgets_structured_replies_inside_tls",
       {kOptionStructuredReplyClientRenegotiate, kOptionStructuredReplyClientGate, kOptionSetMetaContextNeedsStructured,
        kExtSetMetaContextNeeds},
       ForgetsToRenegotiate(OptionType::kStructuredReply),
       kInTls},
      {"client_forgets_extended_headers_inside_tls",
       {kExtOptionClientRenegotiate, kOptionStructuredReplyClientGate, kOptionSetMetaContextNeedsStructured,
        kExtSetMetaContextNeeds},
       ForgetsToRenegotiate(OptionType::kExtendedHeaders),
       kInTls},

      // How an export is entered.
      {"client_asks_for_no_block_size", {kBlockSizeClientAnnounce}, {.haggling = {.info_requests = {}}}},
      {"client_asks_for_block_size_and_enters_by_name",
       {kBlockSizeClientUseGo, kOptionExportNameClientPrefersGo},
       {.haggling = {.info_count = 1, .enters_by_name = true}}},
      {"client_enters_by_name",
       {kOptionExportNameClientPrefersGo, kBaselineInfoGoClient},
       {.haggling = {.enters_by_name = true}}},
      {"client_enters_by_name_with_extended_headers",
       {kExtClientNoExportName},
       {.haggling = {.wants = Wants::kExtended, .enters_by_name = true}}},
      {"client_sends_name_longer_than_the_option", {kOptionInfoClientNameLength}, Asks(OverrunsName())},
      {"client_asks_for_one_information_twice",
       {kOptionInfoClientNoDup},
       {.haggling = {.info_requests = {InfoType::kBlockSize, InfoType::kBlockSize}}}},

      // Data where there is none.
      {"client_attaches_data_to_abort",
       {kOptionAbortClientNoData},
       {.haggling = {.looks_first = Looks::kLists}, .hooks = PutsDataInto(OptionType::kAbort)}},
      {"client_attaches_data_to_list", {kOptionListClientNoData}, Asks({.option = OptionType::kList, .payload = {0}})},
      {"client_attaches_data_to_structured_reply",
       {kOptionStructuredReplyClientNoData},
       {.hooks = PutsDataInto(OptionType::kStructuredReply)}},
      {"client_attaches_data_to_extended_headers",
       {kExtOptionClientNoData},
       {.haggling = {.wants = Wants::kExtended}, .hooks = PutsDataInto(OptionType::kExtendedHeaders)}},

      // Contexts.
      {"client_lists_contexts_without_structured_replies",
       {kOptionListMetaContextNeedsStructured, kExtListMetaContextNeeds},
       Asks(Queries(kList), Wants::kSimple)},
      {"client_selects_contexts_without_structured_replies",
       {kOptionSetMetaContextNeedsStructured, kOptionStructuredReplyClientGate, kExtSetMetaContextNeeds},
       Asks(Queries(kSet), Wants::kSimple)},
      {"client_lists_contexts_with_wrong_count", {kOptionListMetaContextLayout}, Asks(MiscountsQueries(kList))},
      {"client_selects_contexts_with_wrong_count", {kOptionSetMetaContextLayout}, Asks(MiscountsQueries(kSet))},
      {"client_lists_contexts_without_namespace",
       {kOptionListMetaContextQuerySyntax},
       Asks(Queries(kList, "allocation"))},
      {"client_selects_contexts_without_namespace",
       {kOptionSetMetaContextQuerySyntax},
       Asks(Queries(kSet, "allocation"))},
  };
}

}  // namespace nbdspec::engine
