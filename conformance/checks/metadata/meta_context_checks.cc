// SPDX-License-Identifier: BSD-3-Clause
// Checks of STRUCTURED_REPLY, of the names of metadata contexts and of the base: namespace.
// Spec: proto.md, "Metadata querying", "NBD_OPT_STRUCTURED_REPLY", "NBD_REP_META_CONTEXT".
#include <fmt/format.h>

#include <algorithm>

#include "conformance/checks/metadata/meta_contexts.h"
#include "conformance/checks/options/haggling.h"
#include "engine/base/quoted.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::OptionReplyType;
using engine::OptionType;
using engine::Quoted;

namespace {

// --- STRUCTURED_REPLY -----------------------------------------------------------------------------------------

Judgement StructuredReplyWithData(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  const auto replies = session.Ask(engine::Option{.option = OptionType::kStructuredReply, .payload = {1, 2, 3, 4}});
  return replies ? Require(replies->back().is_error(), TypesOf(*replies), "NBD_REP_ERR_INVALID")
                 : MayDisconnect(replies.error(), "NBD_REP_ERR_INVALID");
}

Judgement NoEarlyAdvertise(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  const auto early = static_cast<std::uint16_t>(
      entered.agreed->info.flags & (engine::TransmissionFlag::kSendDf | engine::TransmissionFlag::kBlockStatusPayload));
  return Require(early == 0,
                 "without structured replies the transmission flags have " + engine::TransmissionFlagNames(early),
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
  return is_printable && engine::IsValidString(space) ? ""
                                                      : "has a namespace with bytes that are no printable UTF-8 or are "
                                                        "white space";
}

std::string_view HasUnregisteredNamespace(std::string_view name) {
  const std::string_view space = name.substr(0, name.find(':'));
  const bool is_allowed = space == "base" || space == "nbd-server" || space == "qemu" || space.starts_with("x-");
  return is_allowed ? "" : "has a namespace that is neither defined, nor registered, nor begins with x-";
}

std::string_view IsUndefinedInBase(std::string_view name) {
  const bool is_undefined = name.starts_with("base:") && name != engine::kBaseAllocation && name != "base:";
  return is_undefined ? "is in base:, where only base:allocation is defined" : "";
}

std::string_view IsNotUtf8(std::string_view name) {
  std::string without_nul(name);
  std::ranges::replace(without_nul, '\0', ' ');  // NUL bytes are general.string.no-nul.server's.
  return engine::IsValidString(without_nul) ? "" : "is not UTF-8";
}

// All that LIST names, and what SET selects of it.
std::expected<Replies, Judgement> AllContextReplies(CheckContext& context) {
  NBDSPEC_TRY(session, context.HaggleStructured());
  Replies all;
  auto listed = AskContexts(context, session, OptionType::kListMetaContext, {});
  auto set = AskContexts(context, session, OptionType::kSetMetaContext, SelectableNames(context.profile()));
  for (auto* replies : {&listed, &set}) {
    if (*replies) {
      std::ranges::copy_if((*replies)->replies, std::back_inserter(all), [](const engine::OptionReply& reply) {
        return reply.type == OptionReplyType::kMetaContext;
      });
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
  for (const engine::OptionReply& reply : replies) {
    const auto named = engine::DecodePayload<engine::MetaContext>(reply.payload);
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
  for (const engine::OptionReply& reply : replies) {
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
  for (const std::string& name : SelectableNames(context.profile())) {
    const std::string wildcard(NamespaceOf(name));
    if (wildcard != "base:" && std::ranges::count(wildcards, wildcard) == 0) {
      wildcards.push_back(wildcard);
    }
  }
  NBDSPEC_TRY(session, context.HaggleStructured());
  for (const std::string& wildcard : wildcards) {
    NBDSPEC_TRY(replies, AskContexts(context, session, OptionType::kSetMetaContext, {wildcard}));
    if (replies.is_ack() && !replies.contexts.empty()) {
      return Broken(fmt::format("NBD_OPT_SET_META_CONTEXT with {}: {}", Quoted(wildcard), replies.Text()),
                    "an empty leaf selects nothing");
    }
  }
  return Holds();
}

Judgement SetIgnoresBase(CheckContext& context) {
  NBDSPEC_TRY(replies, AskContexts(context, OptionType::kSetMetaContext, {"base:"}));
  return MustBeLoneAck(replies);
}

Judgement ListTakesBase(CheckContext& context) {
  NBDSPEC_TRY(replies, AskContexts(context, OptionType::kListMetaContext, {"base:"}));
  return MustGive(replies, engine::kBaseAllocation, /*record_will_do=*/false);
}

template <std::uint32_t option>
Judgement IgnoresUnknownLeaf(CheckContext& context) {
  constexpr bool kIsList = option == OptionType::kListMetaContext;
  NBDSPEC_TRY(replies, AskContexts(context, option, {"base:nbdspec-nonesuch", kBaseAllocationQuery}));
  if (kIsList && replies.end() == OptionReplyType::kErrInvalid) {
    return Holds();  // LIST's own text allows it: option.list-meta-context.semantic-invalid
  }
  return MustGive(replies, engine::kBaseAllocation, /*record_will_do=*/kIsList);
}

}  // namespace

std::vector<Check> MetaContextChecks() {
  constexpr Features kStructured = {Feature::kStructuredReplies};
  constexpr Features kContexts = {Feature::kStructuredReplies, Feature::kMetaContexts};
  constexpr Features kBase = {Feature::kStructuredReplies, Feature::kBaseAllocation};
  return {
      {spec::kOptionStructuredReplyDataInvalid, "STRUCTURED_REPLY with data is an error.", StructuredReplyWithData,
       kStructured},
      {spec::kOptionStructuredReplyNoEarlyAdvertise,
       "Without structured replies no flag of a feature that needs them is set.", NoEarlyAdvertise, kStructured},
      {spec::kMetadataNameFormatServer, "The name of each context has a colon.", JudgeNames<LacksColon>, kContexts},
      {spec::kMetadataNameNamespaceNonempty, "The name of each context has something before its colon.",
       JudgeNames<LacksNamespace>, kContexts},
      {spec::kMetadataNameNamespaceCharset, "Namespaces are printable UTF-8 without white space.",
       JudgeNames<HasBadNamespace>, kContexts},
      {spec::kMetadataNamespaceAllowed, "Each namespace is base, nbd-server, qemu or x-something.",
       JudgeNames<HasUnregisteredNamespace>, kContexts},
      {spec::kMetadataEmptyLeafSet, "SET_META_CONTEXT with an empty leaf outside base selects nothing.",
       EmptyLeafSelectsNothing, kContexts},
      {spec::kMetadataBaseSetWildcardIgnored, "SET_META_CONTEXT with base: alone gets a lone ACK.", SetIgnoresBase,
       kBase},
      {spec::kMetadataBaseListWildcard, "LIST_META_CONTEXT with base: lists base:allocation.", ListTakesBase, kBase},
      {spec::kMetadataBaseUnknownLeafIgnored,
       "SET_META_CONTEXT with an unknown leaf of base and base:allocation selects base:allocation.",
       IgnoresUnknownLeaf<OptionType::kSetMetaContext>, kBase},
      {spec::kSub<spec::kMetadataBaseUnknownLeafIgnored, "list">,
       "LIST_META_CONTEXT with an unknown leaf of base and base:allocation lists base:allocation.",
       IgnoresUnknownLeaf<OptionType::kListMetaContext>, kBase},
      {spec::kMetadataBaseOnlyAllocation, "The only context in base: is base:allocation.",
       JudgeNames<IsUndefinedInBase>, kContexts},
      {spec::kRepMetaContextLayout, "Each META_CONTEXT has an id and a name.", Layout, kContexts},
      {spec::kRepMetaContextUtf8, "The name of each context is UTF-8.", JudgeNames<IsNotUtf8>, kContexts},
  };
}

}  // namespace nbdspec::conformance
