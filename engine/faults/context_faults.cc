// SPDX-License-Identifier: BSD-3-Clause
// Faults of LIST_META_CONTEXT and SET_META_CONTEXT: what they parse, match, name and reply, and which contexts are then
// selected.
#include <cctype>

#include "engine/faults/fault_tables.h"

namespace nbdspec::engine::faults {

namespace {

constexpr std::string_view kBase = kBaseAllocation;

// Each context has the name `name`.
Change Names(std::string name) {
  return ChangesContexts(kEitherMetaContext, [=](MetaContext& context) { context.name = name; });
}

// A query for `from` is taken for one for `to`.
Change TakesQueryFor(std::uint32_t option, std::string from, std::string to) {
  return ChangesQueries(option, [=](MetaContextQuery& query) { std::ranges::replace(query.queries, from, to); });
}

// An option without queries is taken for one with `queries`.
Change AddsQueries(std::uint32_t option, std::vector<std::string> queries) {
  return ChangesQueries(
      option, [=](MetaContextQuery& query) { query.queries = query.queries.empty() ? queries : query.queries; });
}

Change ChangesEachQuery(std::function<void(std::string& query)> change) {
  return ChangesQueries(kEitherMetaContext,
                        [=](MetaContextQuery& query) { std::ranges::for_each(query.queries, change); });
}

// The last reply of the type `from` becomes one of `to`, where the query can be decoded or cannot.
Change EndsWith(std::uint32_t option, bool can_decode, std::uint32_t from, std::uint32_t to_type) {
  return ChangesOptionReplies(option, from, [=](const Option& to, OptionReply& reply) {
    if (DecodePayload<MetaContextQuery>(to.payload).has_value() == can_decode) {
      reply.type = to_type;
      reply.payload.clear();
    }
  });
}

using Selection = std::vector<MetaContext>;

// Answers BLOCK_STATUS for `contexts`, then with `others`.
Messages StatusOf(const Request& to, const Selection& contexts, Messages others = {}) {
  Messages sent;
  for (const MetaContext& context : contexts) {
    sent.emplace_back(StatusChunk(to, context.id, {{.length = to.length}}));
  }
  sent.insert(sent.end(), others.begin(), others.end());
  SetDoneOnLast(sent);
  return sent;
}

// Which contexts a change keeps after an option and its true answer; `latest` were the last ones selected before.
using Keep = std::function<Selection(const Option& to, const Messages& sent, const Selection& latest)>;

// Answers BLOCK_STATUS for contexts that it keeps, where none is selected.
Change Keeps(Keep keep) {
  return {.sent = [keep = std::move(keep), latest = Selection(), kept = Selection()](
                      const ClientMessage* to, const Connection& on, Messages& sent) mutable {
    const auto* option = std::get_if<Option>(to);
    const auto* request = std::get_if<Request>(to);
    const Selection& selected = on.negotiated->contexts;
    if (option != nullptr) {
      Selection more = keep(*option, sent, latest);
      kept = more.empty() && option->option != kSetContexts ? kept : std::move(more);
      latest = selected.empty() ? latest : selected;
    } else if (request != nullptr && request->type == kBlockStatus && selected.empty() && !kept.empty() &&
               OnError(*request, sent)) {
      sent = StatusOf(*request, kept);
    }
  }};
}

// After SET_META_CONTEXT that selects nothing and ends with `reply_type`.
Change KeepsAfterSet(std::uint32_t reply_type) {
  return Keeps([reply_type](const Option& to, const Messages& sent, const Selection& latest) {
    const bool keeps = to.option == kSetContexts && LastReplyType(sent) == reply_type && ContextsIn(sent).empty();
    return keeps ? latest : Selection();
  });
}

// After `option` that ends with `reply_type`.
Change KeepsAfter(std::uint32_t option, std::uint32_t reply_type) {
  return Keeps([=](const Option& to, const Messages& sent, const Selection& latest) {
    return to.option == option && LastReplyType(sent) == reply_type ? latest : Selection();
  });
}

// Answers BLOCK_STATUS for what an earlier SET_META_CONTEXT selected as well.
Change AddsToSelection() {
  return {.sent = [latest = Selection(), earlier = Selection()](const ClientMessage* to, const Connection& on,
                                                                Messages& sent) mutable {
    const auto* option = std::get_if<Option>(to);
    const auto* request = std::get_if<Request>(to);
    if (option != nullptr && option->option == kSetContexts) {
      earlier = latest;
      latest = on.negotiated->contexts.empty() ? latest : on.negotiated->contexts;
    } else if (request != nullptr && request->type == kBlockStatus && !earlier.empty() && !sent.empty()) {
      // Where nothing is selected now the request was refused, and only the status of before remains.
      const bool succeeded = OnStructuredSuccess(*request, sent);
      sent = StatusOf(*request, earlier, succeeded ? std::move(sent) : Messages());
    }
  }};
}

// Answers BLOCK_STATUS with the ids of the first contexts that were selected.
Change UsesFirstIds() {
  return {.sent = [first = Selection()](const ClientMessage*, const Connection& on, Messages& sent) mutable {
    const Selection& now = on.negotiated->contexts;
    first = first.empty() ? now : first;
    ForEachStatus(sent, [&](BlockStatus& status) {
      const auto at =
          static_cast<std::size_t>(std::ranges::find(now, status.context_id, &MetaContext::id) - now.begin());
      status.context_id = at < first.size() ? first[at].id : status.context_id;
    });
  }};
}

// Answers BLOCK_STATUS with the extents of the export that INFO asked for last, where that is another one than what GO
// or EXPORT_NAME enters: as if it were all zeroes.
Change DescribesTheExportOfTheLastInfo() {
  return {.sent = [is_other = false](const ClientMessage* to, const Connection&, Messages& sent) mutable {
    const auto* asked = std::get_if<Option>(to);
    if (asked != nullptr && asked->option == kInfo) {
      const auto query = DecodePayload<InfoQuery>(asked->payload);
      is_other = query && !query->name.empty();
    } else if (is_other && std::get_if<Request>(to) != nullptr) {
      ForEachStatus(sent, [](BlockStatus& status) {
        for (Descriptor& descriptor : status.descriptors) {
          descriptor.status |= AllocationFlag::kZero;
        }
      });
    }
  }};
}

// Refuses BLOCK_STATUS after `option` that ends with `reply_type` (0: with no option reply), until contexts are
// selected.
Change ForgetsAfter(std::uint32_t option, std::uint32_t reply_type) {
  return {.sent = [=, forgets = false](const ClientMessage* to, const Connection&, Messages& sent) mutable {
    const auto* asked = std::get_if<Option>(to);
    const auto* request = std::get_if<Request>(to);
    if (asked != nullptr) {
      forgets =
          asked->option != kSetContexts && (forgets || (asked->option == option && LastReplyType(sent) == reply_type));
    } else if (request != nullptr && request->type == kBlockStatus && forgets) {
      AnswerWith(*request, kEinval, sent);
    }
  }};
}

// Selects what the queries before the malformed one ask for, and replies ERR_INVALID all the same.
Change KeepsPartOfFailedSet() {
  const Bytes payload = EncodePayload(MetaContextQuery{.export_name = "", .queries = {std::string(kBaseAllocation)}});
  return Both(ChangesOption(kSetContexts, [payload](Option& option) { option.payload = payload; }),
              ReplacesReply(kSetContexts, kAck, kErrInvalid));
}

}  // namespace

std::vector<Fault> ContextFaults() {
  return {
      {"server_acknowledges_malformed_query",
       By(kOptionListMetaContextSyntaxInvalidQueryOverrun, kOptionListMetaContextSyntaxInvalidNameOverrun,
          kOptionListMetaContextSyntaxInvalidCountOverrun, kOptionListMetaContextSyntaxInvalidShort,
          kOptionListMetaContextTrailingData, kOptionSetMetaContextSyntaxInvalid, Contexts(kRule, 100)),
       EndsWith(kEitherMetaContext, /*can_decode=*/false, kErrInvalid, kAck)},
      {"server_calls_overrunning_query_too_big", kOptionListMetaContextSyntaxInvalidQueryOverrun,
       ReplacesReply(kListContexts, kErrInvalid, kErrTooBig)},
      {"server_calls_malformed_query_unknown", Contexts(kError, 100),
       ReplacesReply(kEitherMetaContext, kErrInvalid, kErrUnknown)},
      {"server_ignores_list_without_count", kOptionListMetaContextSyntaxInvalidShort,
       ChangesOptionAnswer(kListContexts,
                           [](const Option& to, Messages& sent) {
                             if (to.payload.size() == 4) {
                               sent.clear();
                             }
                           })},
      {"server_takes_structured_reply_with_data", By(kOptionStructuredReplyDataInvalid, Contexts(kRule, 100)),
       IgnoresDataOf(kStructuredReply)},
      {"server_refuses_set",
       By(kOptionSetMetaContextUnknownNamespace, kOptionSetMetaContextZeroQueries, kMetadataBaseSetWildcardIgnored,
          kMetadataBaseUnknownLeafIgnored),
       ReplacesReply(kSetContexts, kAck, kErrInvalid)},
      {"server_refuses_unknown_namespace_in_set", Contexts(kError, 200),
       ChangesOptionReplies(kSetContexts, kAck,
                            [](const Option& to, OptionReply& reply) {
                              const auto query = DecodePayload<MetaContextQuery>(to.payload);
                              reply.type =
                                  query && std::ranges::count(query->queries, "x-nowhere:") > 0 ? kErrInvalid : kAck;
                            })},
      {"server_refuses_list", kOptionListMetaContextUnknownNamespace, ReplacesReply(kListContexts, kAck, kErrInvalid)},
      {"server_calls_listed_contexts_unknown",
       By(kOptionListMetaContextNoMatchAck, kSub<kMetadataBaseUnknownLeafIgnored, "list">),
       ReplacesReply(kListContexts, kAck, kErrUnknown)},
      {"server_calls_no_queries_too_big", kOptionListMetaContextZeroQueriesNoTooBig,
       RepliesWith(kListContexts, kErrTooBig)},
      {"server_ends_set_with_info", kOptionSetMetaContextFinalAck,
       ReplacesReply(kSetContexts, kAck, OptionReplyType::kInfo)},
      {"server_calls_set_without_structured_replies_unsupported", Contexts(kError, 250),
       EndsWith(kSetContexts, /*can_decode=*/true, kErrInvalid, kErrUnsup)},
      {"server_selects_without_structured_replies", By(kOptionSetMetaContextErrWithoutStructured, Contexts(kLost, 250)),
       ChangesOptionAnswer(kSetContexts,
                           [](const Option& to, Messages& sent, const Connection& on) {
                             if (!on.negotiated->structured_replies) {
                               sent = {ReplyOf(to, {.id = 1, .name = std::string(kBase)}),
                                       OptionReply{.option = kSetContexts}};
                             }
                           })},
      {"server_never_ends_contexts", By(kOptionListMetaContextReplyShape, kOptionSetMetaContextFinalAck),
       NeverEnds(kEitherMetaContext)},
      {"server_lists_contexts_as_exports", kOptionListMetaContextReplyShape,
       ChangesOptionReplies(kListContexts, OptionReplyType::kMetaContext,
                            [](OptionReply& reply) { reply.type = OptionReplyType::kServer; })},
      {"server_answers_list_as_set", Contexts(kRule, 100),
       ChangesOptionReplies(kListContexts, [](OptionReply& reply) { reply.option = kSetContexts; })},
      {"server_acknowledges_before_contexts", Contexts(kOrder, 100),
       ChangesOptionAnswer(kEitherMetaContext, [](Messages& sent) { std::ranges::rotate(sent, sent.end() - 1); })},
      {"server_lists_nothing",
       By(kOptionListMetaContextUnknownNamespace, kSub<kMetadataBaseUnknownLeafIgnored, "list">,
          kOptionListMetaContextMatches),
       DropsContexts(kListContexts)},
      {"server_selects_nothing", By(kOptionSetMetaContextUnknownNamespace, kMetadataBaseUnknownLeafIgnored),
       DropsContexts(kSetContexts)},
      {"server_lists_what_no_query_asks_for", By(kOptionListMetaContextNoMatchAck, kOptionListMetaContextOnlyMatches),
       AddsContext(kListContexts, {.name = "qemu:allocation-depth"})},
      {"server_selects_what_no_query_asks_for", By(kMetadataEmptyLeafSet, kOptionSetMetaContextNoUnqueried),
       AddsContext(kSetContexts, {.id = 9, .name = "x-nbdspec-none:depth"})},
      {"server_takes_base_as_wildcard_in_set", By(kMetadataBaseSetWildcardIgnored, Contexts(kRule, 500)),
       TakesQueryFor(kSetContexts, "base:", std::string(kBase))},
      {"server_ignores_base_in_list", By(kMetadataBaseListWildcard, Contexts(kLost, 650)),
       TakesQueryFor(kListContexts, "base:", "base:nothing")},
      {"server_lists_nothing_without_queries", By(kOptionListMetaContextZeroQueriesAll, Contexts(kLost, 200)),
       AddsQueries(kListContexts, {"x-nowhere:"})},
      {"server_selects_all_without_queries", By(kOptionSetMetaContextZeroQueries, Contexts(kRule, 350)),
       AddsQueries(kSetContexts, {std::string(kBase), std::string(kBlockIndexContext)})},
      {"server_answers_only_the_first_query", By(kOptionSetMetaContextReplyPerContext, Contexts(kRule, 200)),
       ChangesQueries(
           kEitherMetaContext,
           [](MetaContextQuery& query) { query.queries.resize(std::min<std::size_t>(query.queries.size(), 1)); })},
      {"server_completes_names_in_queries", Contexts(kRule, 1500), ChangesEachQuery([](std::string& query) {
         query = query.size() > 6 && kBase.starts_with(query) ? std::string(kBase) : query;
       })},
      {"server_ignores_case_in_queries", Contexts(kRule, 850), ChangesEachQuery([](std::string& query) {
         std::ranges::transform(query, query.begin(),
                                [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
       })},
      {"server_ignores_export_of_contexts", kOptionSetMetaContextOtherExport,
       ChangesQueries(kSetContexts, [](MetaContextQuery& query) { query.export_name.clear(); })},
      {"server_selects_for_the_export_of_its_first_selection",
       By(kSub<kOptionSetMetaContextOtherExport, "every-order">, kSub<kOptionSetMetaContextReplaces, "every-order">),
       ChangesQueries(kSetContexts,
                      [first = std::optional<std::string>()](MetaContextQuery& query) mutable {
                        first = first.value_or(query.export_name);
                        query.export_name = *first;
                      })},
      {"server_has_contexts_for_export_without", Contexts(kLost, 1500),
       ChangesQueries(
           kEitherMetaContext,
           [](MetaContextQuery& query) { query.export_name = query.export_name == "bare" ? "a" : query.export_name; })},
      {"server_names_a_context_twice",
       By(kOptionSetMetaContextReplyPerContext, kOptionListMetaContextNoDuplicates, kOptionSetMetaContextDuplicateQuery,
          Contexts(kRule, 2000)),
       RepeatsFirst(kEitherMetaContext)},
      {"server_names_context_without_colon", kMetadataNameFormatServer, Names("allocation")},
      {"server_names_context_without_namespace", kMetadataNameNamespaceNonempty, Names(":allocation")},
      {"server_puts_blank_into_namespace", kMetadataNameNamespaceCharset, Names("x-my disk:allocation")},
      {"server_puts_bare_byte_into_namespace", kMetadataNameNamespaceCharset, Names("x-\xff:allocation")},
      {"server_invents_namespace", kMetadataNamespaceAllowed, Names("acme:allocation")},
      {"server_invents_context_in_base", kMetadataBaseOnlyAllocation, Names("base:dirty")},
      {"server_names_context_in_latin_1", kRepMetaContextUtf8, Names("x-lat:caf\xe9")},
      {"server_sends_context_without_name", kRepMetaContextLayout,
       ChangesOptionReplies(kAnyOption, OptionReplyType::kMetaContext,
                            [](OptionReply& reply) { reply.payload.resize(4); })},
      {"server_gives_ids_in_list", By(kOptionListMetaContextIdZero, Session(kRule, 4000), Contexts(kRule, 200)),
       ChangesContexts(kListContexts, [](MetaContext& context) { context.id = 7; })},
      {"server_gives_all_contexts_one_id",
       By(kOptionSetMetaContextUniqueId, Session(kRule, 100), Contexts(kRule, 2500)),
       ChangesContexts(kSetContexts, [](MetaContext& context) { context.id = 1; })},
      {"server_swaps_ids", Contexts(kOrder, 15'000),
       ChangesOptionAnswer(kSetContexts,
                           [](const Option& to, Messages& sent) {
                             auto contexts = ContextsIn(sent);
                             if (contexts.size() > 1) {
                               std::swap(contexts.front().id, contexts.back().id);
                               std::ranges::transform(contexts, sent.begin(),
                                                      [&](const MetaContext& each) { return ReplyOf(to, each); });
                             }
                           })},
      {"server_keeps_selection_after_set_of_nothing",
       By(kOptionSetMetaContextReplaces, kSub<kOptionSetMetaContextReplaces, "no-match">, Contexts(kStale, 1500)),
       KeepsAfterSet(kAck)},
      {"server_keeps_selection_after_unknown_export",
       By(kOptionSetMetaContextReplacesOnFailure, Contexts(kStale, 7500)), KeepsAfterSet(kErrUnknown)},
      {"server_keeps_selection_after_malformed_set",
       By(kSub<kOptionSetMetaContextReplacesOnFailure, "query-overrun">,
          kSub<kOptionSetMetaContextReplacesOnFailure, "name-overrun">,
          kSub<kOptionSetMetaContextReplacesOnFailure, "no-data">, Contexts(kStale, 700)),
       KeepsAfterSet(kErrInvalid)},
      {"server_keeps_selection_after_too_long_set", Contexts(kStale, 5500), KeepsAfterSet(kErrTooBig)},
      {"server_never_drops_selection", By(Session(kStale, 950), Exchange(kStale, 5500)),
       Keeps([](const Option&, const Messages&, const Selection& latest) { return latest; })},
      {"server_keeps_selection_at_go_of_another_export", Contexts(kStale, 700), KeepsAfter(kGo, kAck)},
      {"server_keeps_selection_at_export_name_of_another_export", Contexts(kStale, 6500), KeepsAfter(kExportName, 0)},
      {"server_keeps_part_of_failed_set", kOptionSetMetaContextPartialFailure, KeepsPartOfFailedSet()},
      {"server_adds_to_selection", By(kSub<kOptionSetMetaContextReplaces, "other">, Contexts(kRule, 250)),
       AddsToSelection()},
      {"server_uses_ids_of_first_set", By(Contexts(kStale, 7000), Fuzz(kBrokenRule, kBlockStatusChunkExactlyOnePerId)),
       UsesFirstIds()},
      {"server_describes_the_export_of_the_last_info", Fuzz(kFalseClaim, kBaseAllocationZeroReadsZero),
       DescribesTheExportOfTheLastInfo()},
      {"server_selects_by_list", Contexts(kRule, 200),
       Keeps([](const Option& to, const Messages& sent, const Selection&) {
         return to.option == kListContexts ? ContextsIn(sent) : Selection();
       })},
      {"server_drops_selection_at_list", By(kOptionListMetaContextNoSelectionEffect, Contexts(kLost, 15'000)),
       ForgetsAfter(kListContexts, kAck)},
      {"server_drops_selection_at_info", Contexts(kLost, 8000), ForgetsAfter(kInfo, kAck)},
      {"server_drops_selection_at_refused_go", Contexts(kError, 30'000), ForgetsAfter(kGo, kErrUnknown)},
      {"server_drops_selection_at_structured_reply", Contexts(kLost, 20'000), ForgetsAfter(kStructuredReply, kAck)},
      {"server_drops_selection_at_export_name", By(kOptionSetMetaContextViaExportName, Contexts(kLost, 15'500)),
       ForgetsAfter(kExportName, 0)},
  };
}

}  // namespace nbdspec::engine::faults
