// SPDX-License-Identifier: BSD-3-Clause
// Checks of SET_META_CONTEXT: what it answers, and what is selected after it.
// Spec: proto.md, "NBD_OPT_SET_META_CONTEXT".
#include "conformance/checks/metadata/meta_contexts.h"

namespace nbdspec::conformance {

namespace {

constexpr std::uint32_t kSet = OptionType::kSetMetaContext;

// --- What replaces a selection --------------------------------------------------------------------------------

template <bool asks_unknown>
Judgement Replaces(CheckContext& context) {
  const std::vector<std::string> queries(asks_unknown ? 1 : 0, kUnknownNamespaceQuery);
  NBDSPEC_TRY(session, WithBaseAllocation(context));
  NBDSPEC_TRY(again, AskContexts(context, session, kSet, queries));
  if (!again.contexts.empty()) {
    return Inconclusive("the second SET selects something: " + again.Text());
  }
  return MustHaveNothingSelected(context, std::move(session),
                                 queries.empty() ? "base:allocation was selected, then nothing"
                                                 : "base:allocation was selected, then a context that the server does "
                                                   "not have");
}

Judgement ReplacedByOther(CheckContext& context) {
  NBDSPEC_TRY(session, WithBaseAllocation(context));
  for (const std::string& name : SelectableNames(context.profile)) {
    if (name == kBaseAllocation) {
      continue;
    }
    NBDSPEC_TRY(set, AskContexts(context, session, kSet, {name}));
    if (!set.is_ack() || set.contexts.size() != 1) {
      continue;
    }
    NBDSPEC_TRY(status, EnterAndAskStatus(context, std::move(session)));
    if (!status.endings.empty()) {
      return AsJudgement(status.endings.back());
    }
    return Require(
        StatusCount(status) <= 1,
        fmt::format("base:allocation was selected, then {} alone: {} status chunks", Quoted(name), StatusCount(status)),
        "one status chunk");
  }
  return NotApplicable("no other context can be selected by its name alone");
}

// After a SET on `session` that fails, since its payload names an unknown export or is malformed, nothing is selected.
Judgement NothingAfterFailure(CheckContext& context, Session session, const MalformedQuery& failing) {
  const auto set = AskRaw(session, kSet, failing.payload);
  if (!set) {
    return set.error().is_disconnect() ? NotApplicable(fmt::format("with {} the server disconnects", failing.what))
                                       : AsJudgement(set.error());
  }
  if (set->is_ack()) {
    return NotApplicable(fmt::format("with {} the server acknowledges", failing.what));
  }
  return About(
      WhatFollows(SubjectOf(Option{.option = kSet, .payload = failing.payload})),
      MustHaveNothingSelected(context, std::move(session),
                              fmt::format("a SET with {} was answered {}", failing.what, OptionReplyName(set->end()))));
}

template <Malformed kind>
Judgement ReplacedByFailure(CheckContext& context) {
  NBDSPEC_TRY(session, WithBaseAllocation(context));
  return NothingAfterFailure(context, std::move(session), MalformedQueryFor(context, kind));
}

Judgement ReplacedByUnknownExport(CheckContext& context) {
  const MetaContextQuery query{.export_name = context.UnknownName(), .queries = {kBaseAllocationQuery}};
  NBDSPEC_TRY(session, WithBaseAllocation(context));
  return NothingAfterFailure(context, std::move(session),
                             {.what = "an unknown export", .payload = EncodePayload(query)});
}

Judgement PartialFailure(CheckContext& context) {
  NBDSPEC_TRY(session, context.HaggleStructured());
  return NothingAfterFailure(context, std::move(session), MalformedQueryFor(context, Malformed::kSecondQueryOverrun));
}

// --- Errors ---------------------------------------------------------------------------------------------------

Judgement WithoutStructured(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  const auto replies = AskRaw(session, kSet, QueryPayload(context, {kBaseAllocationQuery}));
  return replies ? Require(replies->replies.back().is_error() && replies->contexts.empty(),
                           "without structured replies: " + replies->Text(), "NBD_REP_ERR_INVALID")
                 : MayDisconnect(replies.error(), "NBD_REP_ERR_INVALID");
}

// --- What is selected -----------------------------------------------------------------------------------------

Judgement ReplyPerContext(CheckContext& context) {
  NBDSPEC_TRY(session, context.HaggleStructured());
  std::vector<std::string> selectable;
  for (const std::string& name : SelectableNames(context.profile)) {
    NBDSPEC_TRY(alone, AskContexts(context, session, kSet, {name}));
    if (name == kBaseAllocation || (alone.is_ack() && alone.CountOf(name) > 0)) {
      selectable.push_back(name);
    }
  }
  NBDSPEC_TRY(replies, AskContexts(context, session, kSet, selectable));
  if (replies.end() == OptionReplyType::kErrTooBig && selectable.size() > 1) {
    return NotApplicable("the server does not select so many contexts at once");
  }
  for (const std::string& name : selectable) {
    if (replies.CountOf(name) != 1) {
      return Broken(fmt::format("{} contexts were asked for, each once; {} comes {} times", selectable.size(),
                                Quoted(name), replies.CountOf(name)),
                    "one NBD_REP_META_CONTEXT for each");
    }
  }
  return Holds();
}

Judgement IsNamedOnce(const ContextReplies& replies) {
  return Require(replies.CountOf(kBaseAllocation) <= 1,
                 "base:allocation asked for twice in one option: " + replies.Text(),
                 "one reply for the context, however often it is asked for");
}

Judgement UniqueId(CheckContext& context) {
  NBDSPEC_TRY(replies, AskContexts(context, kSet, SelectableNames(context.profile)));
  if (!replies.is_ack() || replies.contexts.size() < 2) {
    return NotApplicable("no two contexts are selected at once: " + replies.Text());
  }
  for (const MetaContext& each : replies.contexts) {
    const auto same = std::ranges::find_if(
        replies.contexts, [&](const MetaContext& other) { return other.id == each.id && other.name != each.name; });
    if (same != replies.contexts.end()) {
      return Broken(fmt::format("{} and {} both have the id {}", Quoted(each.name), Quoted(same->name), each.id),
                    "a different id for each context");
    }
  }
  return Holds();
}

Judgement FinalAck(CheckContext& context) {
  NBDSPEC_TRY(session, context.HaggleStructured());
  const auto replies = AskRaw(session, kSet, QueryPayload(context, {kBaseAllocationQuery}));
  return Require(replies && replies->is_ack(),
                 "base:allocation asked for: " + (replies ? replies->Text() : replies.error().text),
                 "NBD_REP_META_CONTEXT, then NBD_REP_ACK");
}

Judgement SelectsBaseOnly(const ContextReplies& replies) {
  const auto other =
      std::ranges::find_if(replies.contexts, [](const MetaContext& each) { return each.name != kBaseAllocation; });
  return other == replies.contexts.end()
             ? Holds()
             : Broken("only base:allocation was asked for, but the server selects " + Quoted(other->name),
                      "contexts that were asked for");
}

// --- Another way in -------------------------------------------------------------------------------------------

Judgement ViaExportName(CheckContext& context) {
  if (context.MayRefuseExportName()) {
    return NotApplicable(std::string(kMayRefuseExportName));
  }
  NBDSPEC_TRY(session, WithBaseAllocation(context));
  NBDSPEC_TRY(status, EnterAndAskStatus(context, std::move(session), /*by_name=*/true));
  return MustHaveStatus(context, status, "entered by NBD_OPT_EXPORT_NAME:",
                        "status of base:allocation, which was selected for this export");
}

}  // namespace

std::vector<Check> SetMetaContextChecks() {
  constexpr Features kTwo = kBase | Feature::kSecondContext;
  return {
      {kOptionSetMetaContextReplaces, "A SET without queries drops what was selected before.",
       Replaces</*asks_unknown=*/false>, kBase},
      {kSub<kOptionSetMetaContextReplaces, "no-match">, "A SET that matches nothing drops what was selected before.",
       Replaces</*asks_unknown=*/true>, kBase},
      {kSub<kOptionSetMetaContextReplaces, "other">, "A SET of another context drops what was selected before.",
       ReplacedByOther, kTwo},
      {kOptionSetMetaContextReplacesOnFailure,
       "A SET that fails for its unknown export drops what was selected before.", ReplacedByUnknownExport, kBase},
      {kSub<kOptionSetMetaContextReplacesOnFailure, "query-overrun">,
       "A SET that fails for a query longer than the option drops what was selected before.",
       ReplacedByFailure<Malformed::kQueryOverrun>, kBase},
      {kSub<kOptionSetMetaContextReplacesOnFailure, "name-overrun">,
       "A SET that fails for a name longer than the option drops what was selected before.",
       ReplacedByFailure<Malformed::kNameOverrun>, kBase},
      {kSub<kOptionSetMetaContextReplacesOnFailure, "no-data">,
       "A SET that fails for want of data drops what was selected before.", ReplacedByFailure<Malformed::kNoData>,
       kBase},
      {kOptionSetMetaContextPartialFailure, "A SET that fails at its second query leaves nothing selected.",
       PartialFailure, kBase},
      {kOptionSetMetaContextErrWithoutStructured, "SET without structured replies is an error.", WithoutStructured,
       kContexts},
      {kOptionSetMetaContextSyntaxInvalid, "Malformed SET data is ERR_INVALID.",
       RefusesMalformed(kSet, {Malformed::kQueryOverrun, Malformed::kSecondQueryOverrun, Malformed::kNameOverrun,
                               Malformed::kCountOverrun, Malformed::kNoData, Malformed::kNoCount}),
       kContexts},
      {kOptionSetMetaContextUnknownNamespace, "A query in an unknown namespace is ignored beside base:allocation.",
       OnContexts(kSet, {kUnknownNamespaceQuery, kBaseAllocationQuery}, MustGiveBase), kBase},
      {kOptionSetMetaContextZeroQueries, "SET without queries gets a lone ACK.", OnContexts(kSet, {}, MustBeLoneAck),
       kContexts},
      {kOptionSetMetaContextReplyPerContext, "Each context that is selected is named once.", ReplyPerContext, kBase},
      {kOptionSetMetaContextDuplicateQuery, "A context asked for twice in one SET is named once.",
       OnContexts(kSet, {kBaseAllocationQuery, kBaseAllocationQuery}, IsNamedOnce), kBase},
      {kOptionSetMetaContextUniqueId, "Contexts selected together have different ids.", UniqueId, kTwo},
      {kOptionSetMetaContextFinalAck, "A SET that selects base:allocation ends with ACK.", FinalAck, kBase},
      {kOptionSetMetaContextNoUnqueried, "A SET of base:allocation selects nothing else.",
       OnContexts(kSet, {kBaseAllocationQuery}, SelectsBaseOnly), kContexts},
      {kOptionSetMetaContextViaExportName, "What was selected for an export holds when it is entered by EXPORT_NAME.",
       WithCompact(ViaExportName), kBase},
  };
}

}  // namespace nbdspec::conformance
