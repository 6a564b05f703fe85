// SPDX-License-Identifier: BSD-3-Clause
// Faults for list_meta_context_checks.cc.
#include "conformance/faulty/context_faults.h"
#include "conformance/faulty/fault.h"

namespace nbdspec::conformance {

using engine::MetaContext;
using engine::OptionReply;
using engine::OptionReplyType;
using engine::OptionType;

std::vector<Fault> ListMetaContextFaults() {
  constexpr std::uint32_t kList = OptionType::kListMetaContext;
  return {
      Acknowledges("server_reads_query_past_list_option", "option.list-meta-context.syntax-invalid.query-overrun",
                   kList),
      RepliesWrong("server_calls_overrunning_query_too_big", "option.list-meta-context.syntax-invalid.query-overrun",
                   kList,
                   [](const engine::Option&, OptionReply& reply) {
                     if (reply.type == OptionReplyType::kErrInvalid) {
                       reply.type = OptionReplyType::kErrTooBig;
                     }
                   }),
      Acknowledges("server_reads_name_past_list_option", "option.list-meta-context.syntax-invalid.name-overrun", kList),
      Acknowledges("server_reads_queries_that_are_not_there", "option.list-meta-context.syntax-invalid.count-overrun",
                   kList),
      Acknowledges("server_takes_list_without_data", "option.list-meta-context.syntax-invalid.short", kList),
      SaysWrong("server_ignores_list_without_count", "option.list-meta-context.syntax-invalid.short",
                [](const engine::ClientMessage* heard, const engine::ConnectionState&,
                   std::vector<engine::ServerMessage>& said) {
                  if (IsContextOption(heard, kList) && std::get<engine::Option>(*heard).payload.size() == 4) {
                    said.clear();
                  }
                }),
      Acknowledges("server_ignores_bytes_after_last_query", "option.list-meta-context.trailing-data", kList),
      EndsWrong("server_refuses_unknown_namespace_in_list", "option.list-meta-context.unknown-namespace", kList,
                OptionReplyType::kErrInvalid),
      ForgetsContexts("server_stops_at_unknown_namespace_in_list", "option.list-meta-context.unknown-namespace", kList),
      EndsWrong("server_calls_no_match_unknown", "option.list-meta-context.no-match-ack", kList,
                OptionReplyType::kErrUnknown),
      GivesContext("server_lists_for_unknown_namespace", "option.list-meta-context.no-match-ack", kList,
                   {.name = "x-nbdspec-none:leaf"}),
      RepliesWrong("server_lists_contexts_as_exports", "option.list-meta-context.reply-shape", kList,
                   [](const engine::Option&, OptionReply& reply) {
                     if (reply.type == OptionReplyType::kMetaContext) {
                       reply.type = OptionReplyType::kServer;
                     }
                   }),
      SaysWrong("server_never_ends_context_list", "option.list-meta-context.reply-shape",
                [](const engine::ClientMessage* heard, const engine::ConnectionState&,
                   std::vector<engine::ServerMessage>& said) {
                  if (IsContextOption(heard, kList)) {
                    said.pop_back();
                  }
                }),
      ForgetsContexts("server_lists_nothing_without_queries", "option.list-meta-context.zero-queries-all", kList),
      EndsWrong("server_calls_no_queries_too_big", "option.list-meta-context.zero-queries-no-too-big", kList,
                OptionReplyType::kErrTooBig),
      ForgetsContexts("server_matches_nothing", "option.list-meta-context.matches", kList),
      GivesContext("server_lists_whatever_is_asked", "option.list-meta-context.only-matches", kList,
                   {.name = "qemu:allocation-depth"}),
      RepeatsForEachQuery("server_lists_context_for_each_query", "option.list-meta-context.no-duplicates", kList),
      NamesWrong("server_gives_ids_in_list", "option.list-meta-context.id-zero", kList,
                 [](MetaContext& context) { context.id = 7; }),
      RefusesStatusAfter("server_drops_selection_at_list", "option.list-meta-context.no-selection-effect", kList),
  };
}

}  // namespace nbdspec::conformance
