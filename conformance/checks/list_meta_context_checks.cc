// SPDX-License-Identifier: BSD-3-Clause
// Checks of LIST_META_CONTEXT. Spec: proto.md, "NBD_OPT_LIST_META_CONTEXT".
#include <fmt/format.h>

#include <algorithm>

#include "conformance/checks/check.h"
#include "conformance/checks/meta_contexts.h"
#include "engine/base/quoted.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::OptionReplyType;
using engine::OptionType;
using engine::Quoted;

namespace {

constexpr std::uint32_t kList = OptionType::kListMetaContext;

Judgement InvalidQueryOverrun(CheckContext& context) {
  return MustBeInvalid(context, kList, QueryOverrun(context.export_name()));
}

Judgement InvalidNameOverrun(CheckContext& context) { return MustBeInvalid(context, kList, NameOverrun()); }

Judgement InvalidCountOverrun(CheckContext& context) {
  return MustBeInvalid(context, kList, CountOverrun(context.export_name()));
}

Judgement InvalidShort(CheckContext& context) {
  Judgement empty = MustBeInvalid(context, kList, NoData());
  return empty.kind == Judgement::Kind::kHolds ? MustBeInvalid(context, kList, NoCount(context.export_name())) : empty;
}

Judgement TrailingData(CheckContext& context) {
  engine::Bytes payload =
      EncodePayload(engine::MetaContextQuery{.export_name = context.export_name(), .queries = {kBaseAllocationQuery}});
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
    const engine::MetaContextQuery query{.export_name = context.export_name(), .queries = queries};
    const auto replies = AskRaw(session, kList, EncodePayload(query));
    const std::string_view allowed = "NBD_REP_META_CONTEXT any number of times, then NBD_REP_ACK or an error";
    if (!replies) {
      return Broken(replies.error().text, std::string(allowed));
    }
    for (const engine::OptionReply& reply : replies->replies) {
      const bool is_last = &reply == &replies->replies.back();
      const bool is_right = is_last ? reply.type == OptionReplyType::kAck || reply.is_error()
                                    : reply.type == OptionReplyType::kMetaContext;
      if (!is_right) {
        return Broken(engine::OptionReplyName(reply.type), std::string(allowed));
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
  return replies.end() == OptionReplyType::kErrTooBig
             ? Broken("NBD_REP_ERR_TOO_BIG to no queries at all", "a list, or another error")
             : Holds();
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
  NBDSPEC_TRY(answer, EnterAndAskStatus(context, session));
  NBDSPEC_TRY(status, std::move(answer));
  return MustHaveStatus(context, status, "after SET base:allocation and two LISTs",
                        "status of base:allocation: LIST changes nothing");
}

}  // namespace

std::vector<Check> ListMetaContextChecks() {
  constexpr Features kContexts = {Feature::kStructuredReplies, Feature::kMetaContexts};
  constexpr Features kBase = {Feature::kStructuredReplies, Feature::kBaseAllocation};
  return {
      {.id = spec::kOptionListMetaContextSyntaxInvalidQueryOverrun,
       .needs = kContexts,
       .claim = "A query longer than the option is ERR_INVALID.",
       .run = InvalidQueryOverrun},
      {.id = spec::kOptionListMetaContextSyntaxInvalidNameOverrun,
       .needs = kContexts,
       .claim = "An export name longer than the option is ERR_INVALID.",
       .run = InvalidNameOverrun},
      {.id = spec::kOptionListMetaContextSyntaxInvalidCountOverrun,
       .needs = kContexts,
       .claim = "A count of more queries than there are is ERR_INVALID.",
       .run = InvalidCountOverrun},
      {.id = spec::kOptionListMetaContextSyntaxInvalidShort,
       .needs = kContexts,
       .claim = "An option without data, or without a count, is ERR_INVALID.",
       .run = InvalidShort},
      {.id = spec::kOptionListMetaContextTrailingData,
       .needs = kContexts,
       .claim = "Bytes after the last query are ERR_INVALID.",
       .run = TrailingData},
      {.id = spec::kOptionListMetaContextUnknownNamespace,
       .needs = kBase,
       .claim = "A query in an unknown namespace is ignored beside base:allocation.",
       .run = UnknownNamespace},
      {.id = spec::kOptionListMetaContextNoMatchAck,
       .needs = kContexts,
       .claim = "A query that matches nothing gives a lone ACK.",
       .run = NoMatchAck},
      {.id = spec::kOptionListMetaContextReplyShape,
       .needs = kContexts,
       .claim = "The reply is META_CONTEXTs, then ACK or an error.",
       .run = ReplyShape},
      {.id = spec::kOptionListMetaContextZeroQueriesAll,
       .needs = kBase,
       .claim = "Without queries every context that can be selected is listed.",
       .run = ZeroQueriesAll},
      {.id = spec::kOptionListMetaContextZeroQueriesNoTooBig,
       .needs = kContexts,
       .claim = "No queries are not too many.",
       .run = ZeroQueriesNotTooBig},
      {.id = spec::kOptionListMetaContextMatches,
       .needs = kBase,
       .claim = "The query base:allocation gives base:allocation.",
       .run = ListGivesMatches},
      {.id = spec::kOptionListMetaContextOnlyMatches,
       .needs = kContexts,
       .claim = "The query base:allocation gives nothing else.",
       .run = OnlyMatches},
      {.id = spec::kOptionListMetaContextNoDuplicates,
       .needs = kContexts,
       .claim = "A context that two queries match is listed once.",
       .run = NoDuplicates},
      {.id = spec::kOptionListMetaContextIdZero,
       .needs = kContexts,
       .claim = "Listed contexts have the id 0.",
       .run = IdZero},
      {.id = spec::kOptionListMetaContextNoSelectionEffect,
       .needs = kBase,
       .claim = "What SET_META_CONTEXT selected stays selected after LIST_META_CONTEXT.",
       .run = NoSelectionEffect},
  };
}

}  // namespace nbdspec::conformance
