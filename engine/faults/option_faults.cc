// SPDX-License-Identifier: BSD-3-Clause
// Faults of option replies in general, of ABORT, LIST and STARTTLS.
#include <memory>

#include "engine/faults/fault_tables.h"
#include "engine/faults/option_changes.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine::faults {

namespace {

using enum Family;

// Reads the data of an unknown option as the next one, and gives up.
Change LosesItsPlace() {
  return ChangesOptionAnswer(kAnyOption, [lost = false](const Option& to, Messages& sent) mutable {
    if (lost) {
      sent = {HardDisconnect{}};
    }
    lost = lost || (IsOneOf(to, kUnknownOptions) && !to.payload.empty());
  });
}

// Is down, for one client, after another one sent ABORT.
Change FallsOverAbort() {
  return {
      .sent = [is_down = std::make_shared<bool>(false)](const ClientMessage* to, const Connection&, Messages& sent) {
        const auto* option = std::get_if<Option>(to);
        if (to == nullptr && *is_down) {
          sent = {HardDisconnect{}};
          *is_down = false;
        } else if (option != nullptr && option->option == OptionType::kAbort) {
          *is_down = true;
        }
      }};
}

// The first export of a list.
Change ChangesFirstListed(std::function<void(OptionReply& reply)> change) {
  return ChangesOptionAnswer(OptionType::kList, [change = std::move(change)](Messages& sent) {
    auto* reply = std::get_if<OptionReply>(&sent.front());
    if (reply != nullptr && reply->type == OptionReplyType::kServer) {
      change(*reply);
    }
  });
}

}  // namespace

std::vector<Fault> OptionReplyFaults() {
  return {
      {"server_ignores_unknown_option", spec::kOptionReplyForEveryOption, AnswersOption(kUnknownOptions, {})},
      {"server_sends_wrong_option_reply_magic", spec::kOptionReplyMagic,
       ChangesOptionReplies(kAnyOption, [](OptionReply& reply) { reply.magic += 1; })},
      {"server_replies_for_option_0", spec::kOptionReplyEchoOption,
       ChangesOptionReplies(OptionType::kStructuredReply, [](OptionReply& reply) { reply.option = 0; })},
      {"server_replies_to_info_as_to_go", Session(kRule, 1000),
       ChangesOptionReplies(OptionType::kInfo, [](OptionReply& reply) { reply.option = OptionType::kGo; })},
      {"server_cuts_high_option_number", spec::kOptionReplyEchoOption,
       ChangesOptionReplies(kAnyOption, [](OptionReply& reply) { reply.option &= 0x7fffffff; })},
      {"server_announces_longer_reply", spec::kOptionReplyLengthAccurate, ChangesFirstListed([](OptionReply& reply) {
         reply.length_field = static_cast<std::uint32_t>(reply.payload.size() + 4);
       })},
      {"server_announces_shorter_reply", spec::kOptionReplyLengthAccurate, ChangesFirstListed([](OptionReply& reply) {
         reply.length_field = static_cast<std::uint32_t>(reply.payload.size() - 1);
       })},
      {"server_announces_data_after_ack", spec::kOptionReplyLengthAccurate,
       ChangesOptionReplies(OptionType::kGo, OptionReplyType::kAck,
                            [](OptionReply& reply) { reply.length_field = 8; })},
      {"server_refuses_unknown_option_by_policy", spec::kBaselineUnsup,
       RepliesWith(kUnknownOptions, OptionReplyType::kErrPolicy)},
      {"server_acknowledges_unknown_option", spec::kBaselineUnsup, RepliesWith(kUnknownOptions, OptionReplyType::kAck)},
      {"server_closes_on_unknown_option", spec::kBaselineUnsup, AnswersOption(kUnknownOptions, {HardDisconnect{}})},
      {"server_does_not_skip_unknown_data", spec::kBaselineUnsupResync, LosesItsPlace()},
      {"server_sends_data_with_ack", spec::kRepAckNoData,
       ChangesOptionReplies(OptionType::kStructuredReply, [](OptionReply& reply) { reply.payload = {0}; })},
      {"server_sends_data_with_ack_of_go", spec::kRepAckNoData,
       ChangesOptionReplies(OptionType::kGo, OptionReplyType::kAck,
                            [](OptionReply& reply) { reply.payload.resize(12); })},
      {"server_refuses_by_type_5", spec::kRepErrBit31, RepliesWith(OptionType::kStructuredReply, 5)},
      {"server_forgets_info", spec::kRepErrUnsup, RepliesLaterWith(OptionType::kInfo, OptionReplyType::kErrUnsup)},
      {"server_calls_set_meta_context_invalid", spec::kRepErrInvalid,
       RepliesWith(OptionType::kSetMetaContext, OptionReplyType::kErrInvalid)},
      {"server_acknowledges_extended_headers", Contexts(kRule, 100),
       ReplacesReply(OptionType::kExtendedHeaders, OptionReplyType::kErrUnsup, OptionReplyType::kAck)},
      {"server_closes_on_abort", By(spec::kOptionAbortAck, Session(kLost, 2000)),
       AnswersOption(OptionType::kAbort, {HardDisconnect{}})},
      {"server_refuses_abort", spec::kOptionAbortAck, RepliesWith(OptionType::kAbort, OptionReplyType::kErrPolicy)},
      {"server_does_not_know_abort", spec::kBaselineAbortServer,
       RepliesWith(OptionType::kAbort, OptionReplyType::kErrUnsup)},
      {"server_ignores_abort", spec::kBaselineAbortServer, AnswersOption(OptionType::kAbort, {})},
      {"server_refuses_abort_with_data", spec::kOptionAbortIgnoreData,
       ChangesOptionAnswer(OptionType::kAbort,
                           [](const Option& to, Messages& sent) {
                             if (!to.payload.empty()) {
                               sent = {OptionReply{.option = to.option, .type = OptionReplyType::kErrInvalid}};
                             }
                           })},
      {"server_falls_over_abort", spec::kOptionAbortServerToleratesClose, FallsOverAbort()},
  };
}

