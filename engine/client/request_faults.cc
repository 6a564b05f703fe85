// SPDX-License-Identifier: BSD-3-Clause
// Faults of what requests ask, and of their fields.
#include "engine/client/client_fault_tables.h"

namespace nbdspec::engine {

namespace {

const HagglingConduct kExtended = {.wants = Wants::kExtended};
const HagglingConduct kSimple = {.wants = Wants::kSimple};
const HagglingConduct kWithContexts = {.wants_contexts = true};
const HagglingConduct kExtendedWithContexts = {.wants = Wants::kExtended, .wants_contexts = true};
const HagglingConduct kAsksForNoBlockSize = {.info_requests = {}};

constexpr InfoBlockSize kSmallMaximum = {.minimum = 1, .preferred = 4096, .maximum = 64 * kKiB};

Request Empty(std::uint16_t type) { return {.type = type}; }
Request ReadWith(std::uint16_t flags) { return {.flags = flags, .length = 512}; }

Request WriteZeroesWith(std::uint16_t flags) {
  return {.flags = flags, .type = CommandType::kWriteZeroes, .length = 512};
}

ClientStage Sparse() { return {.copies_out = false, .serves = ClientStage::Serves::kSparse}; }

}  // namespace

std::vector<ClientFault> RequestFaults() {
  return {
      {"client_uses_cookies_that_are_in_flight",
       {kTransmissionCookieClientUnique},
       {.transfer = {.cookie = [](std::uint64_t) { return std::uint64_t{7}; }}}},

      // Sizes.
      {"client_ignores_minimum_block_size",
       {kBlockSizeClientAbide, kBlockSizeClientAlign},
       {.transfer = {.request_bytes = 1536}, .failings = {.ignores_block_size = true}},
       WithBlocks({.minimum = 4096})},
      {"client_ignores_minimum_block_size_that_it_did_not_ask_for",
       {kBlockSizeClientAlign},
       {.haggling = kAsksForNoBlockSize, .transfer = {.request_bytes = 1536}, .failings = {.ignores_block_size = true}},
       WithBlocks({.minimum = 4096})},
      {"client_reads_parts_of_sectors",
       {kBlockSizeDefaultClient512},
       {.transfer = {.request_bytes = 1000}, .failings = {.ignores_unknown_size_limits = true}},
       Greets(0)},
      {"client_reads_33_mib_where_no_maximum_is_known",
       {kBlockSizeDefaultClient32m},
       Sends({.length = 33 * kMiB}, kAsksForNoBlockSize),
       Sparse()},
      {"client_writes_more_than_the_maximum",
       {kBlockSizeClientWriteCap, kBlockSizeClientAbide},
       Sends(WriteOf(128 * kKiB)),
       WithBlocks(kSmallMaximum, kEnters)},
      {"client_reads_more_than_the_maximum_in_simple_replies",
       {kBlockSizeClientReadCapSimple, kBlockSizeClientAbide},
       Sends({.length = 128 * kKiB}, kSimple),
       WithBlocks(kSmallMaximum, kEnters)},
      {"client_ignores_preferred_block_size",
       {kBlockSizeClientAlignPreferred},
       {.failings = {.ignores_preferred_size = true}},
       WithBlocks({.preferred = 16384}),
       ClientFault::Shows::kLeaving},
      {"client_reads_past_the_end", {kTransmissionBoundsClient}, {.failings = {.reads_past_end = true}}},
      {"client_writes_past_the_end",
       {kTransmissionBoundsClient},
       Sends({.type = CommandType::kWrite, .offset = 256 * kKiB - 512, .length = 1024, .payload = Bytes(1024)}),
       WithBlocks({}, kEnters)},
      {"client_reads_4_gib_at_once",
       {kExtReadClient32bit},
       Sends({.length = 4 * kGiB + 512}, {.wants = Wants::kExtended, .info_requests = {}}),
       Sparse()},

      // Contexts.
      {"client_asks_status_without_context",
       {kBlockStatusClientNeedsContext},
       {.failings = {.never_sets_contexts = true, .asks_status_unbidden = true}},
       kMaps},
      {"client_asks_status_of_another_export_than_it_selected_for",
       {kBlockStatusClientSameExport},
       {.haggling = {.context_export = "another"}, .failings = {.asks_status_unbidden = true}},
       {.copies_out = false, .maps = true, .has_another = true}},
      {"client_asks_status_by_contexts_of_before_tls",
       {kBlockStatusClientNoStarttlsBetween},
       {.haggling = {.before_tls = {MakeOption(OptionType::kStructuredReply),
                                    MakeOption(OptionType::kSetMetaContext,
                                               {.queries = {std::string(kBaseAllocation)}})}},
        .failings = {.never_sets_contexts = true, .asks_status_unbidden = true}},
       {.copies_out = false, .maps = true, .demands_tls = true, .server = {.tls = TlsMode::kSelective}}},

      // What is not offered.
      {"client_uses_fua_unoffered",
       {kEflagsClientGated},
       Sends(WriteOf(512, CommandFlag::kFua)),
       Without(TransmissionFlag::kSendFua, kEnters)},
      {"client_uses_df_unoffered",
       {kEflagsDfClientGated, kEflagsClientGated},
       {.transfer = {.df = true}, .failings = {.sends_commands_unoffered = true}},
       Without(TransmissionFlag::kSendDf)},
      {"client_uses_fast_zero_unoffered",
       {kEflagsFastZeroClientGated, kEflagsClientGated},
       Sends(WriteZeroesWith(CommandFlag::kFastZero)),
       Without(TransmissionFlag::kSendFastZero, kEnters)},
      {"client_flushes_unoffered",
       {kFlushClientGated, kEflagsClientGated},
       Sends(Empty(CommandType::kFlush)),
       Without(TransmissionFlag::kSendFlush)},
      {"client_trims_unoffered",
       {kTrimClientGated, kEflagsClientGated},
       Sends({.type = CommandType::kTrim, .length = 512}),
       Without(TransmissionFlag::kSendTrim)},
      {"client_writes_zeroes_unoffered",
       {kWriteZeroesClientGated, kEflagsClientGated},
       Sends(WriteZeroesWith(0)),
       Without(TransmissionFlag::kSendWriteZeroes | TransmissionFlag::kSendFastZero)},
      {"client_asks_status_by_payload_unoffered",
       {kExtEflagsBlockStatusPayloadClient, kEflagsClientGated},
       {.haggling = kExtended, .transfer = {.status_payload = true}, .failings = {.sends_commands_unoffered = true}},
       Without(TransmissionFlag::kBlockStatusPayload, kMaps)},

      // Flags of commands.
      {"client_sends_unknown_command_flag", {kCmdflagClientDocumentedOnly}, Sends(ReadWith(1 << 14))},
      {"client_sends_no_hole_with_read", {kCmdflagClientDocumentedOnly}, Sends(ReadWith(CommandFlag::kNoHole))},
      {"client_reads_with_fua", {kCmdflagFuaClientWritesOnly}, Sends(ReadWith(CommandFlag::kFua))},
      {"client_sends_payload_len_without_extended_headers",
       {kExtCompactClientNoPayloadLen, kCmdflagClientDocumentedOnly},
       Sends(WriteOf(512, CommandFlag::kPayloadLen)),
       kEnters},

      // Fields that are zero, or may not be.
      {"client_reads_nothing", {kTransmissionReadClientZero}, Sends(Empty(CommandType::kRead))},
      {"client_writes_nothing", {kTransmissionWriteClientZero}, Sends(Empty(CommandType::kWrite))},
      {"client_trims_nothing", {kTrimClientZero}, Sends(Empty(CommandType::kTrim))},
      {"client_zeroes_nothing", {kWriteZeroesClientZero}, Sends(Empty(CommandType::kWriteZeroes))},
      {"client_asks_status_of_nothing",
       {kBlockStatusClientZeroLength},
       Sends(Empty(CommandType::kBlockStatus), kWithContexts)},
      {"client_flushes_a_range",
       {kFlushClientZeroFields},
       Sends({.type = CommandType::kFlush, .offset = 512, .length = 512})},
      {"client_disconnects_from_an_offset", {kDiscClientZeroFields}, {.hooks = Changes<Request>([](Request& request) {
                                                                        request.offset =
                                                                            request.type == CommandType::kDisc
                                                                                ? 512
                                                                                : request.offset;
                                                                      })}},

      // Extended headers.
      {"client_writes_without_payload_len",
       {kExtRequestWritePayloadLen},
       {.haggling = kExtended, .hooks = Changes<Request>([](Request& request) {
                                 request.flags &=
                                     request.type == CommandType::kWrite ? ~CommandFlag::kPayloadLen : 0xffff;
                                 request.payload.clear();
                               })},
       kWrites},
      {"client_announces_a_payload_of_nothing",
       {kExtPayloadLenNonzero, kTransmissionWriteClientZero},
       Sends(Empty(CommandType::kWrite), kExtended)},
      {"client_asks_status_by_payload_of_10_bytes",
       {kExtBlockStatusPayloadSize},
       Sends({.type = CommandType::kBlockStatus, .length = 10, .payload = Bytes(10)}, kExtendedWithContexts)},
  };
}

}  // namespace nbdspec::engine
