// SPDX-License-Identifier: BSD-3-Clause
// Faults of clients that do not cope with what a server may do: with oddities, refusals and errors.
#include <algorithm>

#include "engine/base/check.h"
#include "engine/client/client_fault_tables.h"
#include "engine/faults/answer_changes.h"
#include "engine/faults/fault.h"
#include "engine/faults/option_changes.h"
#include "engine/oddities/oddity.h"

namespace nbdspec::engine {

namespace {

using Shows = ClientFault::Shows;
using faults::Change;

constexpr std::uint32_t kUnlikelyOption = 0x7fff'0001;
constexpr std::uint32_t kOddError = 200;

// A server that is odd and right.
ClientStage Odd(std::string_view name, ClientStage stage = {}) {
  const auto oddity = std::ranges::find(oddities::AllOddities(), name, &oddities::Oddity::name);
  NBDSPEC_CHECK(oddity != oddities::AllOddities().end());
  stage.change = oddity->change;
  return stage;
}
ClientStage Changed(Change change, ClientStage stage = {}, bool is_wrong = false) {
  stage.change = std::move(change);
  stage.is_wrong = is_wrong;
  return stage;
}
ClientStage Served(ServerOptions server, ClientStage stage = {}) {
  stage.server = server;
  return stage;
}

// The server takes the option for one that it does not know, on the connections that `where` says.
Change DoesNotKnow(std::uint32_t option, bool (*where)(std::uint64_t connection)) {
  return {.received =
              [=](ClientMessage& received, const faults::Connection& on) {
                auto* asked = std::get_if<Option>(&received);
                if (asked != nullptr && asked->option == option && where(on.number)) {
                  *asked = {.option = kUnlikelyOption};
                }
                return true;
              },
          .sent =
              [=](const ClientMessage*, const faults::Connection&, faults::Messages& sent) {
                faults::ForEach<OptionReply>(sent, [&](OptionReply& reply) {
                  reply.option = reply.option == kUnlikelyOption ? option : reply.option;
                });
              }};
}
bool Everywhere(std::uint64_t /*connection*/) { return true; }
bool AtFirst(std::uint64_t connection) { return connection == 0; }

// The ids of contexts are others on each connection.
Change NumbersContextsByConnection() {
  return faults::Both(faults::ChangesContexts(faults::kSetContexts,
                                              [](const Option&, MetaContext& context, const faults::Connection& on) {
                                                context.id += static_cast<std::uint32_t>(on.number * 16);
                                              }),
                      faults::ChangesStatus([](const Request&, BlockStatus& status, const faults::Connection& on) {
                        status.context_id += static_cast<std::uint32_t>(on.number * 16);
                      }));
}

// The last reply to an option that has others before it is an error.
Change FailsAtTheEnd(std::uint32_t option) {
  return faults::ChangesOptionAnswer(option, [](const Option& to, faults::Messages& sent) {
    if (sent.size() > 1) {
      sent.back() = OptionReply{.option = to.option, .type = OptionReplyType::kErrTooBig};
    }
  });
}

Change SplitsFirstDescriptor() {
  return faults::ChangesAllocation(0, [](std::vector<Descriptor>& all) {
    if (all[0].length > 4096) {
      all.insert(all.begin(), {.length = 4096, .status = all[0].status});
      all[1].length -= 4096;
    }
  });
}

Change SetsStatusBit7() {
  return faults::ChangesAllocation(0, [](std::vector<Descriptor>& all) {
    std::ranges::for_each(all, [](Descriptor& each) { each.status |= 1 << 7; });
  });
}

Change FailsReads(std::uint32_t error) { return faults::Fails(faults::kRead, error, faults::OnSuccess); }

const ClientStage kTwoConnections = {.copies_out = false, .maps = true};
const ClientStage kShutsDown = {.is_shutting_down = true};

std::vector<ClientFault> HagglingCopingFaults() {
  const Change no_go = DoesNotKnow(OptionType::kGo, Everywhere);
  return {
      {"client_fails_at_unknown_handshake_flags",
       {kHandshakeFlagsIgnoreUnknown},
       {.failings = {.fails_at_unknown_handshake_flags = true}},
       Changed(faults::ChangesGreeting([](Greeting& greeting) { greeting.flags |= 0x100; }), {}, true),
       Shows::kFails},
      {"client_fails_at_unknown_transmission_flags",
       {kEflagsClientIgnoreUnknown},
       {.failings = {.fails_at_unknown_transmission_flags = true}},
       Changed(faults::ChangesFlags(1 << 14)),
       Shows::kFails},
      {"client_fails_at_unknown_information",
       {kOptionInfoClientIgnoreUnknown},
       {.failings = {.fails_at_unknown_info = true}},
       Odd("server_sends_unknown_information_first"),
       Shows::kFails},
      {"client_expects_export_as_first_information",
       {kRepInfoClientNoOrder},
       {.failings = {.takes_first_info_for_export = true}},
       Odd("server_informs_in_reverse"),
       Shows::kFails},
      {"client_fails_without_structured_replies",
       {kOptionStructuredReplyClientUnsup, kBaselineSimpleRepliesClient},
       {.failings = {.fails_without_structured = true}},
       Served({.structured_replies = false}),
       Shows::kFails},
      {"client_fails_without_extended_headers",
       {kExtOptionClientUnsup},
       {.haggling = {.wants = Wants::kExtended}, .failings = {.fails_without_extended = true}},
       Served({.extended_headers = false}),
       Shows::kFails},
      {"client_fails_at_refusal_with_long_text",
       {kRepErrText},
       {.failings = {.fails_at_long_refusals = true}},
       Odd("server_says_much_when_it_refuses", Served({.structured_replies = false})),
       Shows::kFails},
      {"client_fails_without_go",
       {kOptionExportNameClientFallback, kOptionInfoClientUnsupFallback, kInteropExportNameClient},
       {.failings = {.fails_without_go = true}},
       Changed(no_go),
       Shows::kFails},
      {"client_expects_no_pad",
       {kOptionExportNameClientFallback, kInteropExportNameClient},
       {.failings = {.never_reads_pad = true}},
       Changed(no_go, Greets(HandshakeFlag::kFixedNewstyle)),
       Shows::kFails},
      {"client_haggles_with_oldstyle_server",
       {kHandshakeOldstyleNoClientData},
       {.failings = {.haggles_in_oldstyle = true}},
       Served({.oldstyle = true}),
       Shows::kFails},
      {"client_fails_when_abort_is_not_answered",
       {kOptionAbortClientToleratesClose},
       {.haggling = {.looks_first = Looks::kLists}, .failings = {.fails_when_abort_is_not_answered = true}},
       Changed(faults::FaultNamed("server_closes_on_abort").change, {}, true),
       Shows::kFails},
      {"client_goes_on_after_err_shutdown",
       {kSessionShutdownClientSoft},
       {.failings = {.goes_on_after_err_shutdown = true}},
       kShutsDown,
       Shows::kLeaving},
      {"client_closes_at_err_shutdown",
       {kSessionShutdownClientSoft, kSessionClientMustSoft, kSessionHardOnlyWhenAllowedClient},
       {.failings = {.leaves_without_abort = true}},
       kShutsDown},
      {"client_enters_another_export",
       {kUriExportNamePath},
       {.hooks = Changes<Option>([](Option& option) {
          if (option.option == OptionType::kGo) {
            option = MakeOption(OptionType::kGo, {.export_name = "another", .requests = {InfoType::kBlockSize}});
          }
        })},
       {.has_another = true},
       Shows::kLeaving},
      {"client_lists_nothing_when_asked_to",
       {kBaselineListClient},
       {.haggling = {.looks_first = Looks::kLists}, .hooks = Changes<Option>([](Option& option) {
                                                      if (option.option == OptionType::kList) {
                                                        option = MakeOption(OptionType::kInfo);
                                                      }
                                                    })},
       kReads,
       Shows::kLeaving},
      {"client_fails_when_it_has_listed",
       {kBaselineListClient},
       {.haggling = {.looks_first = Looks::kLists}, .failings = {.fails_though_it_succeeded = true}},
       kReads,
       Shows::kFails},

      // Contexts.
      {"client_takes_ids_from_list",
       {kOptionListMetaContextClientIgnoreId},
       {.failings = {.ids_from_list = true}},
       kMaps,
       Shows::kFails},
      {"client_selects_what_a_list_had_that_failed",
       {kOptionListMetaContextClientDiscard},
       {.failings = {.ids_from_list = true, .selects_what_failed_list_had = true}},
       Changed(FailsAtTheEnd(faults::kListContexts), kMaps),
       Shows::kFails},
      {"client_keeps_contexts_of_a_selection_that_failed",
       {kBlockStatusClientNeedsContext},
       {.failings = {.keeps_contexts_of_refused_set = true}},
       Changed(FailsAtTheEnd(faults::kSetContexts), kMaps, true)},
      {"client_keeps_ids_for_other_connections",
       {kOptionSetMetaContextClientIdOpaque},
       {.transfer = {.connections = 2}, .failings = {.keeps_ids = true}},
       Changed(NumbersContextsByConnection(), kTwoConnections),
       Shows::kFails},
      {"client_selects_wide_context_without_extended_headers",
       {kExtMetadata64bitNeedsExt},
       {.hooks = Changes<Option>([](Option& option) {
          if (option.option == OptionType::kSetMetaContext) {
            option = MakeOption(OptionType::kSetMetaContext,
                                {.queries = {std::string(kBaseAllocation), std::string(kBlockCountdownContext)}});
          }
        })},
       kMaps,
       Shows::kLeaving},

      // TLS.
      {"client_goes_on_without_tls",
       {kTlsClientTlsOnlyTerminates, kTlsDowngradeClientEnsures, kUriSchemeNbdsFailsWithoutTls},
       {.failings = {.goes_on_without_tls = true}},
       {.demands_tls = true},
       Shows::kTrusts},
      {"client_never_asks_for_tls",
       {kUriSchemeNbdsUsesTls, kInteropTlsClient},
       {.failings = {.never_asks_for_tls = true}},
       {.demands_tls = true, .server = {.tls = TlsMode::kForced}},
       Shows::kFails},
      {"client_goes_on_in_plaintext",
       {kTlsForcedAllOverTlsClient, kTlsClientUpgradeOnAck},
       {.failings = {.goes_on_in_plaintext = true}},
       kInTls,
       Shows::kFails},
      {"client_begins_tls_though_it_was_refused",
       {kTlsClientRefused},
       {.haggling = {.prefers_tls = true}, .failings = {.hello_though_refused = true}},
       {},
       Shows::kFails},
      {"client_fails_where_tls_is_refused_that_it_prefers",
       {kTlsClientAllModes, kBaselineNotlsClient},
       {.haggling = {.prefers_tls = true}, .failings = {.drops_at_starttls_refusal = true}},
       {},
       Shows::kFails},
      {"client_goes_on_after_failed_tls",
       {kTlsClientHandshakeFail, kSessionMandatedHardIfNoSoftClient},
       {.failings = {.goes_on_after_failed_tls = true}},
       {.demands_tls = true, .breaks_tls = true, .server = {.tls = TlsMode::kSelective}},
       Shows::kLeaving},
      {"client_trusts_any_certificate", {kUriTlsVerifyDefault}, {.tls = {.verifies = false}}, kInTls, Shows::kInTls},
      {"client_lacks_tls_1_2", {kTlsVersion12Client}, {.tls = {.speaks_1_2 = false}}, kInTls, Shows::kInTls},
      {"client_lacks_tls_1_3", {kTlsVersionLaterClient}, {.tls = {.speaks_1_3 = false}}, kInTls, Shows::kInTls},
      {"client_speaks_tls_1_1",
       {kTlsVersionOlderNotDefaultClient},
       {.tls = {.speaks_1_1 = true}},
       kInTls,
       Shows::kInTls},
      {"client_remembers_that_there_was_no_tls",
       {kTlsModeClientNoCarryOver},
       {.haggling = {.looks_first = Looks::kLists, .prefers_tls = true}, .failings = {.remembers_tls_refusal = true}},
       Changed(DoesNotKnow(OptionType::kStarttls, AtFirst), Served({.tls = TlsMode::kSelective})),
       Shows::kLeaving},
  };
}

std::vector<ClientFault> AnswerCopingFaults() {
  const ClientConduct prefetches = {.transfer = {.caches_first = true}};
  const auto fails_at_text = [&](bool ClientFailings::* failing) {
    ClientConduct conduct = prefetches;
    conduct.failings.*failing = true;
    return conduct;
  };
  const ClientStage no_cache = Without(TransmissionFlag::kSendCache);
  return {
      // READ.
      {"client_takes_chunks_in_order_only",
       {kStructuredReadClientReassemble},
       {.failings = {.takes_chunks_in_order_only = true}},
       Odd("server_reads_from_the_end"),
       Shows::kWrong},
      {"client_leaves_holes_as_they_were",
       {kStructuredReadClientReassemble},
       {.failings = {.ignores_holes = true}},
       kReads,
       Shows::kWrong},
      {"client_fails_at_holes",
       {kStructuredReadClientReassemble},
       {.failings = {.fails_at_holes = true}},
       kReads,
       Shows::kFails},
      {"client_fails_at_unknown_reply_flags",
       {kStructuredFlagsClientIgnore},
       {.failings = {.fails_at_unknown_reply_flags = true}},
       Changed(faults::ChangesChunks(faults::kRead, [](Chunk& chunk) { chunk.flags |= 1 << 9; }), {}, true),
       Shows::kFails},
      {"client_fails_at_reads_that_end_by_themselves",
       {kStructuredNoneMeansSuccess},
       {.failings = {.fails_at_done_alone = true}},
       Odd("server_ends_reads_by_themselves"),
       Shows::kFails},
      {"client_fails_at_more_than_64_kib",
       {kBlockSizeDosNotUnder32mClient},
       {.haggling = {.wants = Wants::kSimple},
        .transfer = {.request_bytes = 128 * kKiB},
        .failings = {.fails_at_large_payloads = true}},
       kReads,
       Shows::kFails},

      // Errors.
      {"client_fails_at_error_without_text",
       {kStructuredErrorAnyRequest},
       fails_at_text(&ClientFailings::fails_at_empty_error_texts),
       Odd("server_gives_no_reasons", no_cache),
       Shows::kFails},
      {"client_fails_at_error_with_long_text",
       {kStructuredErrorAnyRequest},
       fails_at_text(&ClientFailings::fails_at_long_error_texts),
       Odd("server_gives_long_reasons", no_cache),
       Shows::kFails},
      {"client_disconnects_at_unknown_errors",
       {kErrorClientUnexpected},
       {.failings = {.disconnects_at_unknown_errors = true}},
       Changed(FailsReads(kOddError), {}, true),
       Shows::kLeaving},
      {"client_disconnects_at_errors",
       {kTransmissionDisconnectOnlyAllowedClient, kBaselineDiscClient},
       {.failings = {.disconnects_at_errors = true}},
       Changed(FailsReads(NbdError::kEio))},
      {"client_dies_at_errors",
       {kTransmissionDisconnectOnlyAllowedClient, kBaselineDiscClient},
       {.failings = {.dies_at_errors = true}},
       Changed(FailsReads(NbdError::kEio))},
      {"client_hangs_at_errors",
       {kStructuredErrorClientNoAssumption},
       {.failings = {.hangs_at_errors = true}},
       Changed(FailsReads(NbdError::kEio)),
       Shows::kLeaving},
      {"client_disconnects_at_eshutdown",
       {kTransmissionShutdownClientSoft, kTransmissionDisconnectOnlyAllowedClient, kBaselineDiscClient},
       {.failings = {.disconnects_at_errors = true}},
       Changed(FailsReads(NbdError::kEshutdown))},
      {"client_goes_on_after_eshutdown",
       {kTransmissionShutdownClientSoft},
       {.transfer = {.in_flight = 1}, .failings = {.goes_on_after_eshutdown = true}},
       Changed(FailsReads(NbdError::kEshutdown)),
       Shows::kLeaving},

      // BLOCK_STATUS.
      {"client_fails_at_short_status",
       {kBlockStatusClientProgress},
       {.failings = {.fails_at_short_status = true}},
       Odd("server_truncates_statuses", kMaps),
       Shows::kFails},
      {"client_takes_missing_status_for_zeroes",
       {kBlockStatusClientProgress},
       {.failings = {.takes_missing_status_for_zeroes = true}},
       Odd("server_truncates_statuses", kMaps),
       Shows::kWrong},
      {"client_fails_at_long_status",
       {kBlockStatusFinalMayExceed},
       {.transfer = {.status_bytes = 4096}, .failings = {.fails_at_long_status = true}},
       Odd("server_describes_more_than_asked", kMaps),
       Shows::kFails},
      {"client_fails_at_neighbours_of_equal_status",
       {kBlockStatusClientSameStatusOk},
       {.failings = {.fails_at_equal_neighbours = true}},
       Changed(SplitsFirstDescriptor(), kMaps),
       Shows::kFails},
      {"client_fails_at_unknown_status_bits",
       {kBaseAllocationClientIgnoreUnknown},
       {.failings = {.fails_at_unknown_status_bits = true}},
       Changed(SetsStatusBit7(), kMaps, true),
       Shows::kFails},
      {"client_keeps_unknown_status_bits",
       {kBaseAllocationClientIgnoreUnknown},
       {.failings = {.keeps_unknown_status_bits = true}},
       Changed(SetsStatusBit7(), kMaps, true),
       Shows::kWrong},

      // Its job.
      {"client_fails_though_all_went_well",
       {kBaselineReadClient},
       {.failings = {.fails_though_it_succeeded = true}},
       kReads,
       Shows::kFails},
      {"client_hangs_when_all_is_done",
       {kBaselineReadClient},
       {.failings = {.hangs_at_end = true}},
       kReads,
       Shows::kLeaving},
      {"client_swaps_the_first_two_bytes",
       {kBaselineReadClient},
       {.failings = {.swaps_bytes = true}},
       kReads,
       Shows::kWrong},
      {"client_shifts_what_it_copies",
       {kBaselineReadClient},
       {.failings = {.shifts_bytes = true}},
       kReads,
       Shows::kWrong},
      {"client_copies_half", {kBaselineReadClient}, {.failings = {.truncates = true}}, kReads, Shows::kWrong},
      {"client_shifts_its_map",
       {kBlockStatusClientProgress},
       {.failings = {.writes_map_shifted = true}},
       kMaps,
       Shows::kWrong},
      {"client_does_not_copy_in",
       {kBaselineWriteClient},
       {.failings = {.writes_nothing = true}},
       kWrites,
       Shows::kWrong},
      {"client_writes_wrong_last_byte",
       {kBaselineWriteClient},
       {.failings = {.writes_wrong_bytes = true}},
       kWrites,
       Shows::kWrong},
      {"client_never_flushes",
       {kInteropFlushFuaClient},
       {.failings = {.never_flushes = true}},
       kWrites,
       Shows::kLeaving},
      {"client_flushes_before_writes_are_answered",
       {kTransmissionFlushClientMultiConn},
       {.transfer = {.connections = 2}, .failings = {.flushes_too_early = true}},
       kWrites,
       Shows::kLeaving},
      {"client_connects_often_unoffered",
       {kEflagsMultiConnClientAbsent},
       {.transfer = {.connections = 3}, .failings = {.connects_often_unoffered = true}},
       Without(TransmissionFlag::kCanMultiConn),
       Shows::kLeaving},
  };
}

}  // namespace

std::vector<ClientFault> CopingFaults() {
  std::vector<ClientFault> all = HagglingCopingFaults();
  const std::vector<ClientFault> answers = AnswerCopingFaults();
  all.insert(all.end(), answers.begin(), answers.end());
  return all;
}

}  // namespace nbdspec::engine