std::vector<Fault> ListFaults() {
  constexpr std::uint32_t kList = OptionType::kList;
  return {
      {"server_lists_by_info", spec::kOptionListReplyShape,
       ChangesFirstListed([](OptionReply& reply) { reply.type = OptionReplyType::kInfo; })},
      {"server_does_not_end_its_list", By(spec::kOptionListReplyShape, Session(kLost, 2000)), NeverEnds(kList)},
      {"server_lists_an_export_twice", By(spec::kOptionListOnePerExport, Session(kRule, 2000)), RepeatsFirst(kList)},
      {"server_lists_nothing_to_every_second_client", Session(kStale, 2000),
       ChangesOptionAnswer(kList,
                           [](const Option&, Messages& sent, const Connection& on) {
                             if (sent.size() > 1 && on.number % 2 == 1) {
                               sent.clear();
                             }
                           })},
      {"server_lists_despite_data", spec::kOptionListDataInvalid, IgnoresDataOf(kList)},
      {"server_forbids_list_with_data", spec::kOptionListDataInvalid, RepliesWith(kList, OptionReplyType::kErrPolicy)},
      {"server_does_not_know_list", spec::kBaselineListServer, RepliesWith(kList, OptionReplyType::kErrUnsup)},
      {"server_lists_by_type_0", spec::kRepErrBit31, RepliesWith(kList, 0)},
      {"server_calls_list_invalid", spec::kRepErrInvalid, RepliesWith(kList, OptionReplyType::kErrInvalid)},
      {"server_finds_no_export_to_list", spec::kRepErrUnknown, RepliesWith(kList, OptionReplyType::kErrUnknown)},
      {"server_announces_longer_name", spec::kRepServerNameLength,
       ChangesFirstListed([](OptionReply& reply) { reply.payload[3] += 1; })},
      {"server_lists_without_name_length", spec::kRepServerNameLength,
       ChangesFirstListed([](OptionReply& reply) { reply.payload.resize(3); })},
      {"server_lists_a_name_it_does_not_know", spec::kRepServerNameUsable, ChangesFirstListed([](OptionReply& reply) {
         reply.payload = EncodePayload(ListedExport{.name = "no longer there"});
       })},
  };
}

std::vector<Fault> StarttlsFaults() {
  constexpr std::uint32_t kTls = OptionType::kStarttls;
  return {
      {"server_starts_tls_without_fixed_newstyle", By(spec::kTlsNeedsFixedServer, spec::kTlsModeNotlsWithoutFixed),
       RepliesWith(kTls, OptionReplyType::kAck)},
      {"server_wants_tls_for_info_but_has_none", spec::kTlsModeOneOfThree,
       RepliesWith(OptionType::kInfo, OptionReplyType::kErrTlsReqd)},
      {"server_wants_tls_for_list_only", spec::kTlsModeOneOfThree,
       Both(RepliesWith(kTls, OptionReplyType::kAck), RepliesWith(OptionType::kList, OptionReplyType::kErrTlsReqd))},
      {"server_wants_tls_later", spec::kTlsModeConsistent,
       RepliesLaterWith(OptionType::kInfo, OptionReplyType::kErrTlsReqd)},
      {"server_has_tls_later", spec::kTlsModeConsistent, RepliesLaterWith(kTls, OptionReplyType::kAck)},
      {"server_wants_tls_for_list_but_has_none", By(spec::kTlsModeNotlsWithoutFixed, spec::kTlsNotlsNoTlsReqd),
       RepliesWith(OptionType::kList, OptionReplyType::kErrTlsReqd)},
      {"server_knows_no_export_starttls", spec::kTlsNotlsStarttlsError,
       RepliesWith(kTls, OptionReplyType::kErrUnknown)},
      {"server_lists_for_starttls", spec::kTlsNotlsStarttlsError, RepliesWith(kTls, OptionReplyType::kServer)},
      {"server_is_silent_about_starttls", spec::kTlsNotlsStarttlsError, AnswersOption(kTls, {})},
      {"server_informs_about_starttls", spec::kOptionStarttlsReply, RepliesWith(kTls, OptionReplyType::kInfo)},
      {"server_answers_starttls_by_type_99", spec::kOptionStarttlsReply, RepliesWith(kTls, 99)},
  };
}

}  // namespace nbdspec::engine::faults
