// SPDX-License-Identifier: BSD-3-Clause
// Checks of STRUCTURED_REPLY, of the names of metadata contexts, of the base: namespace and of LIST_META_CONTEXT.
// Spec: proto.md, "Metadata querying", "NBD_OPT_STRUCTURED_REPLY", "NBD_REP_META_CONTEXT", "NBD_OPT_LIST_META_CONTEXT".
#include "conformance/checks/metadata/meta_contexts.h"
#include "conformance/checks/options/haggling.h"

namespace nbdspec::conformance {

namespace {

constexpr std::uint32_t kList = OptionType::kListMetaContext;
constexpr std::uint32_t kSet = OptionType::kSetMetaContext;
const std::string kUnknownLeaf = "base:nbdspec-nonesuch";

// --- STRUCTURED_REPLY -----------------------------------------------------------------------------------------

Judgement StructuredReplyWithData(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  const auto replies = session.Ask(Option{.option = OptionType::kStructuredReply, .payload = {1, 2, 3, 4}});
  return replies ? Require(replies->back().is_error(), TypesOf(*replies), "NBD_REP_ERR_INVALID")
                 : MayDisconnect(replies.error(), "NBD_REP_ERR_INVALID");
}

Judgement NoEarlyAdvertise(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  const auto early = static_cast<std::uint16_t>(entered.agreed->info.flags &
                                                (TransmissionFlag::kSendDf | TransmissionFlag::kBlockStatusPayload));
  return Require(early == 0, "without structured replies the transmission flags have " + TransmissionFlagNames(early),
                 "no flag of a feature that needs structured replies");
}

// --- Names ----------------------------------------------------------------------------------------------------

// What a name breaks; empty when nothing.
using NameRule = std::string_view (*)(std::string_view name);

std::string_view LacksColon(std::string_view name) {
  return name.find(':') == std::string_view::npos ? "has no colon" : "";
}

std::string_view LacksNamespace(std::string_view name) {
  return name.starts_with(':') ? "begins with the colon, without a namespace" : "";
}

std::string_view HasBadNamespace(std::string_view name) {
  const std::string_view space = name.substr(0, name.find(':'));
  const bool is_printable = std::ranges::all_of(space, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte > ' ' && byte != 0x7f;
  });
  return is_printable && IsValidString(space) ? ""
                                              : "has a namespace with bytes that are no printable UTF-8 or are "
                                                "white space";
}

std::string_view HasUnregisteredNamespace(std::string_view name) {
  const std::string_view space = name.substr(0, name.find(':'));
  const bool is_allowed = space == "base" || space == "nbd-server" || space == "qemu" || space.starts_with("x-");
  return is_allowed ? "" : "has a namespace that is neither defined, nor registered, nor begins with x-";
}

std::string_view IsUndefinedInBase(std::string_view name) {
  const bool is_undefined = name.starts_with("base:") && name != kBaseAllocation && name != "base:";
  return is_undefined ? "is in base:, where only base:allocation is defined" : "";
}

std::string_view IsNotUtf8(std::string_view name) { return IsUtf8(std::string(name)) ? "" : "is not UTF-8"; }

// All that LIST names, and what SET selects of it.
std::expected<Replies, Judgement> AllContextReplies(CheckContext& context) {
  NBDSPEC_TRY(session, context.HaggleStructured());
  Replies all;
  auto listed = AskContexts(context, session, kList, {});
  auto set = AskContexts(context, session, kSet, SelectableNames(context.profile));
  for (auto* replies : {&listed, &set}) {
    if (*replies) {
      std::ranges::copy_if((*replies)->replies, std::back_inserter(all),
                           [](const OptionReply& reply) { return reply.type == OptionReplyType::kMetaContext; });
    } else if (replies->error().kind == Judgement::Kind::kInconclusive) {
      return Stop(replies->error());
    }
  }
  if (all.empty()) {
    return Stop(NotApplicable("the server has no metadata contexts for the export"));
  }
  return all;
}

template <NameRule kRule>
Judgement JudgeNames(CheckContext& context) {
  NBDSPEC_TRY(replies, AllContextReplies(context));
  for (const OptionReply& reply : replies) {
    const auto named = DecodePayload<MetaContext>(reply.payload);
    const std::string_view breaks = named ? kRule(named->name) : "";
    if (!breaks.empty()) {
      return Broken(fmt::format("the context {} {}", Quoted(named->name), breaks),
                    "a namespace (base, nbd-server, x-... or a registered one), a colon, a leaf");
    }
  }
  return Holds();
}

Judgement Layout(CheckContext& context) {
  constexpr std::size_t kBytesMin = 6;  // An id and the shortest name, "x:".
  NBDSPEC_TRY(replies, AllContextReplies(context));
  for (const OptionReply& reply : replies) {
    if (reply.payload.size() < kBytesMin) {
      return Broken(fmt::format("NBD_REP_META_CONTEXT with {} bytes of data", reply.payload.size()),
                    "a 32-bit id and a name");
    }
  }
  return Holds();
}

// --- base: and wildcards --------------------------------------------------------------------------------------

Judgement EmptyLeafSelectsNothing(CheckContext& context) {
  std::vector<std::string> wildcards = {"x-nbdspec-none:", "qemu:"};
  for (const std::string& name : SelectableNames(context.profile)) {
    const std::string wildcard(NamespaceOf(name));
    if (wildcard != "base:" && std::ranges::count(wildcards, wildcard) == 0) {
      wildcards.push_back(wildcard);
    }
  }
  NBDSPEC_TRY(session, context.HaggleStructured());
  for (const std::string& wildcard : wildcards) {
    NBDSPEC_TRY(replies, AskContexts(context, session, kSet, {wildcard}));
    if (replies.is_ack() && !replies.contexts.empty()) {
      return Broken(fmt::format("NBD_OPT_SET_META_CONTEXT with {}: {}", Quoted(wildcard), replies.Text()),
                    "an empty leaf selects nothing");
    }
  }
  return Holds();
}

// LIST's own text allows it: option.list-meta-context.semantic-invalid
Judgement MustListBaseUnlessInvalid(const ContextReplies& replies) {
  return replies.end() == OptionReplyType::kErrInvalid ? Holds() : MustListBase(replies);
}

// --- LIST_META_CONTEXT ----------------------------------------------------------------------------------------

Judgement ReplyShape(CheckContext& context) {
  const std::vector<std::vector<std::string>> asked = {{}, {kBaseAllocationQuery}};
  for (const std::vector<std::string>& queries : asked) {
    NBDSPEC_TRY(session, context.HaggleStructured());
    const auto replies = AskRaw(session, kList, QueryPayload(context, queries));
    constexpr std::string_view kAllowed = "NBD_REP_META_CONTEXT any number of times, then NBD_REP_ACK or an error";
    if (!replies) {
      return Broken(replies.error().text, kAllowed);
    }
    for (const OptionReply& reply : replies->replies) {
      const bool is_last = &reply == &replies->replies.back();
      const bool is_right =
          is_last ? replies->is_ack() || reply.is_error() : reply.type == OptionReplyType::kMetaContext;
      if (!is_right) {
        return Broken(OptionReplyName(reply.type), kAllowed);
      }
    }
  }
  return Holds();
}

// Only contexts whose selection needs no guess: those that the protocol or qemu's documentation names.
Judgement ZeroQueriesAll(CheckContext& context) {
  NBDSPEC_TRY(session, context.HaggleStructured());
  NBDSPEC_TRY(listed, AskContexts(context, session, kList, {}));
  // A whole list may end with that: ext.list-meta-context.64bit-final
  if (!listed.is_ack() && listed.end() != OptionReplyType::kErrExtHeaderReqd) {
    return listed.end() == OptionReplyType::kErrTooBig
               ? NotApplicable("LIST without queries was answered NBD_REP_ERR_TOO_BIG")
               : Broken(listed.Text(), "all contexts, then NBD_REP_ACK");
  }
  for (const std::string& name : {kBaseAllocationQuery, std::string("qemu:allocation-depth")}) {
    NBDSPEC_TRY(set, AskContexts(context, session, kSet, {name}));
    const bool is_selectable = set.is_ack() && set.CountOf(name) > 0;
    if (is_selectable && listed.CountOf(name) == 0 && listed.CountOf(NamespaceOf(name)) == 0) {
      return Broken(fmt::format("{} can be selected, but LIST without queries gives {}", name, listed.Text()),
                    "every context that can be selected, or a record of its namespace");
    }
  }
  return Holds();
}

Judgement NotTooBig(const ContextReplies& replies) {
  return Require(replies.end() != OptionReplyType::kErrTooBig, "NBD_REP_ERR_TOO_BIG to no queries at all",
                 "a list, or another error");
}

Judgement ListsBaseOnly(const ContextReplies& replies) {
  for (const MetaContext& each : replies.contexts) {
    if (each.name != kBaseAllocation && each.name != "base:") {
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
    for (const MetaContext& each : replies.contexts) {
      if (replies.CountOf(each.name) > 1) {
        return Broken(fmt::format("with {} queries {} is listed {} times", queries.size(), Quoted(each.name),
                                  replies.CountOf(each.name)),
                      "one reply for each context");
      }
    }
  }
  return Holds();
}

Judgement IdsAreZero(const ContextReplies& replies) {
  const auto other = std::ranges::find_if(replies.contexts, [](const MetaContext& c) { return c.id != 0; });
  return other == replies.contexts.end()
             ? Holds()
             : Broken(fmt::format("LIST gives {} with id {}", Quoted(other->name), other->id), "id 0");
}

Judgement NoSelectionEffect(CheckContext& context) {
  NBDSPEC_TRY(session, WithBaseAllocation(context));
  NBDSPEC_TRY(listed, AskContexts(context, session, kList, {}));
  NBDSPEC_TRY(listed_none, AskContexts(context, session, kList, {kUnknownNamespaceQuery}));
  NBDSPEC_TRY(status, EnterAndAskStatus(context, std::move(session)));
  return MustHaveStatus(context, status, "after SET base:allocation and two LISTs",
                        "status of base:allocation: LIST changes nothing");
}

}  // namespace

std::vector<Check> MetaContextChecks() {
  return {
      {kOptionStructuredReplyDataInvalid, "STRUCTURED_REPLY with data is an error.", StructuredReplyWithData, kChunks},
      {kOptionStructuredReplyNoEarlyAdvertise,
       "Without structured replies no flag of a feature that needs them is set.", NoEarlyAdvertise, kChunks},
      {kMetadataNameFormatServer, "The name of each context has a colon.", JudgeNames<LacksColon>, kContexts},
      {kMetadataNameNamespaceNonempty, "The name of each context has something before its colon.",
       JudgeNames<LacksNamespace>, kContexts},
      {kMetadataNameNamespaceCharset, "Namespaces are printable UTF-8 without white space.",
       JudgeNames<HasBadNamespace>, kContexts},
      {kMetadataNamespaceAllowed, "Each namespace is base, nbd-server, qemu or x-something.",
       JudgeNames<HasUnregisteredNamespace>, kContexts},
      {kMetadataEmptyLeafSet, "SET_META_CONTEXT with an empty leaf outside base selects nothing.",
       EmptyLeafSelectsNothing, kContexts},
      {kMetadataBaseSetWildcardIgnored, "SET_META_CONTEXT with base: alone gets a lone ACK.",
       OnContexts(kSet, {"base:"}, MustBeLoneAck), kBase},
      {kMetadataBaseListWildcard, "LIST_META_CONTEXT with base: lists base:allocation.",
       OnContexts(kList, {"base:"}, MustGiveBase), kBase},
      {kMetadataBaseUnknownLeafIgnored,
       "SET_META_CONTEXT with an unknown leaf of base and base:allocation selects base:allocation.",
       OnContexts(kSet, {kUnknownLeaf, kBaseAllocationQuery}, MustGiveBase), kBase},
      {kSub<kMetadataBaseUnknownLeafIgnored, "list">,
       "LIST_META_CONTEXT with an unknown leaf of base and base:allocation lists base:allocation.",
       OnContexts(kList, {kUnknownLeaf, kBaseAllocationQuery}, MustListBaseUnlessInvalid), kBase},
      {kMetadataBaseOnlyAllocation, "The only context in base: is base:allocation.", JudgeNames<IsUndefinedInBase>,
       kContexts},
      {kRepMetaContextLayout, "Each META_CONTEXT has an id and a name.", Layout, kContexts},
      {kRepMetaContextUtf8, "The name of each context is UTF-8.", JudgeNames<IsNotUtf8>, kContexts},
      {kOptionListMetaContextSyntaxInvalidQueryOverrun, "A query longer than the option is ERR_INVALID.",
       RefusesMalformed(kList, {Malformed::kQueryOverrun}), kContexts},
      {kOptionListMetaContextSyntaxInvalidNameOverrun, "An export name longer than the option is ERR_INVALID.",
       RefusesMalformed(kList, {Malformed::kNameOverrun}), kContexts},
      {kOptionListMetaContextSyntaxInvalidCountOverrun, "A count of more queries than there are is ERR_INVALID.",
       RefusesMalformed(kList, {Malformed::kCountOverrun}), kContexts},
      {kOptionListMetaContextSyntaxInvalidShort, "An option without data, or without a count, is ERR_INVALID.",
       RefusesMalformed(kList, {Malformed::kNoData, Malformed::kNoCount}), kContexts},
      {kOptionListMetaContextTrailingData, "Bytes after the last query are ERR_INVALID.",
       RefusesMalformed(kList, {Malformed::kTrailingData}), kContexts},
      {kOptionListMetaContextUnknownNamespace, "A query in an unknown namespace is ignored beside base:allocation.",
       OnContexts(kList, {kUnknownNamespaceQuery, kBaseAllocationQuery}, MustListBase), kBase},
      {kOptionListMetaContextNoMatchAck, "A query that matches nothing gets a lone ACK.",
       OnContexts(kList, {kUnknownNamespaceQuery}, MustBeLoneAck), kContexts},
      {kOptionListMetaContextReplyShape, "The reply is META_CONTEXTs, then ACK or an error.", ReplyShape, kContexts},
      {kOptionListMetaContextZeroQueriesAll, "Without queries LIST names each context that can be selected.",
       ZeroQueriesAll, kBase},
      {kOptionListMetaContextZeroQueriesNoTooBig, "No queries are not too many.", OnContexts(kList, {}, NotTooBig),
       kContexts},
      {kOptionListMetaContextMatches, "The query base:allocation lists base:allocation.",
       OnContexts(kList, {kBaseAllocationQuery}, MustListBase), kBase},
      {kOptionListMetaContextOnlyMatches, "The query base:allocation lists nothing else.",
       OnContexts(kList, {kBaseAllocationQuery}, ListsBaseOnly), kContexts},
      {kOptionListMetaContextNoDuplicates, "A context that two queries match is listed once.", NoDuplicates, kContexts},
      {kOptionListMetaContextIdZero, "Listed contexts have the id 0.", OnContexts(kList, {}, IdsAreZero), kContexts},
      {kOptionListMetaContextNoSelectionEffect,
       "What SET_META_CONTEXT selected stays selected after LIST_META_CONTEXT.", NoSelectionEffect, kBase},
  };
}

}  // namespace nbdspec::conformance
