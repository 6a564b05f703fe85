// SPDX-License-Identifier: BSD-3-Clause
// Checks of LIST_META_CONTEXT. Spec: proto.md, "NBD_OPT_LIST_META_CONTEXT".
#include <fmt/format.h>

#include <algorithm>

#include "conformance/checks/metadata/meta_contexts.h"
#include "engine/base/quoted.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::OptionReplyType;
using engine::OptionType;
using engine::Quoted;

namespace {

constexpr std::uint32_t kList = OptionType::kListMetaContext;

Judgement InvalidShort(CheckContext& context) {
  Judgement empty = MustBeInvalid(context, kList, NoData());
  return empty.holds() ? MustBeInvalid(context, kList, NoCount(context.export_name())) : empty;
}

Judgement TrailingData(CheckContext& context) {
  engine::Bytes payload = QueryPayload(context, {kBaseAllocationQuery});
  payload.insert(payload.end(), {1, 2, 3});
  return MustBeInvalid(context, kList, {.what = "3 bytes after the last query", .payload = std::move(payload)});
}

Judgement UnknownNamespace(CheckContext& context) {
  NBDSPEC_TRY(replies, AskContexts(context, kList, {std::string(kUnknownNamespaceQuery), kBaseAllocationQuery}));
  return MustGive(replies, engine::kBaseAllocation, /*record_will_do=*/true);
}

Judgement NoMatchAck(CheckContext& context) {
  NBDSPEC_TRY(replies, AskContexts(context, kList, {std::string(kUnknownNamespaceQuery)}));
  return MustBeLoneAck(replies);
}

Judgement ReplyShape(CheckContext& context) {
  const std::vector<std::vector<std::string>> asked = {{}, {kBaseAllocationQuery}};
  for (const std::vector<std::string>& queries : asked) {
    NBDSPEC_TRY(session, context.HaggleStructured());
    const auto replies = AskRaw(session, kList, QueryPayload(context, queries));
    constexpr std::string_view kAllowed = "NBD_REP_META_CONTEXT any number of times, then NBD_REP_ACK or an error";
    if (!replies) {
      return Broken(replies.error().text, kAllowed);
    }
    for (const engine::OptionReply& reply : replies->replies) {
      const bool is_last = &reply == &replies->replies.back();
      const bool is_right =
          is_last ? replies->is_ack() || reply.is_error() : reply.type == OptionReplyType::kMetaContext;
      if (!is_right) {
        return Broken(engine::OptionReplyName(reply.type), kAllowed);
      }
    }
  }
  return Holds();
}

// Only contexts whose selection needs no guess: those that the protocol or qemu's documentation names.
Judgement ZeroQueriesAll(CheckContext& context) {
  NBDSPEC_TRY(session, context.HaggleStructured());
  NBDSPEC_TRY(listed, AskContexts(context, session, kList, {}));
  if (!listed.is_ack()) {
    return listed.end() == OptionReplyType::kErrTooBig
               ? NotApplicable("LIST without queries was answered NBD_REP_ERR_TOO_BIG")
               : Broken(listed.Text(), "all contexts, then NBD_REP_ACK");
  }
  for (const std::string& name : {kBaseAllocationQuery, std::string("qemu:allocation-depth")}) {
    NBDSPEC_TRY(set, AskContexts(context, session, OptionType::kSetMetaContext, {name}));
    const bool is_selectable = set.is_ack() && set.CountOf(name) > 0;
    if (is_selectable && listed.CountOf(name) == 0 && listed.CountOf(NamespaceOf(name)) == 0) {
      return Broken(fmt::format("{} can be selected, but LIST without queries gives {}", name, listed.Text()),
                    "every context that can be selected, or a record of its namespace");
    }
  }
  return Holds();
}

Judgement ZeroQueriesNotTooBig(CheckContext& context) {
  NBDSPEC_TRY(replies, AskContexts(context, kList, {}));
  return Require(replies.end() != OptionReplyType::kErrTooBig, "NBD_REP_ERR_TOO_BIG to no queries at all",
                 "a list, or another error");
}

Judgement ListGivesMatches(CheckContext& context) {
  NBDSPEC_TRY(replies, AskContexts(context, kList, {kBaseAllocationQuery}));
  return MustGive(replies, engine::kBaseAllocation, /*record_will_do=*/true);
}

Judgement OnlyMatches(CheckContext& context) {
  NBDSPEC_TRY(replies, AskContexts(context, kList, {kBaseAllocationQuery}));
  for (const engine::MetaContext& each : replies.contexts) {
    if (each.name != engine::kBaseAllocation && each.name != "base:") {
      return Broken(fmt::format("asked for base:allocation, LIST gives {}", Quoted(each.name)),
                    "contexts that match a query");
    }
  }
  return Holds();
}

Judgement NoDuplicates(CheckContext& context) {
  const std::vector<std::vector<std::string>> asked = {{}, {"base:", kBaseAllocationQuery}};
  for (const std::vector<std::string>& queries : asked) {
    NBDSPEC_TRY(replies, AskContexts(context, kList, queries));
    for (const engine::MetaContext& each : replies.contexts) {
      if (replies.CountOf(each.name) > 1) {
        return Broken(fmt::format("with {} queries {} is listed {} times", queries.size(), Quoted(each.name),
                                  replies.CountOf(each.name)),
                      "one reply for each context");
      }
    }
  }
  return Holds();
}

Judgement IdZero(CheckContext& context) {
  NBDSPEC_TRY(replies, AskContexts(context, kList, {}));
  const auto other = std::ranges::find_if(replies.contexts, [](const engine::MetaContext& c) { return c.id != 0; });
  return other == replies.contexts.end()
             ? Holds()
             : Broken(fmt::format("LIST gives {} with id {}", Quoted(other->name), other->id), "id 0");
}

Judgement NoSelectionEffect(CheckContext& context) {
  NBDSPEC_TRY(session, context.HaggleStructured());
  NBDSPEC_TRY(set, AskContexts(context, session, OptionType::kSetMetaContext, {kBaseAllocationQuery}));
  if (!set.is_ack() || set.CountOf(engine::kBaseAllocation) == 0) {
    return Inconclusive("SET_META_CONTEXT with base:allocation: " + set.Text());
  }
  NBDSPEC_TRY(listed, AskContexts(context, session, kList, {}));
  NBDSPEC_TRY(listed_none, AskContexts(context, session, kList, {std::string(kUnknownNamespaceQuery)}));
  NBDSPEC_TRY(status, EnterAndAskStatus(context, std::move(session)));
  return MustHaveStatus(context, status, "after SET base:allocation and two LISTs",
                        "status of base:allocation: LIST changes nothing");
}

}  // namespace

