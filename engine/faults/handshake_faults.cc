// SPDX-License-Identifier: BSD-3-Clause
// Faults of the greeting, of client flags and byte order, of option replies in general, of ABORT, LIST, STARTTLS and
// EXPORT_NAME, and of the strings that a server sends.
#include <algorithm>
#include <atomic>
#include <bit>
#include <memory>

#include "engine/faults/fault_tables.h"

namespace nbdspec::engine::faults {

namespace {

constexpr std::string_view kServedWhateverFlags = kSub<kHandshakeFlagsNoUnilateralChange, "served">;
constexpr std::string_view kByteOrderOfReplies = kSub<kGeneralByteOrderServer, "option-reply">;

// Disconnects where it would refuse the client more than `count` times.
Change LosesPatienceAfter(int count) {
  return {.sent = [count, refused = 0](const ClientMessage*, const Connection&, Messages& sent) mutable {
    if (IsRefused(sent) && ++refused > count) {
      sent = {HardDisconnect{}};
    }
  }};
}

// Reads the data of an unknown option as the next one, and gives up.
Change LosesItsPlace() {
  return ChangesOptionAnswer(kAnyOption, [lost = false](const Option& to, Messages& sent) mutable {
    if (lost) {
      sent = {HardDisconnect{}};
    }
    lost = lost || (IsOneOf(to, kUnknownOptions) && !to.payload.empty());
  });
}

// Does not answer an option that it has answered before.
Change AnswersOnce(std::uint32_t option) {
  return ChangesOptionAnswer(option, [asked = false](Messages& sent) mutable {
    if (std::exchange(asked, true)) {
      sent.clear();
    }
  });
}

// Answers the option behind one that it refused with its data twice.
Change AnswersTwiceBehindRefusals() {
  return ChangesOptionAnswer(kAnyOption, [refused = false](const Option& to, Messages& sent) mutable {
    if (std::exchange(refused, IsRefused(sent) && !to.payload.empty()) && !sent.empty()) {
      sent.push_back(sent.back());
    }
  });
}

// Each client takes a place until it asks for something, also one that has left. Once `count` are taken nobody is
// greeted.
Change KeepsPlaces(int count) {
  const auto taken = std::make_shared<std::atomic<int>>(0);
  return {.received =
              [=](ClientMessage& received, const Connection& on) {
                *taken -= std::holds_alternative<Request>(received) && on.request_count == 1 ? 1 : 0;
                return true;
              },
          .sent =
              [=](const ClientMessage* to, const Connection& on, Messages& sent) {
                if (to == nullptr) {
                  *taken = on.number == 0 ? 1 : *taken + 1;
                  if (*taken > count) {
                    sent.clear();
                  }
                }
              }};
}

// Is down, for one client, after another one sent ABORT.
Change FallsOverAbort() {
  return {
      .sent = [is_down = std::make_shared<bool>(false)](const ClientMessage* to, const Connection&, Messages& sent) {
        const auto* option = std::get_if<Option>(to);
        if (to == nullptr && *is_down) {
          sent = {HardDisconnect{}};
          *is_down = false;
        } else if (option != nullptr && option->option == kAbort) {
          *is_down = true;
        }
      }};
}

// The first export of a list.
Change ChangesFirstListed(std::function<void(OptionReply& reply)> change) {
  return ChangesOptionAnswer(kList, [=](Messages& sent) {
    auto* reply = std::get_if<OptionReply>(&sent.front());
    if (reply != nullptr && reply->type == OptionReplyType::kServer) {
      change(*reply);
    }
  });
}

// The answer to EXPORT_NAME for an export that exists.
Change ChangesExportNameReply(std::function<void(ExportNameReply& reply)> change) {
  return ChangesOptionAnswer(kExportName, [=](Messages& sent) { ForEach<ExportNameReply>(sent, change); });
}

// The pad of it, where it has one.
Change ChangesPad(std::function<void(Bytes& pad)> change) {
  return ChangesExportNameReply([=](ExportNameReply& reply) {
    if (!reply.pad.empty()) {
      change(reply.pad);
    }
  });
}

// The bytes of an oldstyle greeting.
Change ChangesOldstyleBytes(std::function<void(Bytes& bytes)> change) {
  return {.sent = [=](const ClientMessage*, const Connection&, Messages& sent) {
    for (ServerMessage& each : sent) {
      if (std::holds_alternative<OldstyleGreeting>(each)) {
        Bytes bytes = Encode(each);
        change(bytes);
        each = RawBytes{.bytes = std::move(bytes)};
      }
    }
  }};
}

// Ends the connection with a client that has not set `flag`.
Change DropsClientsWithout(std::uint32_t flag) {
  return {.sent = [flag](const ClientMessage* to, const Connection&, Messages& sent) {
    const auto* client = std::get_if<ClientFlags>(to);
    if (client != nullptr && (client->flags & flag) == 0) {
      sent = {HardDisconnect{}};
    }
  }};
}

// What answers EXPORT_NAME, for clients that have set these flags and no others.
Change ChangesByNameFor(std::uint32_t client_flags, std::function<void(Messages& sent)> change) {
  return ChangesOptionAnswer(kExportName, [=](const Option&, Messages& sent, const Connection& on) {
    if (on.negotiated->client_flags == client_flags) {
      change(sent);
    }
  });
}

void SetPad(Messages& sent, std::size_t bytes) {
  ForEach<ExportNameReply>(sent, [bytes](ExportNameReply& reply) { reply.pad.resize(bytes); });
}

// Every error reply to an option has `text`.
Change Refuses(std::string text) {
  return ChangesOptionReplies(kAnyOption, [=](OptionReply& reply) {
    if (reply.is_error()) {
      reply.payload.assign(text.begin(), text.end());
    }
  });
}

Change Lists(ListedExport listed) {
  return ChangesOptionReplies(kList, OptionReplyType::kServer,
                              [=](OptionReply& reply) { reply.payload = EncodePayload(listed); });
}

Change Describes(std::string text) {
  return ChangesInfoBytes(kInfo, InfoType::kDescription, [=](Bytes& payload) {
    payload = EncodePayload(InfoText{.type = InfoType::kDescription, .text = text});
  });
}

// Every error chunk in answer to READ has `text`.
Change FailsSaying(std::string text) {
  return ChangesErrorChunks(
      [=](Chunk& chunk) { chunk.payload = EncodePayload(ErrorPayload{.error = kEinval, .message = text}); });
}

// The server takes `flags` for set in the client's.
Change TakesClientFlagsForSet(std::uint32_t flags) {
  return {.received = [flags](ClientMessage& received, const Connection&) {
    if (auto* client = std::get_if<ClientFlags>(&received)) {
      client->flags |= flags;
    }
    return true;
  }};
}

}  // namespace

std::vector<Fault> HandshakeFaults() {
  constexpr ServerOptions kNotFixed{.handshake_flags = HandshakeFlag::kNoZeroes};
  constexpr ServerOptions kOldstyle{.oldstyle = true};
  const std::string nul(1, '\0');
  const std::string latin1 = "na\xefve";
  return {
      {"server_swaps_first_magic", By(kGeneralByteOrderServer, kHandshakeMagic),
       ChangesGreeting([](Greeting& greeting) { greeting.magic = std::byteswap(greeting.magic); })},
      {"server_swaps_second_magic", kGeneralByteOrderServer,
       ChangesGreeting([](Greeting& greeting) { greeting.option_magic = std::byteswap(greeting.option_magic); })},
      {"server_swaps_option_reply_magic", kByteOrderOfReplies,
       ChangesOptionReplies(kAnyOption, [](OptionReply& reply) { reply.magic = std::byteswap(reply.magic); })},
      {"server_swaps_option_number", kByteOrderOfReplies,
       ChangesOptionReplies(kInfo, [](OptionReply& reply) { reply.option = std::byteswap(reply.option); })},
      {"server_swaps_option_reply_type", kByteOrderOfReplies,
       ChangesOptionReplies(kList, [](OptionReply& reply) { reply.type = std::byteswap(reply.type); })},
      {"server_swaps_information_type", kByteOrderOfReplies,
       ChangesOptionReplies(kGo, OptionReplyType::kInfo,
                            [](OptionReply& reply) { std::swap(reply.payload[0], reply.payload[1]); })},
      {"server_swaps_error_of_simple_reply", kSub<kGeneralByteOrderServer, "error">,
       ChangesSimpleReplies([](SimpleReply& reply) { reply.error = std::byteswap(reply.error); })},
      {"server_swaps_text_length_in_error_chunk",
       By(kSub<kGeneralByteOrderServer, "error-chunk">, kStructuredErrorMessageFits),
       ChangesErrorChunks([](Chunk& chunk) { std::swap(chunk.payload[4], chunk.payload[5]); })},
      {"server_replies_before_client_flags", kHandshakeFlagsWidth,
       Change{.sent =
                  [](const ClientMessage* to, const Connection&, Messages& sent) {
                    if (to == nullptr) {
                      sent.emplace_back(OptionReply{});
                    }
                  }}},
      {"server_sets_unknown_handshake_flag", kHandshakeFlagsNoOther,
       ChangesGreeting([](Greeting& greeting) { greeting.flags |= 1 << 7; })},
      {"server_ignores_unknown_client_flag", kHandshakeClientFlagsDropUnknown, IgnoresClientFlags(1U << 2)},
      {"server_ignores_high_client_flag", kSub<kHandshakeClientFlagsDropUnknown, "high">, IgnoresClientFlags(1U << 31)},
      {"server_accepts_unoffered_no_zeroes", kHandshakeClientFlagsDropUnoffered,
       ChangesGreeting([](Greeting& greeting) { greeting.flags &= ~HandshakeFlag::kNoZeroes; })},
      {"server_greets_with_wrong_option_magic", kHandshakeMagicIhaveopt,
       ChangesGreeting([](Greeting& greeting) { greeting.option_magic += 1; })},
      {"server_haggles_without_fixed_newstyle",
       By(kHandshakeFlagsFixedNewstyle, kOptionExportNameOthersNeedFixed, kBaselineFixedNewstyleServer),
       Both(ChangesGreeting([](Greeting& greeting) { greeting.flags &= ~HandshakeFlag::kFixedNewstyle; }),
            TakesClientFlagsForSet(ClientFlag::kFixedNewstyle))},
      {"server_lists_though_it_is_not_fixed", kHandshakeFlagsFixedNewstyle, RepliesWith(kList, kAck), kNotFixed},
      {"server_informs_though_it_is_not_fixed", kOptionExportNameOthersNeedFixed, RepliesWith(kInfo, kErrUnknown),
       kNotFixed},
      {"server_speaks_newstyle_that_is_not_fixed", kBaselineFixedNewstyleServer, Change{}, kNotFixed},
      {"server_speaks_oldstyle", By(kBaselineFixedNewstyleServer, kHandshakePortNoOldstyleOn10809), Change{},
       kOldstyle},
      {"server_swaps_first_magic_in_oldstyle", By(kGeneralByteOrderServer, kHandshakeMagic),
       ChangesOldstyleBytes([](Bytes& bytes) { std::reverse(bytes.begin(), bytes.begin() + 8); }), kOldstyle},
      {"server_greets_with_wrong_oldstyle_magic", kHandshakeOldstyleGreeting,
       ChangesOldstyleBytes([](Bytes& bytes) { bytes[15] += 1; }), kOldstyle},
      {"server_ends_oldstyle_greeting_after_size", kHandshakeOldstyleGreeting,
       ChangesOldstyleBytes([](Bytes& bytes) { bytes.resize(24); }), kOldstyle},
      {"server_sends_16_flags_in_oldstyle", kHandshakeOldstyleZeroPad,
       ChangesOldstyleBytes([](Bytes& bytes) { bytes.erase(bytes.begin() + 24, bytes.begin() + 26); }), kOldstyle},
      {"server_ends_oldstyle_greeting_after_flags", kHandshakeOldstyleZeroPad,
       ChangesOldstyleBytes([](Bytes& bytes) { bytes.resize(28); }), kOldstyle},
      {"server_pads_oldstyle_greeting_too_much", kHandshakeOldstyleZeroPad,
       ChangesOldstyleBytes([](Bytes& bytes) { bytes.resize(bytes.size() + 4); }), kOldstyle},
      {"server_pads_oldstyle_greeting_with_garbage", kHandshakeOldstyleZeroPad,
       ChangesGreeting<OldstyleGreeting>([](OldstyleGreeting& greeting) { greeting.pad_is_zero = false; }), kOldstyle},
      {"server_sets_handshake_flag_in_oldstyle", kHandshakeFlagsOldstyleNone,
       ChangesGreeting<OldstyleGreeting>(
           [](OldstyleGreeting& greeting) { greeting.flags |= std::uint32_t{HandshakeFlag::kFixedNewstyle} << 16; }),
       kOldstyle},
      {"server_closes_on_list", kBaselineFixedNewstyleServer, AnswersOption(kList, {HardDisconnect{}})},
      {"server_closes_on_structured_reply", kSessionHardOnlyWhenAllowedServer,
       AnswersOption(kStructuredReply, {HardDisconnect{}})},
      {"server_closes_after_an_error", kSessionHardOnlyWhenAllowedServer, LosesPatienceAfter(0)},
      {"server_closes_after_three_errors", kSessionServerErrorUnwelcome, LosesPatienceAfter(3)},
      {"server_ignores_unknown_option", kOptionReplyForEveryOption, AnswersOption(kUnknownOptions, {})},
      {"server_forgets_options_in_pieces", kSub<kOptionReplyForEveryOption, "pieces">,
       ForgetsByPieces<Option>(CameInPieces)},
      {"server_forgets_options_behind_others_in_a_segment", kSub<kOptionReplyForEveryOption, "one-segment">,
       ForgetsByPieces<Option>(CameWithOthers)},
      {"server_keeps_the_places_of_clients_that_ask_for_nothing", Fuzz(kHang, spec::kHandshakeMagic),
       KeepsPlaces(/*count=*/30)},
      {"server_answers_list_once", kSub<kOptionReplyForEveryOption, "again">, AnswersOnce(kList)},
      {"server_answers_info_once", kSub<kOptionReplyForEveryOption, "again">, AnswersOnce(kInfo)},
      {"server_lists_contexts_once", kSub<kOptionReplyForEveryOption, "each-twice">, AnswersOnce(kListContexts)},
      {"server_answers_go_once", kSub<kOptionReplyForEveryOption, "each-twice">, AnswersOnce(kGo)},
      {"server_answers_twice_behind_refused_data", kSub<kOptionReplyForEveryOption, "after-refusal">,
       AnswersTwiceBehindRefusals()},
      {"server_sends_wrong_option_reply_magic", spec::kOptionReplyMagic,
       ChangesOptionReplies(kAnyOption, [](OptionReply& reply) { reply.magic += 1; })},
      {"server_replies_for_option_0", kOptionReplyEchoOption,
       ChangesOptionReplies(kStructuredReply, [](OptionReply& reply) { reply.option = 0; })},
      {"server_replies_to_info_as_to_go", Session(kRule, 1000),
       ChangesOptionReplies(kInfo, [](OptionReply& reply) { reply.option = kGo; })},
      {"server_cuts_high_option_number", kOptionReplyEchoOption,
       ChangesOptionReplies(kAnyOption, [](OptionReply& reply) { reply.option &= 0x7fffffff; })},
      {"server_announces_longer_reply", kOptionReplyLengthAccurate, ChangesFirstListed([](OptionReply& reply) {
         reply.length_field = static_cast<std::uint32_t>(reply.payload.size() + 4);
       })},
      {"server_announces_shorter_reply", kOptionReplyLengthAccurate, ChangesFirstListed([](OptionReply& reply) {
         reply.length_field = static_cast<std::uint32_t>(reply.payload.size() - 1);
       })},
      {"server_announces_data_after_ack", kOptionReplyLengthAccurate,
       ChangesOptionReplies(kGo, kAck, [](OptionReply& reply) { reply.length_field = 8; })},
      {"server_refuses_unknown_option_by_policy", kBaselineUnsup, RepliesWith(kUnknownOptions, kErrPolicy)},
      {"server_acknowledges_unknown_option", kBaselineUnsup, RepliesWith(kUnknownOptions, kAck)},
      {"server_closes_on_unknown_option", kBaselineUnsup, AnswersOption(kUnknownOptions, {HardDisconnect{}})},
      {"server_does_not_skip_unknown_data", kBaselineUnsupResync, LosesItsPlace()},
      {"server_sends_data_with_ack", kRepAckNoData,
       ChangesOptionReplies(kStructuredReply, [](OptionReply& reply) { reply.payload = {0}; })},
      {"server_sends_data_with_ack_of_go", kRepAckNoData,
       ChangesOptionReplies(kGo, kAck, [](OptionReply& reply) { reply.payload.resize(12); })},
      {"server_refuses_by_type_5", kRepErrBit31, RepliesWith(kStructuredReply, 5)},
      {"server_forgets_info", kRepErrUnsup, RepliesLaterWith(kInfo, kErrUnsup)},
      {"server_calls_set_meta_context_invalid", kRepErrInvalid, RepliesWith(kSetContexts, kErrInvalid)},
      {"server_acknowledges_extended_headers", Contexts(kRule, 100),
       ReplacesReply(OptionType::kExtendedHeaders, kErrUnsup, kAck)},
      {"server_closes_on_abort", By(kOptionAbortAck, Session(kLost, 2000)), AnswersOption(kAbort, {HardDisconnect{}})},
      {"server_refuses_abort", kOptionAbortAck, RepliesWith(kAbort, kErrPolicy)},
      {"server_does_not_know_abort", kBaselineAbortServer, RepliesWith(kAbort, kErrUnsup)},
      {"server_ignores_abort", kBaselineAbortServer, AnswersOption(kAbort, {})},
      {"server_refuses_abort_with_data", kOptionAbortIgnoreData,
       ChangesOptionAnswer(kAbort,
                           [](const Option& to, Messages& sent) {
                             if (!to.payload.empty()) {
                               sent = {OptionReply{.option = to.option, .type = kErrInvalid}};
                             }
                           })},
      {"server_falls_over_abort", kOptionAbortServerToleratesClose, FallsOverAbort()},
      {"server_lists_by_info", kOptionListReplyShape,
       ChangesFirstListed([](OptionReply& reply) { reply.type = OptionReplyType::kInfo; })},
      {"server_does_not_end_its_list", By(kOptionListReplyShape, Session(kLost, 2000)), NeverEnds(kList)},
      {"server_lists_an_export_twice", By(kOptionListOnePerExport, Session(kRule, 2000)), RepeatsFirst(kList)},
      {"server_lists_nothing_to_every_second_client", Session(kStale, 2000),
       ChangesOptionAnswer(kList,
                           [](const Option&, Messages& sent, const Connection& on) {
                             if (sent.size() > 1 && on.number % 2 == 1) {
                               sent.clear();
                             }
                           })},
      {"server_lists_despite_data", kOptionListDataInvalid, IgnoresDataOf(kList)},
      {"server_forbids_list_with_data", kOptionListDataInvalid, RepliesWith(kList, kErrPolicy)},
      {"server_does_not_know_list", kBaselineListServer, RepliesWith(kList, kErrUnsup)},
      {"server_lists_by_type_0", kRepErrBit31, RepliesWith(kList, 0)},
      {"server_calls_list_invalid", kRepErrInvalid, RepliesWith(kList, kErrInvalid)},
      {"server_finds_no_export_to_list", kRepErrUnknown, RepliesWith(kList, kErrUnknown)},
      {"server_announces_longer_name", kRepServerNameLength,
       ChangesFirstListed([](OptionReply& reply) { reply.payload[3] += 1; })},
      {"server_lists_without_name_length", kRepServerNameLength,
       ChangesFirstListed([](OptionReply& reply) { reply.payload.resize(3); })},
      {"server_lists_a_name_it_does_not_know", kRepServerNameUsable, ChangesFirstListed([](OptionReply& reply) {
         reply.payload = EncodePayload(ListedExport{.name = "no longer there"});
       })},
      {"server_starts_tls_without_fixed_newstyle", By(kTlsNeedsFixedServer, kTlsModeNotlsWithoutFixed),
       RepliesWith(kStarttls, kAck)},
      {"server_wants_tls_for_info_but_has_none", kTlsModeOneOfThree, RepliesWith(kInfo, kErrTlsReqd)},
      {"server_wants_tls_for_list_only", kTlsModeOneOfThree,
       Both(Both(RepliesWith(kStarttls, kAck), RepliesWith(kList, kErrTlsReqd)),
            ReplacesReply(kInfo, kErrTlsReqd, kErrUnknown))},
      {"server_wants_tls_later", kTlsModeConsistent,
       Both(ReplacesReply(kInfo, kErrTlsReqd, kErrUnknown), RepliesLaterWith(kInfo, kErrTlsReqd))},
      {"server_has_tls_later", kTlsModeConsistent, RepliesLaterWith(kStarttls, kAck)},
      {"server_wants_tls_for_list_but_has_none", By(kTlsModeNotlsWithoutFixed, kTlsNotlsNoTlsReqd),
       RepliesWith(kList, kErrTlsReqd)},
      {"server_knows_no_export_starttls", kTlsNotlsStarttlsError, RepliesWith(kStarttls, kErrUnknown)},
      {"server_lists_for_starttls", kTlsNotlsStarttlsError, RepliesWith(kStarttls, OptionReplyType::kServer)},
      {"server_is_silent_about_starttls", kTlsNotlsStarttlsError, AnswersOption(kStarttls, {})},
      {"server_informs_about_starttls", kOptionStarttlsReply, RepliesWith(kStarttls, OptionReplyType::kInfo)},
      {"server_answers_starttls_by_type_99", kOptionStarttlsReply, RepliesWith(kStarttls, 99)},
      {"server_pads_though_no_zeroes_is_agreed", By(kHandshakeFlagsNoZeroes, Session(kBits, 100)),
       ChangesExportNameReply([](ExportNameReply& reply) { reply.pad.resize(kExportNamePadBytes); })},
      {"server_omits_pad_unasked", kHandshakeFlagsNoUnilateralChange,
       ChangesExportNameReply([](ExportNameReply& reply) { reply.pad.clear(); })},
      {"server_drops_clients_without_no_zeroes",
       By(kSub<kSessionHardOnlyWhenAllowedServer, "without-no-zeroes">, kServedWhateverFlags),
       DropsClientsWithout(ClientFlag::kNoZeroes)},
      {"server_drops_clients_without_fixed_newstyle", kServedWhateverFlags,
       DropsClientsWithout(ClientFlag::kFixedNewstyle)},
      {"server_refuses_names_without_no_zeroes", kServedWhateverFlags,
       ChangesByNameFor(ClientFlag::kFixedNewstyle, [](Messages& sent) { sent = {HardDisconnect{}}; })},
      {"server_hides_flags_from_clients_without_flags", kServedWhateverFlags,
       ChangesByNameFor(0,
                        [](Messages& sent) {
                          ForEach<ExportNameReply>(
                              sent, [](ExportNameReply& reply) { reply.flags = TransmissionFlag::kHasFlags; });
                        })},
      {"server_omits_pad_for_clients_without_flags", kSub<kOptionExportNameZeroPad, "no-flags">,
       ChangesByNameFor(0, [](Messages& sent) { SetPad(sent, 0); })},
      {"server_pads_for_clients_with_no_zeroes_alone", kSub<kHandshakeFlagsNoZeroes, "not-fixed">,
       ChangesByNameFor(ClientFlag::kNoZeroes, [](Messages& sent) { SetPad(sent, kExportNamePadBytes); })},
      {"server_replies_to_name_of_clients_without_flags", kSub<kOptionExportNameReplyLayout, "no-flags">,
       ChangesByNameFor(
           0, [](Messages& sent) { sent.insert(sent.begin(), OptionReply{.option = OptionType::kExportName}); })},
      {"server_puts_option_reply_before_export", kOptionExportNameReplyLayout,
       ChangesOptionAnswer(
           kExportName,
           [](const Option& to, Messages& sent) { sent.insert(sent.begin(), OptionReply{.option = to.option}); })},
      {"server_sends_size_without_flags", kOptionExportNameReplyLayout,
       AnswersOption(kExportName, {RawBytes{.bytes = {0, 0, 0, 0, 0, 64, 0, 0}}})},
      {"server_pads_too_little", kOptionExportNameZeroPad, ChangesPad([](Bytes& pad) { pad.pop_back(); })},
      {"server_pads_too_much", kOptionExportNameZeroPad, ChangesPad([](Bytes& pad) { pad.resize(pad.size() + 4); })},
      {"server_pads_with_garbage", kOptionExportNameZeroPad, ChangesPad([](Bytes& pad) { pad.back() = 1; })},
      {"server_serves_default_for_unknown_name", kOptionExportNameUnknownTerminates, IgnoresDataOf(kExportName)},
      {"server_is_silent_after_unknown_name",
       By(kOptionExportNameUnknownTerminates, kSessionMandatedHardIfNoSoftServer), AnswersOption(kExportName, {})},
      {"server_answers_unknown_name_by_option_reply", kSessionMandatedHardIfNoSoftServer,
       AnswersOption(kExportName, {OptionReply{.type = kErrUnknown}})},
      {"server_closes_on_export_name", kInteropExportNameServer, AnswersOption(kExportName, {HardDisconnect{}})},
      {"server_gives_other_size_by_name", kRepInfoExportSameAsExportName,
       ChangesExportNameReply([](ExportNameReply& reply) { reply.size /= 2; })},
      {"server_gives_other_flags_by_name", kRepInfoExportSameAsExportName,
       ChangesExportNameReply([](ExportNameReply& reply) { reply.flags ^= TransmissionFlag::kSendTrim; })},
      {"server_lists_latin1_name", kGeneralStringUtf8Server, Lists({.name = latin1})},
      {"server_lists_latin1_description", kGeneralStringUtf8Server, Lists({.name = "", .description = latin1})},
      {"server_describes_in_latin1", kGeneralStringUtf8Server, Describes(latin1)},
      {"server_refuses_in_latin1", kGeneralStringUtf8Server, Refuses(latin1)},
      {"server_lists_latin1_context", kGeneralStringUtf8Server,
       ChangesContexts(kListContexts, [=](MetaContext& context) { context = {.name = "x-nbdspec:" + latin1}; })},
      {"server_fails_in_latin1", By(kGeneralStringUtf8Server, kStructuredErrorMessageDisplayable), FailsSaying(latin1)},
      {"server_ends_name_with_nul", kGeneralStringNoNulServer, Lists({.name = "d" + nul})},
      {"server_ends_text_of_error_with_nul", By(kGeneralStringNoNulServer, kRepErrTextString), Refuses("no" + nul)},
      {"server_ends_text_of_error_chunk_with_nul", By(kGeneralStringNoNulServer, kStructuredErrorMessageDisplayable),
       FailsSaying("no" + nul)},
      {"server_lists_endless_name", kGeneralStringMax4096Server, Lists({.name = std::string(4097, 'x')})},
      {"server_refuses_endlessly", kGeneralStringMax4096Server, Refuses(std::string(5000, 'x'))},
      {"server_sends_endless_error_message", kStructuredErrorMessageCap, FailsSaying(std::string(4097, 'e'))},
      {"server_describes_at_length", kGeneralStringSoft256Server, Describes(std::string(257, 'x'))},
      {"server_sends_garbage_with_error", kRepErrTextString, Refuses("\x01\x02\xff\xfe")},
      {"server_sends_number_after_name", kRepServerTrailingText, Lists({.name = "d", .description = nul + "\x40"})},
  };
}

}  // namespace nbdspec::engine::faults
