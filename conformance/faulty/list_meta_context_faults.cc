// SPDX-License-Identifier: BSD-3-Clause
// Faults for list_meta_context_checks.cc.
#include "conformance/faulty/context_faults.h"
#include "conformance/faulty/fault.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::MetaContext;
using engine::OptionReply;
using engine::OptionReplyType;
using engine::OptionType;

std::vector<Fault> ListMetaContextFaults() {
  constexpr std::uint32_t kList = OptionType::kListMetaContext;
  return {
      Acknowledges("server_reads_query_past_list_option", spec::kOptionListMetaContextSyntaxInvalidQueryOverrun, kList),
      RepliesWrong("server_calls_overrunning_query_too_big", spec::kOptionListMetaContextSyntaxInvalidQueryOverrun,
                   kList,
                   [](const engine::Option&, OptionReply& reply) {
                     if (reply.type == OptionReplyType::kErrInvalid) {
                       reply.type = OptionReplyType::kErrTooBig;
                     }
                   }),
      Acknowledges("server_reads_name_past_list_option", spec::kOptionListMetaContextSyntaxInvalidNameOverrun, kList),
      Acknowledges("server_reads_queries_that_are_not_there", spec::kOptionListMetaContextSyntaxInvalidCountOverrun,
                   kList),
      Acknowledges("server_takes_list_without_data", spec::kOptionListMetaContextSyntaxInvalidShort, kList),
      SaysWrong("server_ignores_list_without_count", spec::kOptionListMetaContextSyntaxInvalidShort,
                [](const engine::ClientMessage* heard, const engine::ConnectionState&,
                   std::vector<engine::ServerMessage>& said) {
                  if (IsContextOption(heard, kList) && std::get<engine::Option>(*heard).payload.size() == 4) {
                    said.clear();
                  }
                }),
      Acknowledges("server_ignores_bytes_after_last_query", spec::kOptionListMetaContextTrailingData, kList),
      EndsWrong("server_refuses_unknown_namespace_in_list", spec::kOptionListMetaContextUnknownNamespace, kList,
                OptionReplyType::kErrInvalid),
      ForgetsContexts("server_stops_at_unknown_namespace_in_list", spec::kOptionListMetaContextUnknownNamespace, kList),
      EndsWrong("server_calls_no_match_unknown", spec::kOptionListMetaContextNoMatchAck, kList,
                OptionReplyType::kErrUnknown),
      GivesContext("server_lists_for_unknown_namespace", spec::kOptionListMetaContextNoMatchAck, kList,
                   {.name = "x-nbdspec-none:leaf"}),
      RepliesWrong("server_lists_contexts_as_exports", spec::kOptionListMetaContextReplyShape, kList,
                   [](const engine::Option&, OptionReply& reply) {
                     if (reply.type == OptionReplyType::kMetaContext) {
                       reply.type = OptionReplyType::kServer;
                     }
                   }),
      SaysWrong("server_never_ends_context_list", spec::kOptionListMetaContextReplyShape,
                [](const engine::ClientMessage* heard, const engine::ConnectionState&,
                   std::vector<engine::ServerMessage>& said) {
                  if (IsContextOption(heard, kList)) {
                    said.pop_back();
                  }
                }),
      ForgetsContexts("server_lists_nothing_without_queries", spec::kOptionListMetaContextZeroQueriesAll, kList),
      EndsWrong("server_calls_no_queries_too_big", spec::kOptionListMetaContextZeroQueriesNoTooBig, kList,
                OptionReplyType::kErrTooBig),
      ForgetsContexts("server_matches_nothing", spec::kOptionListMetaContextMatches, kList),
      GivesContext("server_lists_whatever_is_asked", spec::kOptionListMetaContextOnlyMatches, kList,
                   {.name = "qemu:allocation-depth"}),
      RepeatsForEachQuery("server_lists_context_for_each_query", spec::kOptionListMetaContextNoDuplicates, kList),
      NamesWrong("server_gives_ids_in_list", spec::kOptionListMetaContextIdZero, kList,
                 [](MetaContext& context) { context.id = 7; }),
      RefusesStatusAfter("server_drops_selection_at_list", spec::kOptionListMetaContextNoSelectionEffect, kList),
  };
}

}  // namespace nbdspec::conformance
