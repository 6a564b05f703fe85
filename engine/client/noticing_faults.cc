// SPDX-License-Identifier: BSD-3-Clause
// Faults of clients that believe a server that is wrong, or that refused.
#include "engine/client/client_fault_tables.h"
#include "engine/faults/answer_changes.h"
#include "engine/faults/fault.h"

namespace nbdspec::engine {

namespace {

using Shows = ClientFault::Shows;

ClientStage Wrong(std::string_view fault, ClientStage stage = {}) {
  stage.change = faults::FaultNamed(fault).change;
  stage.is_wrong = true;
  return stage;
}

// Every READ is answered right, but for what `change` makes of it.
ClientStage Reading(faults::Change change) {
  ClientStage stage = {.is_wrong = true};
  stage.change = std::move(change);
  return stage;
}

// A client that lets servers break these rules.
ClientConduct Lets(std::vector<std::string_view> rules) { return {.failings = {.ignored_rules = std::move(rules)}}; }

const ClientStage kFailsReads = {
    .change = faults::Fails(faults::kRead, NbdError::kEio, faults::OnSuccess),
};

Chunk FailsFirst(const Request& to) { return faults::ErrorChunk(to, {.error = NbdError::kEio}); }

Chunk UnknownError(const Request& to) { return ChunkFor(to, 0x8fff, {0, 0, 0, 5, 0, 0}); }
Chunk UnknownChunk(const Request& to) { return ChunkFor(to, 0x1234, {1, 2, 3, 4}); }

std::vector<ClientFault> TrustingFaults() {
  const std::vector<std::string_view> disconnects = {kStructuredClientInconsistentDisconnect};
  return {
      {"client_takes_data_outside_of_its_request", disconnects,
       Lets({kStructuredOffsetDataInBounds, kStructuredOffsetDataNoOverlap, kStructuredOffsetHoleNoOverlap}),
       Wrong("server_sends_data_past_the_request"), Shows::kTrusts},
      {"client_takes_holes_outside_of_its_request", disconnects,
       Lets({kStructuredOffsetHoleInBounds, kStructuredOffsetDataNoOverlap, kStructuredOffsetHoleNoOverlap}),
       Wrong("server_sends_hole_past_the_request"), Shows::kTrusts},
      {"client_takes_bytes_twice", disconnects, Lets({kStructuredOffsetDataNoOverlap}),
       Wrong("server_sends_a_byte_of_data_twice"), Shows::kTrusts},
      {"client_takes_reads_with_gaps", disconnects, Lets({kStructuredReadFullCoverage}),
       Wrong("server_leaves_out_the_first_chunk"), Shows::kTrusts},
      {"client_takes_empty_holes", disconnects, Lets({kStructuredOffsetHoleNonzero}), Wrong("server_sends_empty_hole"),
       Shows::kTrusts},
      {"client_takes_none_with_payload", disconnects, Lets({kStructuredNoneLengthZero}),
       Wrong("server_sends_none_with_payload"), Shows::kTrusts},
      {"client_takes_simple_replies_for_structured_ones", disconnects,
       Lets({kStructuredReadNoSimple, kStructuredPayloadNeedsStructured, kStructuredReadChunks}),
       Wrong("server_answers_structured_read_simply"), Shows::kTrusts},
      {"client_takes_empty_extents", disconnects, Lets({kBlockStatusExtentNonzeroLength}),
       Wrong("server_sends_zero_length_descriptor", kMaps), Shows::kTrusts},
      {"client_takes_answers_to_nobody",
       disconnects,
       {.transfer = {.cookie = [](std::uint64_t number) { return number * 16; }},
        .failings = {.ignored_rules = {kTransmissionCookieEcho}}},
       Wrong("server_sends_chunk_with_foreign_cookie"),
       Shows::kTrusts},
      {"client_lets_servers_break_every_rule",
       disconnects,
       {.failings = {.ignores_all_rules = true}},
       Wrong("server_counts_offsets_from_the_request"),
       Shows::kTrusts},
  };
}

}  // namespace

std::vector<ClientFault> NoticingFaults() {
  std::vector<ClientFault> all = TrustingFaults();
  const std::vector<ClientFault> others = {
      {"client_skips_unknown_chunks",
       {kStructuredTypeClientUnknown},
       {.failings = {.ignored_rules = {kStructuredErrorBit15}, .skips_unknown_chunks = true}},
       Reading(faults::AddsFirst(faults::kRead, UnknownChunk)),
       Shows::kTrusts},
      {"client_skips_unknown_errors",
       {kStructuredClientUnknownError},
       {.failings = {.skips_unknown_errors = true}},
       Reading(faults::AddsLast(faults::kRead, UnknownError)),
       Shows::kTrusts},
      {"client_skips_errors_before_the_last_chunk",
       {kStructuredSuccessNoErrorChunk},
       {.failings = {.skips_errors_before_done = true}},
       Reading(faults::AddsFirst(faults::kRead, FailsFirst)),
       Shows::kTrusts},
      {"client_reads_zeroes_for_errors",
       {kStructuredErrorClientNoAssumption, kStructuredSuccessNoErrorChunk, kBaselineSimpleRepliesClient},
       {.failings = {.ignores_errors = true}},
       kFailsReads,
       Shows::kTrusts},
      {"client_says_it_succeeded_though_it_failed",
       {kStructuredSuccessNoErrorChunk, kStructuredErrorClientNoAssumption, kStructuredClientUnknownError,
        kStructuredTypeClientUnknown, kStructuredClientInconsistentDisconnect, kBaselineSimpleRepliesClient,
        kBaselineWriteClient, kInteropFlushFuaClient, kOptionAbortClientToleratesClose, kTlsClientAllModes,
        kTlsClientHandshakeFail, kUriNoTlsError, kUriSchemeNbdsFailsWithoutTls},
       {.failings = {.succeeds_though_it_failed = true}},
       kFailsReads,
       Shows::kTrusts},
      {"client_says_farewell_to_a_wrong_server",
       {kStructuredClientInconsistentDisconnect, kStructuredTypeClientUnknown},
       {.failings = {.says_farewell_to_wrong_servers = true}},
       Wrong("server_sends_data_past_the_request"),
       Shows::kLeaving},
      {"client_hangs_at_wrong_answers",
       {kStructuredClientInconsistentDisconnect},
       {.failings = {.hangs_at_errors = true}},
       Wrong("server_sends_data_past_the_request"),
       Shows::kLeaving},
      {"client_drops_without_ending_tls",
       {kSessionHardTlsShutdownFirstClient, kTransmissionHardTlsFirstClient},
       {.failings = {.drops = true}},
       Wrong("server_sends_data_past_the_request", kInTls),
       Shows::kLeaving},
  };
  all.insert(all.end(), others.begin(), others.end());
  return all;
}

}  // namespace nbdspec::engine
