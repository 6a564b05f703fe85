// SPDX-License-Identifier: BSD-3-Clause
// Faults of EXTENDED_HEADERS and of the options beside it. Those of its end by STARTTLS are with TLS.
#include "engine/faults/fault_tables.h"

namespace nbdspec::engine::faults {

namespace {

constexpr std::uint32_t kExtended = OptionType::kExtendedHeaders;
constexpr std::uint32_t kReqd = OptionReplyType::kErrExtHeaderReqd;
constexpr std::uint16_t kStatusPayload = TransmissionFlag::kBlockStatusPayload;

bool IsExtended(const Connection& on) { return on.negotiated->headers == HeaderForm::kExtended; }

// `type` alone answers `option` where `when` holds.
Change RepliesWhen(std::uint32_t option, std::uint32_t type,
                   std::function<bool(const Option& to, const Messages& sent, const Connection& on)> when) {
  return ChangesOptionAnswer(option, [=](const Option& to, Messages& sent, const Connection& on) {
    if (when(to, sent, on)) {
      sent = {OptionReply{.option = to.option, .type = type}};
    }
  });
}

// With extended headers, or without, `type` alone answers `option`.
Change RepliesIfExtended(std::uint32_t option, std::uint32_t type, bool extended = true) {
  return RepliesWhen(option, type, [extended](const Option&, const Messages&, const Connection& on) {
    return IsExtended(on) == extended;
  });
}

// The queries of `to`; nothing when it has none, or cannot be taken apart.
std::vector<std::string> QueriesOf(const Option& to) {
  return DecodePayload<MetaContextQuery>(to.payload).value_or(MetaContextQuery{}).queries;
}

bool AsksForBase(const Option& to, const Messages&, const Connection& on) {
  const std::vector<std::string> queries = QueriesOf(to);
  return on.negotiated->structured_replies && !IsExtended(on) && !queries.empty() &&
         std::ranges::all_of(queries, [](const std::string& each) { return each.starts_with("base:"); });
}

bool HasNeither(const Option&, const Messages&, const Connection& on) { return !on.negotiated->structured_replies; }

// Sets BLOCK_STATUS_PAYLOAD where `when` holds.
Change OffersPayloadWhen(std::uint32_t option, std::function<bool(const Connection& on)> when) {
  return ChangesOptionReplies(
      option, OptionReplyType::kInfo, [=](const Option&, OptionReply& reply, const Connection& on) {
        ChangePayload<InfoExport>(
            reply.payload, [&](InfoExport& info) { info.flags |= when(on) ? kStatusPayload : std::uint16_t{0}; });
      });
}

// Changes answers to requests after the option `asked` (the `from`th of its kind, from 1), with extended headers.
Change ChangesRepliesAfter(std::uint32_t asked, int from, std::function<void(Messages& sent)> change) {
  return {.sent = [=, count = 0](const ClientMessage* to, const Connection& on, Messages& sent) mutable {
    const auto* option = std::get_if<Option>(to);
    count += option != nullptr && option->option == asked ? 1 : 0;
    if (std::get_if<Request>(to) != nullptr && count >= from && IsExtended(on)) {
      change(sent);
    }
  }};
}

void SendCompact(Messages& sent) {
  ForEach<Chunk>(sent, [](Chunk& chunk) { chunk.form = HeaderForm::kCompact; });
}
void HangUp(Messages& sent) { sent = {HardDisconnect{}}; }

// Refuses EXTENDED_HEADERS with data, and agrees to it all the same.
Change AgreesToWhatItRefuses() {
  return Both(IgnoresDataOf(kExtended),
              RepliesWhen(kExtended, kErrInvalid,
                          [](const Option& to, const Messages&, const Connection&) { return !to.payload.empty(); }));
}

// Refuses `option` unless `first` was asked before it.
Change WantsFirst(std::uint32_t first, std::uint32_t option) {
  return ChangesOptionAnswer(kAnyOption, [=, seen = false](const Option& to, Messages& sent) mutable {
    seen = seen || to.option == first;
    if (to.option == option && !seen) {
      sent = {OptionReply{.option = to.option, .type = kErrInvalid}};
    }
  });
}

// Selects a context of 64 bits for a client without extended headers.
Change SelectsWide() {
  return ChangesOptionAnswer(kSetContexts, [](const Option& to, Messages& sent, const Connection& on) {
    if (!IsExtended(on) && LastReplyType(sent) == kAck &&
        std::ranges::count(QueriesOf(to), kBlockCountdownContext) > 0) {
      sent.insert(sent.begin(), ReplyOf(to, {.id = 99, .name = std::string(kBlockCountdownContext)}));
    }
  });
}

}  // namespace

std::vector<Fault> ExtendedHandshakeFaults() {
  const auto compact_with_context = [](const Connection& on) {
    return !IsExtended(on) && !on.negotiated->contexts.empty();
  };
  const auto extended_without_context = [](const Connection& on) {
    return IsExtended(on) && on.negotiated->contexts.empty();
  };
  return {
      {"server_takes_extended_headers_with_data", By(kExtOptionDataInvalid, Contexts(kRule, 350)),
       IgnoresDataOf(kExtended)},
      {"server_does_not_know_extended_headers_with_data", kExtOptionDataInvalid,
       ReplacesReply(kExtended, kErrInvalid, kErrUnsup)},
      {"server_agrees_to_extended_headers_that_it_refuses",
       By(kSub<kTransmissionMagicExtendedGatedServer, "refused">, kExtEflagsDfClear, kExtEflagsBlockStatusPayloadGated,
          Contexts(kStale, 100)),
       AgreesToWhatItRefuses()},
      {"server_agrees_silently_to_extended_headers_that_it_refuses",
       kSub<kTransmissionMagicExtendedGatedServer, "refused">,
       Both(AgreesToWhatItRefuses(), ChangesFlags(0, TransmissionFlag::kSendDf))},
      {"server_wants_structured_replies_for_extended_headers", kExtOptionWithoutStructured,
       WantsFirst(kStructuredReply, kExtended)},
      {"server_goes_back_to_structured_replies", By(kExtOptionPrecedence, Contexts(kStale, 350)),
       ChangesRepliesAfter(kStructuredReply, 1, SendCompact)},
      {"server_hangs_up_with_both_forms_of_headers", kExtOptionPrecedence,
       ChangesRepliesAfter(kStructuredReply, 1, HangUp)},
      {"server_forgets_extended_headers_at_set_meta_context", kExtOptionPrecedence,
       ChangesRepliesAfter(kSetContexts, 1, SendCompact)},
      {"server_toggles_extended_headers", By(kSub<kExtOptionPrecedence, "again">, Contexts(kStale, 350)),
       ChangesRepliesAfter(kExtended, 2, SendCompact)},
      {"server_forgets_extended_headers_at_refused_go", kSub<kExtOptionPrecedence, "again">,
       ChangesRepliesAfter(kGo, 2, SendCompact)},
      {"server_does_not_know_go_with_extended_headers", By(kExtGoNoUnsup, kExtOptionGoSupported, Contexts(kError, 300)),
       RepliesIfExtended(kGo, kErrUnsup)},
      {"server_does_not_know_go_of_unknown_export_with_extended_headers", kExtGoNoUnsup,
       ReplacesReply(kGo, kErrUnknown, kErrUnsup)},
      {"server_calls_go_invalid_with_extended_headers", kExtOptionGoSupported, RepliesIfExtended(kGo, kErrInvalid)},
      {"server_closes_on_go_with_extended_headers", kExtOptionGoSupported,
       ChangesOptionAnswer(kGo,
                           [](const Option&, Messages& sent, const Connection& on) {
                             if (IsExtended(on)) {
                               sent = {HardDisconnect{}};
                             }
                           })},
      {"server_demands_extended_headers", kExtInteropNoReqd, RepliesIfExtended(kGo, kReqd, /*extended=*/false)},
      {"server_offers_status_payload_to_all",
       By(kExtEflagsBlockStatusPayloadGated, kExtOptionNoEarlyAdvertise, kExtEflagsBlockStatusPayloadNeedsMeta,
          kSub<kExtEflagsBlockStatusPayloadNeedsMeta, "nothing-selected">),
       ChangesFlags(kStatusPayload)},
      {"server_offers_status_payload_with_compact_headers",
       By(kExtEflagsBlockStatusPayloadGated, Contexts(kBits, 1500)), OffersPayloadWhen(kGo, compact_with_context)},
      {"server_shows_status_payload_with_compact_headers", kExtOptionNoEarlyAdvertise,
       OffersPayloadWhen(kInfo, compact_with_context)},
      {"server_offers_status_payload_without_contexts",
       By(kExtEflagsBlockStatusPayloadNeedsMeta, kSub<kExtEflagsBlockStatusPayloadNeedsMeta, "nothing-selected">,
          Contexts(kBits, 300)),
       OffersPayloadWhen(kGo, extended_without_context)},
      {"server_demands_extended_headers_to_list_base", kExtListMetaContextBaseNoErr,
       RepliesWhen(kListContexts, kReqd, AsksForBase)},
      {"server_demands_extended_headers_to_set_base", kExtSetMetaContextBaseNoErr,
       RepliesWhen(kSetContexts, kReqd, AsksForBase)},
      {"server_demands_extended_headers_that_it_has", kExtListMetaContextAgreedNoErr,
       RepliesIfExtended(kListContexts, kReqd)},
      {"server_calls_set_without_chunks_unknown", kExtSetMetaContextErr,
       RepliesWhen(kSetContexts, kErrUnknown, HasNeither)},
      {"server_acknowledges_set_without_chunks", kExtSetMetaContextErr, RepliesWhen(kSetContexts, kAck, HasNeither)},
      {"server_selects_64_bits_for_compact_headers", By(kExtSetMetaContext64bit, Contexts(kWidth, 4000)),
       SelectsWide()},
      {"server_calls_selected_64_bits_invalid", kExtSetMetaContext64bit,
       RepliesWhen(kSetContexts, kErrInvalid,
                   [](const Option& to, const Messages&, const Connection& on) {
                     return !IsExtended(on) && std::ranges::count(QueriesOf(to), kBlockCountdownContext) > 0;
                   })},
      {"server_lists_64_bits_as_any_other", By(kExtListMetaContext64bitFinal, Contexts(kError, 2000)),
       ReplacesReply(kListContexts, kReqd, kAck)},
  };
}

}  // namespace nbdspec::engine::faults