std::vector<Check> ListMetaContextChecks() {
  constexpr Features kContexts = {Feature::kStructuredReplies, Feature::kMetaContexts};
  constexpr Features kBase = {Feature::kStructuredReplies, Feature::kBaseAllocation};
  return {
      {spec::kOptionListMetaContextSyntaxInvalidQueryOverrun, "A query longer than the option is ERR_INVALID.",
       [](CheckContext& context) { return MustBeInvalid(context, kList, QueryOverrun(context.export_name())); },
       kContexts},
      {spec::kOptionListMetaContextSyntaxInvalidNameOverrun, "An export name longer than the option is ERR_INVALID.",
       [](CheckContext& context) { return MustBeInvalid(context, kList, NameOverrun()); }, kContexts},
      {spec::kOptionListMetaContextSyntaxInvalidCountOverrun, "A count of more queries than there are is ERR_INVALID.",
       [](CheckContext& context) { return MustBeInvalid(context, kList, CountOverrun(context.export_name())); },
       kContexts},
      {spec::kOptionListMetaContextSyntaxInvalidShort, "An option without data, or without a count, is ERR_INVALID.",
       InvalidShort, kContexts},
      {spec::kOptionListMetaContextTrailingData, "Bytes after the last query are ERR_INVALID.", TrailingData,
       kContexts},
      {spec::kOptionListMetaContextUnknownNamespace,
       "A query in an unknown namespace is ignored beside base:allocation.", UnknownNamespace, kBase},
      {spec::kOptionListMetaContextNoMatchAck, "A query that matches nothing gets a lone ACK.", NoMatchAck, kContexts},
      {spec::kOptionListMetaContextReplyShape, "The reply is META_CONTEXTs, then ACK or an error.", ReplyShape,
       kContexts},
      {spec::kOptionListMetaContextZeroQueriesAll, "Without queries LIST names each context that can be selected.",
       ZeroQueriesAll, kBase},
      {spec::kOptionListMetaContextZeroQueriesNoTooBig, "No queries are not too many.", ZeroQueriesNotTooBig,
       kContexts},
      {spec::kOptionListMetaContextMatches, "The query base:allocation lists base:allocation.", ListGivesMatches,
       kBase},
      {spec::kOptionListMetaContextOnlyMatches, "The query base:allocation lists nothing else.", OnlyMatches,
       kContexts},
      {spec::kOptionListMetaContextNoDuplicates, "A context that two queries match is listed once.", NoDuplicates,
       kContexts},
      {spec::kOptionListMetaContextIdZero, "Listed contexts have the id 0.", IdZero, kContexts},
      {spec::kOptionListMetaContextNoSelectionEffect,
       "What SET_META_CONTEXT selected stays selected after LIST_META_CONTEXT.", NoSelectionEffect, kBase},
  };
}

}  // namespace nbdspec::conformance
