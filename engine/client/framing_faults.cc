// SPDX-License-Identifier: BSD-3-Clause
// Faults of bytes that make no messages, and of how a client leaves.
#include <algorithm>

#include "engine/client/client_fault_tables.h"

namespace nbdspec::engine {

namespace {

const HagglingConduct kExtended = {.wants = Wants::kExtended};

// A length that is two bytes too small.
Option SaysLess() {
  Option option = MakeOption(OptionType::kInfo, {.requests = {InfoType::kBlockSize}});
  option.length_field = static_cast<std::uint32_t>(option.payload.size() - 2);
  return option;
}

// A length that is larger than what follows it, whatever does.
Option SaysMore() {
  Option option = MakeOption(OptionType::kInfo, {.requests = {InfoType::kBlockSize}});
  option.length_field = 1000;
  return option;
}

// Changes the bytes of DISC.
template <typename Function>
ClientHooks ChangesDisc(Function change) {
  return {.bytes = [change](const ClientMessage& message, Bytes& bytes, const Outgoing&) {
    if (const auto* request = std::get_if<Request>(&message);
        request != nullptr && request->type == CommandType::kDisc) {
      change(bytes);
    }
  }};
}

template <typename Message, typename Function>
ClientHooks ChangesBytes(Function change) {
  return {.bytes = [change](const ClientMessage& message, Bytes& bytes, const Outgoing&) {
    if (std::holds_alternative<Message>(message)) {
      change(bytes);
    }
  }};
}

ClientHooks PutsListBeforeRequests() {
  return ChangesFirstRequest([](Bytes& bytes) {
    const Bytes list = Encode(ClientMessage(MakeOption(OptionType::kList)));
    bytes.insert(bytes.begin(), list.begin(), list.end());
  });
}

const ClientStage kRefused = {.lacks_export = true};

}  // namespace

std::vector<ClientFault> FramingFaults() {
  return {
      {"client_sends_magic_in_its_own_byte_order",
       {kGeneralByteOrderClient},
       {.hooks = ChangesFirstRequest([](Bytes& bytes) { std::ranges::reverse(bytes.begin(), bytes.begin() + 4); })}},
      {"client_sends_flags_of_16_bits",
       {kHandshakeClientFlagsWidth},
       {.hooks = ChangesBytes<ClientFlags>([](Bytes& bytes) { bytes.erase(bytes.begin(), bytes.begin() + 2); })}},
      {"client_sends_option_with_wrong_magic", {kOptionHeaderMagic}, {.hooks = ChangesBytes<Option>([](Bytes& bytes) {
                                                                        bytes[0] ^= 1;
                                                                      })}},
      {"client_sends_option_longer_than_it_says", {kOptionHeaderLengthAccurate}, Asks(SaysLess())},
      {"client_sends_request_with_wrong_magic",
       {kTransmissionRequestMagic},
       {.hooks = PutsMagic(kRequestMagic ^ 0xff)}},
      {"client_sends_magic_of_a_log", {kTransmissionMagicReservedClient}, {.hooks = PutsMagic(kRequestMagic + 1)}},
      {"client_sends_extended_magic_unagreed",
       {kTransmissionMagicExtendedGatedClient, kExtOptionClientGate, kBaselineClientNegotiates},
       {.hooks = PutsMagic(kExtendedRequestMagic)}},
      {"client_sends_option_shorter_than_it_says",
       {kOptionHeaderLengthAccurate, kSessionClientMustSoft},
       Asks(SaysMore())},
      {"client_leaves_length_out_of_disc",
       {kTransmissionRequestLayout, kTransmissionDisconnectOnlyAllowedClient, kBaselineDiscClient},
       {.hooks = ChangesDisc([](Bytes& bytes) { bytes.resize(bytes.size() - 4); })}},
      {"client_sends_payload_with_read", {kTransmissionRequestPayloadOnlyWrite}, {.hooks = Appends(512)}},
      {"client_sends_option_after_go", {kOptionGoClientNoMore}, {.hooks = PutsListBeforeRequests()}},
      {"client_writes_more_than_it_says", {kTransmissionWriteClientPayload}, {.hooks = Appends(512)}, kWrites},
      {"client_sends_compact_request_with_extended_headers",
       {kExtRequestHeader},
       {.haggling = kExtended,
        .hooks = Changes<Request>([](Request& request) { request.form = HeaderForm::kCompact; })}},
      {"client_sends_payload_without_payload_len",
       {kExtRequestPayloadFollowsFlag},
       {.haggling = kExtended, .hooks = Appends(512)}},

      // How it leaves.
      {"client_sends_option_after_abort",
       {kSessionAbortClientDrops},
       {.failings = {.sends_after_leaving = true}},
       kRefused},
      {"client_closes_after_a_refusal",
       {kSessionHardOnlyWhenAllowedClient, kSessionClientMustSoft, kBaselineAbortClient},
       {.failings = {.leaves_without_abort = true}},
       kRefused},
      {"client_lists_and_closes",
       {kSessionClientMustSoft},
       {.haggling = {.looks_first = Looks::kLists}, .failings = {.leaves_without_abort = true}}},
      {"client_sends_disc_before_it_is_answered", {kDiscClientWaits}, {.leaving = {.disc_at_once = true}}},
      {"client_closes_without_disc",
       {kTransmissionDisconnectOnlyAllowedClient, kBaselineDiscClient},
       {.failings = {.leaves_without_disc = true}}},
      {"client_sends_request_after_disc", {kDiscClientNothingAfter}, {.failings = {.sends_after_leaving = true}}},
  };
}

}  // namespace nbdspec::engine
