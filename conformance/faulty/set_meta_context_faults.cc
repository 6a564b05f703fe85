// SPDX-License-Identifier: BSD-3-Clause
// Faults for set_meta_context_checks.cc.
#include <algorithm>

#include "conformance/faulty/context_faults.h"
#include "conformance/faulty/fault.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::ClientMessage;
using engine::ConnectionState;
using engine::MetaContext;
using engine::OptionReply;
using engine::OptionReplyType;
using engine::OptionType;
using engine::ServerMessage;

namespace {

constexpr std::uint32_t kSet = OptionType::kSetMetaContext;

// Selects what the queries before the malformed one ask for, and says ERR_INVALID all the same.
Fault KeepsPartOfFailedSet() {
  return HearsAndSaysWrong(
      "server_keeps_part_of_failed_set", spec::kOptionSetMetaContextPartialFailure,
      [](ClientMessage& heard, const ConnectionState&) {
        if (IsContextOption(&heard, kSet)) {
          std::get<engine::Option>(heard).payload = EncodePayload(
              engine::MetaContextQuery{.export_name = "", .queries = {std::string(engine::kBaseAllocation)}});
        }
        return true;
      },
      [](const ClientMessage* heard, const ConnectionState&, std::vector<ServerMessage>& said) {
        if (IsContextOption(heard, kSet)) {
          std::get<OptionReply>(said.back()).type = OptionReplyType::kErrInvalid;
        }
      });
}

// Answers for what was selected before, too.
Fault AddsToSelection() {
  return AnswersWrong("server_adds_to_selection", spec::kSub<spec::kOptionSetMetaContextReplaces, "other">,
                      engine::CommandType::kBlockStatus, [](const engine::Request&, std::vector<ServerMessage>& said) {
                        ServerMessage stale = said.front();
                        std::get<engine::Chunk>(stale).flags = 0;
                        said.insert(said.begin(), stale);
                      });
}

Fault IgnoresExportOfContexts() {
  return HearsWrong("server_ignores_export_of_contexts", spec::kOptionSetMetaContextOtherExport,
                    [](ClientMessage& heard, const ConnectionState&) {
                      if (IsContextOption(&heard, kSet)) {
                        auto& option = std::get<engine::Option>(heard);
                        if (auto query = engine::DecodeMetaContextQuery(option.payload)) {
                          query->export_name.clear();
                          option.payload = EncodePayload(*query);
                        }
                      }
                      return true;
                    });
}

Fault SelectsWithoutStructured() {
  return SaysWrong(
      "server_selects_without_structured_replies", spec::kOptionSetMetaContextErrWithoutStructured,
      [](const ClientMessage* heard, const ConnectionState& state, std::vector<ServerMessage>& said) {
        if (IsContextOption(heard, kSet) && !state.structured_replies) {
          said = {
              OptionReply{.option = kSet,
                          .type = OptionReplyType::kMetaContext,
                          .payload = EncodePayload(MetaContext{.id = 1, .name = std::string(engine::kBaseAllocation)})},
              OptionReply{.option = kSet}};
        }
      });
}

// Leaves one of several contexts out.
Fault LeavesOneOut() {
  return SaysWrong("server_leaves_one_context_out", spec::kOptionSetMetaContextReplyPerContext,
                   [](const ClientMessage* heard, const ConnectionState&, std::vector<ServerMessage>& said) {
                     if (IsContextOption(heard, kSet) && said.size() > 2) {
                       said.erase(said.begin());
                     }
                   });
}

Fault NamesEachTwice() {
  return SaysWrong("server_names_selected_context_twice", spec::kOptionSetMetaContextReplyPerContext,
                   [](const ClientMessage* heard, const ConnectionState&, std::vector<ServerMessage>& said) {
                     if (IsContextOption(heard, kSet) && said.size() > 1) {
                       const ServerMessage again = said.front();
                       said.insert(said.begin(), again);
                     }
                   });
}

Fault NeverEndsSet() {
  return SaysWrong("server_never_ends_set", spec::kOptionSetMetaContextFinalAck,
                   [](const ClientMessage* heard, const ConnectionState&, std::vector<ServerMessage>& said) {
                     if (IsContextOption(heard, kSet)) {
                       said.pop_back();
                     }
                   });
}

}  // namespace

std::vector<Fault> SetMetaContextFaults() {
  return {
      KeepsSelection("server_keeps_selection_after_set_of_nothing", spec::kOptionSetMetaContextReplaces,
                     OptionReplyType::kAck),
      KeepsSelection("server_keeps_selection_after_set_without_match",
                     spec::kSub<spec::kOptionSetMetaContextReplaces, "no-match">, OptionReplyType::kAck),
      AddsToSelection(),
      KeepsSelection("server_keeps_selection_after_unknown_export", spec::kOptionSetMetaContextReplacesOnFailure,
                     OptionReplyType::kErrUnknown),
      KeepsSelection("server_keeps_selection_after_query_overrun",
                     spec::kSub<spec::kOptionSetMetaContextReplacesOnFailure, "query-overrun">,
                     OptionReplyType::kErrInvalid),
      KeepsSelection("server_keeps_selection_after_name_overrun",
                     spec::kSub<spec::kOptionSetMetaContextReplacesOnFailure, "name-overrun">,
                     OptionReplyType::kErrInvalid),
      KeepsSelection("server_keeps_selection_after_set_without_data",
                     spec::kSub<spec::kOptionSetMetaContextReplacesOnFailure, "no-data">, OptionReplyType::kErrInvalid),
      KeepsPartOfFailedSet(),
      SelectsWithoutStructured(),
      Acknowledges("server_takes_malformed_set", spec::kOptionSetMetaContextSyntaxInvalid, kSet),
      EndsWrong("server_refuses_unknown_namespace_in_set", spec::kOptionSetMetaContextUnknownNamespace, kSet,
                OptionReplyType::kErrInvalid),
      ForgetsContexts("server_stops_at_unknown_namespace_in_set", spec::kOptionSetMetaContextUnknownNamespace, kSet),
      GivesContext("server_selects_all_for_no_queries", spec::kOptionSetMetaContextZeroQueries, kSet,
                   {.id = 9, .name = std::string(engine::kBaseAllocation)}),
      EndsWrong("server_refuses_set_without_queries", spec::kOptionSetMetaContextZeroQueries, kSet,
                OptionReplyType::kErrInvalid),
      LeavesOneOut(),
      NamesEachTwice(),
      RepeatsForEachQuery("server_selects_context_for_each_query", spec::kOptionSetMetaContextDuplicateQuery, kSet),
      NamesWrong("server_uses_ids_of_list_in_set", spec::kOptionSetMetaContextUniqueId, kSet,
                 [](MetaContext& context) { context.id = 0; }),
      NeverEndsSet(),
      EndsWrong("server_ends_set_with_info", spec::kOptionSetMetaContextFinalAck, kSet, OptionReplyType::kInfo),
      GivesContext("server_selects_unasked", spec::kOptionSetMetaContextNoUnqueried, kSet,
                   {.id = 9, .name = "qemu:allocation-depth"}),
      IgnoresExportOfContexts(),
      RefusesStatusAfter("server_forgets_selection_at_export_name", spec::kOptionSetMetaContextViaExportName,
                         OptionType::kExportName),
  };
}

}  // namespace nbdspec::conformance
