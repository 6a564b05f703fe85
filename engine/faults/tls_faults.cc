// SPDX-License-Identifier: BSD-3-Clause
// Faults of STARTTLS, of what comes before TLS and what survives its beginning, and of the server's end of TLS.
#include "engine/faults/fault_tables.h"

namespace nbdspec::engine::faults {

namespace {

Change ChangesTls(std::function<void(TlsConduct& conduct)> change) { return {.tls = std::move(change)}; }

// Inside TLS, or before it, `option` is answered by `type` alone.
Change RepliesInTls(std::uint32_t option, std::uint32_t type) {
  return ChangesOptionAnswer(option, [type](const Option& to, Messages& sent, const Connection& on) {
    if (on.negotiated->tls && LastReplyType(sent) != 0) {
      sent = {OptionReply{.option = to.option, .type = type}};
    }
  });
}

Change RepliesBeforeTls(std::uint32_t option, std::uint32_t type) {
  return ChangesOptionAnswer(option, [type](const Option& to, Messages& sent, const Connection& on) {
    if (!on.negotiated->tls) {
      sent = {OptionReply{.option = to.option, .type = type}};
    }
  });
}

// A second STARTTLS, which is refused as invalid inside TLS, is answered by `type`.
Change AnswersSecondStarttls(std::uint32_t type) {
  return ChangesOptionAnswer(kStarttls, [type](const Option& to, Messages& sent, const Connection& on) {
    if (on.negotiated->tls && LastReplyType(sent) == kErrInvalid) {
      sent = {OptionReply{.option = to.option, .type = type}};
    }
  });
}

// `options` are answered before the client's first one inside TLS, and nobody hears the answers.
Change BeginsTlsWith(std::vector<Option> options) {
  const std::size_t count = options.size();
  Bytes bytes;
  for (const Option& option : options) {
    Encode(ClientMessage(option), bytes);
  }
  return Both(ChangesTls([bytes](TlsConduct& conduct) { conduct.comes_first = bytes; }),
              ChangesOptionAnswer(kAnyOption, [count, seen = std::size_t{0}](const Option& to, Messages& sent,
                                                                             const Connection& on) mutable {
                if (on.negotiated->tls && to.option != kStarttls && seen++ < count) {
                  sent.clear();
                }
              }));
}

// Sends information before it refuses INFO, of the export `name` or any, for want of TLS.
Change InformsBeforeTls(std::string_view name = "") {
  return ChangesOptionAnswer(kInfo, [name](const Option& to, Messages& sent) {
    const auto query = DecodePayload<InfoQuery>(to.payload);
    if (query && (name.empty() || query->name == name) && LastReplyType(sent) == kErrTlsReqd) {
      sent.insert(sent.begin(), OptionReply{.option = to.option,
                                            .type = OptionReplyType::kInfo,
                                            .payload = EncodePayload(InfoExport{.size = 1 << 16, .flags = 1})});
    }
  });
}

// EXPORT_NAME that the server refuses by a disconnect enters something.
Change ServesByNameWithoutTls() {
  return ChangesOptionAnswer(kExportName, [](Messages& sent) {
    if (!sent.empty() && std::holds_alternative<HardDisconnect>(sent.front())) {
      sent = {ExportNameReply{.size = 1 << 16, .flags = 1}};
    }
  });
}

Change IsSilentAboutStarttlsWithData() {
  return ChangesOptionAnswer(kStarttls, [](const Option& to, Messages& sent) {
    if (!to.payload.empty()) {
      sent.clear();
    }
  });
}

// Where the client asked `option` with success before TLS, `change`s what answers it inside.
Change Remembers(std::uint32_t option, std::function<void(const ClientMessage& to, Messages& sent)> change) {
  return {.sent = [=, is_agreed = false](const ClientMessage* to, const Connection& on, Messages& sent) mutable {
    const auto* asked = std::get_if<Option>(to);
    if (to != nullptr && is_agreed && on.negotiated->tls && (asked == nullptr || asked->option != kStarttls)) {
      change(*to, sent);
    }
    is_agreed = is_agreed || (asked != nullptr && asked->option == option && LastReplyType(sent) == kAck);
  }};
}

void RefuseAgain(const ClientMessage& to, Messages& sent) {
  const auto* option = std::get_if<Option>(&to);
  if (option != nullptr && option->option == OptionType::kExtendedHeaders) {
    sent = {OptionReply{.option = option->option, .type = kErrInvalid}};
  }
}

void HangUpOnExportName(const ClientMessage& to, Messages& sent) {
  const auto* option = std::get_if<Option>(&to);
  if (option != nullptr && option->option == kExportName) {
    sent = {HardDisconnect{}};
  }
}

void OfferDf(const ClientMessage& /*to*/, Messages& sent) {
  ForEach<ExportNameReply>(sent, [](ExportNameReply& reply) { reply.flags |= TransmissionFlag::kSendDf; });
}

void ReplyInChunks(const ClientMessage& to, Messages& sent) {
  const auto* request = std::get_if<Request>(&to);
  if (request != nullptr && request->type == kRead) {
    sent = {NoneChunk(*request)};
  }
}

// Takes STARTTLS only as the first option.
Change WantsStarttlsFirst() {
  return ChangesOptionAnswer(kAnyOption, [count = 0](const Option& to, Messages& sent) mutable {
    if (++count > 1 && to.option == kStarttls) {
      sent = {OptionReply{.option = kStarttls, .type = kErrInvalid}};
    }
  });
}

}  // namespace

std::vector<Fault> TlsFaults() {
  const Option structured = MakeOption(kStructuredReply);
  const Option select = MakeOption(kSetContexts, {.queries = {std::string(kBaseAllocation)}});
  const Option extended = MakeOption(OptionType::kExtendedHeaders);
  const Bytes chatter = {'h', 'e', 'l', 'l', 'o'};
  return {
      {"server_demands_tls_and_has_none", kTlsForcedStarttlsAck, RepliesWith(kStarttls, kErrUnsup)},
      {"server_forbids_tls_by_policy", kTlsSelectiveStarttlsAck, RepliesWith(kStarttls, kErrPolicy)},
      {"server_wants_starttls_first", kSub<kTlsSelectiveStarttlsAck, "later">, WantsStarttlsFirst()},
      {"server_starts_tls_twice", By(kTlsForcedSecondStarttls, kTlsSelectiveSecondStarttls),
       AnswersSecondStarttls(kAck)},
      {"server_does_not_know_second_starttls", By(kTlsForcedSecondStarttls, kTlsSelectiveSecondStarttls),
       AnswersSecondStarttls(kErrUnsup)},
      {"server_is_silent_about_starttls_with_data", kSub<kOptionStarttlsReply, "data">,
       IsSilentAboutStarttlsWithData()},
      {"server_chats_before_handshake", By(kTlsForcedReadyAfterAck, kTlsForcedAllOverTlsServer),
       ChangesTls([=](TlsConduct& conduct) { conduct.plaintext_first = chatter; })},
      {"server_chats_beneath_tls", kTlsForcedNoDowngrade,
       ChangesTls([=](TlsConduct& conduct) { conduct.plaintext_inside = chatter; })},
      {"server_goes_on_without_tls",
       By(kTlsForcedHandshakeFail, kSub<kTlsForcedHandshakeFail, "plaintext">,
          kSub<kTlsForcedHandshakeFail, "unknown-certificate">, kSub<kTlsForcedHandshakeFail, "no-certificate">),
       ChangesTls([](TlsConduct& conduct) { conduct.ends_when_it_fails = false; })},
      {"server_forbids_list_before_tls", kTlsForcedOtherOptions, RepliesBeforeTls(kList, kErrPolicy)},
      {"server_lists_before_tls", kTlsForcedOtherOptions, RepliesBeforeTls(kList, kAck)},
      {"server_does_not_know_unknown_option_before_tls", kTlsForcedOtherOptions,
       RepliesBeforeTls(kUnknownOptions, kErrUnsup)},
      {"server_wants_tls_for_abort", kTlsForcedAbortAllowed, RepliesBeforeTls(kAbort, kErrTlsReqd)},
      {"server_serves_by_name_without_tls",
       By(kTlsForcedExportName, kTlsSelectiveExportNameTlsOnly, kOptionExportNameUnmetTerminates),
       ServesByNameWithoutTls()},
      {"server_knows_no_export_before_tls", By(kTlsForcedGo, kTlsSelectiveGoTlsOnly),
       ReplacesReply(kGo, kErrTlsReqd, kErrUnknown)},
      {"server_hides_tls_only_export", kTlsSelectiveInfoTlsOnly, ReplacesReply(kInfo, kErrTlsReqd, kErrUnknown)},
      {"server_wants_tls_inside_tls", By(kTlsForcedNoTlsReqdAfter, kTlsSelectiveNoTlsReqdAfter),
       RepliesInTls(kInfo, kErrTlsReqd)},
      {"server_wants_tls_for_structured_replies", kTlsSelectiveTlsReqdOnlyInfoGo,
       RepliesBeforeTls(kStructuredReply, kErrTlsReqd)},
      {"server_wants_tls_for_what_it_lists", kTlsSelectiveTlsReqdOnlyHidden, RepliesBeforeTls(kInfo, kErrTlsReqd)},
      {"server_informs_before_tls", kOptionInfoTlsReqdForcedNoInfo, InformsBeforeTls()},
      {"server_hides_unknown_exports_and_informs", kOptionInfoHideUnknownNoInfo,
       Both(ReplacesReply(kInfo, kErrUnknown, kErrTlsReqd), InformsBeforeTls("second"))},
      {"server_lacks_tls_1_2", kTlsVersion12Server,
       ChangesTls([](TlsConduct& conduct) { conduct.speaks_1_2 = false; })},
      {"server_lacks_tls_1_3", kTlsVersionLaterServer,
       ChangesTls([](TlsConduct& conduct) { conduct.speaks_1_3 = false; })},
      {"server_speaks_tls_1_1", kTlsVersionOlderNotDefaultServer,
       ChangesTls([](TlsConduct& conduct) { conduct.speaks_1_1 = true; })},
      {"server_begins_tls_with_structured_replies", kOptionStarttlsDropStructured, BeginsTlsWith({structured})},
      {"server_begins_tls_with_a_context", kOptionStarttlsDropMeta, BeginsTlsWith({structured, select})},
      {"server_begins_tls_with_extended_headers", kExtStarttlsDrop, BeginsTlsWith({extended})},
      {"server_begins_tls_with_extended_headers_alone", kExtStarttlsDrop,
       Both(BeginsTlsWith({extended}), ChangesFlags(0, TransmissionFlag::kSendDf))},
      {"server_agrees_to_extended_headers_once", kSub<kExtStarttlsDrop, "again">,
       Remembers(OptionType::kExtendedHeaders, RefuseAgain)},
      {"server_remembers_that_export_name_is_not_allowed", kOptionStarttlsDropOther,
       Remembers(OptionType::kExtendedHeaders, HangUpOnExportName)},
      {"server_remembers_to_offer_df", kOptionStarttlsDropOther, Remembers(kStructuredReply, OfferDf)},
      {"server_remembers_to_reply_in_chunks", kOptionStarttlsDropOther, Remembers(kStructuredReply, ReplyInChunks)},
      {"server_takes_what_came_before_tls",
       By(kSub<kOptionStarttlsDropStructured, "injected">, kSub<kExtStarttlsDrop, "injected">),
       ChangesTls([](TlsConduct& conduct) { conduct.reads_what_came_before = true; })},
      {"server_closes_beneath_tls",
       By(kDiscServerClosesTls, kSessionHardTlsShutdownFirstServer, kTransmissionHardTlsFirstServer),
       ChangesTls([](TlsConduct& conduct) { conduct.says_close = false; })},
  };
}

}  // namespace nbdspec::engine::faults
