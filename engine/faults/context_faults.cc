// SPDX-License-Identifier: BSD-3-Clause
// Faults of LIST_META_CONTEXT and SET_META_CONTEXT: what they parse, match, name and reply.
#include <algorithm>
#include <cctype>
#include <string>

#include "engine/faults/answer_changes.h"
#include "engine/faults/fault_tables.h"
#include "engine/faults/option_changes.h"
#include "engine/server/server.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine::faults {

namespace {

using enum Family;

constexpr std::uint32_t kList = OptionType::kListMetaContext;
constexpr std::uint32_t kSet = OptionType::kSetMetaContext;
constexpr std::uint32_t kAck = OptionReplyType::kAck;
constexpr std::uint32_t kInvalid = OptionReplyType::kErrInvalid;
constexpr std::uint32_t kUnknown = OptionReplyType::kErrUnknown;
constexpr std::string_view kBase = kBaseAllocation;

// Each context has the name `name`.
Change Names(std::string name) {
  return ChangesContexts(kEitherMetaContext, [name = std::move(name)](MetaContext& context) { context.name = name; });
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
  return ChangesQueries(kEitherMetaContext, [change = std::move(change)](MetaContextQuery& query) {
    std::ranges::for_each(query.queries, change);
  });
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

}  // namespace

std::vector<Fault> ContextQueryFaults() {
  return {
      {"server_acknowledges_malformed_query",
       By(spec::kOptionListMetaContextSyntaxInvalidQueryOverrun, spec::kOptionListMetaContextSyntaxInvalidNameOverrun,
          spec::kOptionListMetaContextSyntaxInvalidCountOverrun, spec::kOptionListMetaContextSyntaxInvalidShort,
          spec::kOptionListMetaContextTrailingData, spec::kOptionSetMetaContextSyntaxInvalid, Contexts(kRule, 100)),
       EndsWith(kEitherMetaContext, /*can_decode=*/false, kInvalid, kAck)},
      {"server_calls_overrunning_query_too_big", spec::kOptionListMetaContextSyntaxInvalidQueryOverrun,
       ReplacesReply(kList, kInvalid, OptionReplyType::kErrTooBig)},
      {"server_calls_malformed_query_unknown", Contexts(kError, 100),
       ReplacesReply(kEitherMetaContext, kInvalid, kUnknown)},
      {"server_ignores_list_without_count", spec::kOptionListMetaContextSyntaxInvalidShort,
       ChangesOptionAnswer(kList,
                           [](const Option& to, Messages& sent) {
                             if (to.payload.size() == 4) {
                               sent.clear();
                             }
                           })},
      {"server_takes_structured_reply_with_data", By(spec::kOptionStructuredReplyDataInvalid, Contexts(kRule, 100)),
       IgnoresDataOf(OptionType::kStructuredReply)},
      {"server_refuses_set",
       By(spec::kOptionSetMetaContextUnknownNamespace, spec::kOptionSetMetaContextZeroQueries,
          spec::kMetadataBaseSetWildcardIgnored, spec::kMetadataBaseUnknownLeafIgnored),
       ReplacesReply(kSet, kAck, kInvalid)},
      {"server_refuses_unknown_namespace_in_set", Contexts(kError, 200),
       ChangesOptionReplies(kSet, kAck,
                            [](const Option& to, OptionReply& reply) {
                              const auto query = DecodePayload<MetaContextQuery>(to.payload);
                              reply.type =
                                  query && std::ranges::count(query->queries, "x-nowhere:") > 0 ? kInvalid : kAck;
                            })},
      {"server_refuses_list", spec::kOptionListMetaContextUnknownNamespace, ReplacesReply(kList, kAck, kInvalid)},
      {"server_calls_listed_contexts_unknown",
       By(spec::kOptionListMetaContextNoMatchAck, spec::kSub<spec::kMetadataBaseUnknownLeafIgnored, "list">),
       ReplacesReply(kList, kAck, kUnknown)},
      {"server_calls_no_queries_too_big", spec::kOptionListMetaContextZeroQueriesNoTooBig,
       ReplacesReply(kList, kAck, OptionReplyType::kErrTooBig)},
      {"server_ends_set_with_info", spec::kOptionSetMetaContextFinalAck,
       ReplacesReply(kSet, kAck, OptionReplyType::kInfo)},
      {"server_calls_set_without_structured_replies_unsupported", Contexts(kError, 250),
       EndsWith(kSet, /*can_decode=*/true, kInvalid, OptionReplyType::kErrUnsup)},
      {"server_selects_without_structured_replies",
       By(spec::kOptionSetMetaContextErrWithoutStructured, Contexts(kLost, 250)),
       ChangesOptionAnswer(kSet,
                           [](const Option& to, Messages& sent, const Connection& on) {
                             if (!on.negotiated->structured_replies) {
                               sent = {ReplyOf(to, {.id = 1, .name = std::string(kBase)}), OptionReply{.option = kSet}};
                             }
                           })},
      {"server_never_ends_contexts", By(spec::kOptionListMetaContextReplyShape, spec::kOptionSetMetaContextFinalAck),
       NeverEnds(kEitherMetaContext)},
      {"server_lists_contexts_as_exports", spec::kOptionListMetaContextReplyShape,
       ChangesOptionReplies(kList, OptionReplyType::kMetaContext,
                            [](OptionReply& reply) { reply.type = OptionReplyType::kServer; })},
      {"server_answers_list_as_set", Contexts(kRule, 100),
       ChangesOptionReplies(kList, [](OptionReply& reply) { reply.option = kSet; })},
      {"server_acknowledges_before_contexts", Contexts(kOrder, 100),
       ChangesOptionAnswer(kEitherMetaContext, [](Messages& sent) { std::ranges::rotate(sent, sent.end() - 1); })},
  };
}

std::vector<Fault> ContextMatchFaults() {
  return {
      {"server_lists_nothing",
       By(spec::kOptionListMetaContextUnknownNamespace, spec::kSub<spec::kMetadataBaseUnknownLeafIgnored, "list">,
          spec::kOptionListMetaContextMatches),
       DropsContexts(kList)},
      {"server_selects_nothing", By(spec::kOptionSetMetaContextUnknownNamespace, spec::kMetadataBaseUnknownLeafIgnored),
       DropsContexts(kSet)},
      {"server_lists_what_no_query_asks_for",
       By(spec::kOptionListMetaContextNoMatchAck, spec::kOptionListMetaContextOnlyMatches),
       AddsContext(kList, {.name = "qemu:allocation-depth"})},
      {"server_selects_what_no_query_asks_for", By(spec::kMetadataEmptyLeafSet, spec::kOptionSetMetaContextNoUnqueried),
       AddsContext(kSet, {.id = 9, .name = "x-nbdspec-none:depth"})},
      {"server_takes_base_as_wildcard_in_set", By(spec::kMetadataBaseSetWildcardIgnored, Contexts(kRule, 500)),
       TakesQueryFor(kSet, "base:", std::string(kBase))},
      {"server_ignores_base_in_list", By(spec::kMetadataBaseListWildcard, Contexts(kLost, 650)),
       TakesQueryFor(kList, "base:", "base:nothing")},
      {"server_lists_nothing_without_queries", By(spec::kOptionListMetaContextZeroQueriesAll, Contexts(kLost, 200)),
       AddsQueries(kList, {"x-nowhere:"})},
      {"server_selects_all_without_queries", By(spec::kOptionSetMetaContextZeroQueries, Contexts(kRule, 350)),
       AddsQueries(kSet, {std::string(kBase), std::string(kBlockIndexContext)})},
      {"server_answers_only_the_first_query", By(spec::kOptionSetMetaContextReplyPerContext, Contexts(kRule, 200)),
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
      {"server_ignores_export_of_contexts", spec::kOptionSetMetaContextOtherExport,
       ChangesQueries(kSet, [](MetaContextQuery& query) { query.export_name.clear(); })},
      {"server_has_contexts_for_export_without", Contexts(kLost, 1500),
       ChangesQueries(
           kEitherMetaContext,
           [](MetaContextQuery& query) { query.export_name = query.export_name == "bare" ? "a" : query.export_name; })},
      {"server_names_a_context_twice",
       By(spec::kOptionSetMetaContextReplyPerContext, spec::kOptionListMetaContextNoDuplicates,
          spec::kOptionSetMetaContextDuplicateQuery, Contexts(kRule, 2000)),
       RepeatsFirst(kEitherMetaContext)},
  };
}

std::vector<Fault> ContextNameFaults() {
  return {
      {"server_names_context_without_colon", spec::kMetadataNameFormatServer, Names("allocation")},
      {"server_names_context_without_namespace", spec::kMetadataNameNamespaceNonempty, Names(":allocation")},
      {"server_puts_blank_into_namespace", spec::kMetadataNameNamespaceCharset, Names("x-my disk:allocation")},
      {"server_puts_bare_byte_into_namespace", spec::kMetadataNameNamespaceCharset, Names("x-\xff:allocation")},
      {"server_invents_namespace", spec::kMetadataNamespaceAllowed, Names("acme:allocation")},
      {"server_invents_context_in_base", spec::kMetadataBaseOnlyAllocation, Names("base:dirty")},
      {"server_names_context_in_latin_1", spec::kRepMetaContextUtf8, Names("x-lat:caf\xe9")},
      {"server_sends_context_without_name", spec::kRepMetaContextLayout,
       ChangesOptionReplies(kAnyOption, OptionReplyType::kMetaContext,
                            [](OptionReply& reply) { reply.payload.resize(4); })},
      {"server_gives_ids_in_list", By(spec::kOptionListMetaContextIdZero, Session(kRule, 4000), Contexts(kRule, 200)),
       ChangesContexts(kList, [](MetaContext& context) { context.id = 7; })},
      {"server_gives_all_contexts_one_id",
       By(spec::kOptionSetMetaContextUniqueId, Session(kRule, 100), Contexts(kRule, 2500)),
       ChangesContexts(kSet, [](MetaContext& context) { context.id = 1; })},
      {"server_swaps_ids", Contexts(kOrder, 15'000),
       ChangesOptionAnswer(kSet,
                           [](const Option& to, Messages& sent) {
                             auto contexts = ContextsIn(sent);
                             if (contexts.size() > 1) {
                               std::swap(contexts.front().id, contexts.back().id);
                               std::ranges::transform(contexts, sent.begin(),
                                                      [&](const MetaContext& each) { return ReplyOf(to, each); });
                             }
                           })},
  };
}

}  // namespace nbdspec::engine::faults
