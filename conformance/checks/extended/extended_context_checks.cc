// SPDX-License-Identifier: BSD-3-Clause
// Checks of LIST_META_CONTEXT and SET_META_CONTEXT, by a server that has extended headers: when these are required.
// Spec: proto.md of the branch extension-ext-header, "NBD_OPT_LIST_META_CONTEXT", "NBD_OPT_SET_META_CONTEXT".
#include <limits>

#include "conformance/checks/metadata/meta_contexts.h"
#include "conformance/checks/options/haggling.h"

namespace nbdspec::conformance {

namespace {

constexpr std::uint32_t kList = OptionType::kListMetaContext;
constexpr std::uint32_t kSet = OptionType::kSetMetaContext;
constexpr std::uint32_t kReqd = OptionReplyType::kErrExtHeaderReqd;
constexpr std::string_view kNotReqd = "NBD_REP_ACK, or an error other than NBD_REP_ERR_EXT_HEADER_REQD";

// Makes a session in haggling.
using Begin = std::expected<Session, Judgement> (*)(CheckContext&);

// None of `asked`, each on a session made by `begin`, is answered that extended headers are required.
Judgement IsNeverReqd(CheckContext& context, std::uint32_t option, Begin begin,
                      const std::vector<std::vector<std::string>>& asked) {
  for (const std::vector<std::string>& queries : asked) {
    NBDSPEC_TRY(session, begin(context));
    NBDSPEC_TRY(replies, AskContexts(context, session, option, queries));
    if (replies.end() == kReqd) {
      return Broken(fmt::format("{} with {}: {}", OptionName(option),
                                queries.empty() ? "no queries" : Quoted(queries.front()), replies.Text()),
                    kNotReqd);
    }
  }
  return Holds();
}

std::expected<Session, Judgement> Structured(CheckContext& context) { return context.HaggleStructured(); }
std::expected<Session, Judgement> Extended(CheckContext& context) { return context.HaggleExtended(); }

const std::vector<std::vector<std::string>> kBaseQueries = {
    {kBaseAllocationQuery}, {"base:"}, {"base:nbdspec-nonesuch", kBaseAllocationQuery}};

// A list without queries may be limited to base, too: it is when it names something, and nothing else.
Judgement ListOfBaseIsNotReqd(CheckContext& context) {
  Judgement limited = IsNeverReqd(context, kList, Structured, kBaseQueries);
  if (!limited.holds()) {
    return limited;
  }
  NBDSPEC_TRY(replies, AskContexts(context, kList, {}));
  const bool is_of_base = !replies.contexts.empty() && std::ranges::all_of(replies.contexts, [](const auto& each) {
    return NamespaceOf(each.name) == "base:";
  });
  return Require(!is_of_base || replies.end() != kReqd, "LIST without queries: " + replies.Text(), kNotReqd);
}

Judgement SetOfBaseIsNotReqd(CheckContext& context) { return IsNeverReqd(context, kSet, Structured, kBaseQueries); }

Judgement AgreedListIsNotReqd(CheckContext& context) {
  std::vector<std::vector<std::string>> asked = kBaseQueries;
  asked.push_back({});
  for (const std::string& name : SelectableNames(context.profile)) {
    asked.push_back({name});
  }
  return IsNeverReqd(context, kList, Extended, asked);
}

Judgement SetNeedsChunks(CheckContext& context) {
  constexpr std::string_view kAllowed = "NBD_REP_ERR_INVALID or NBD_REP_ERR_EXT_HEADER_REQD";
  NBDSPEC_TRY(session, context.Haggle());
  const auto replies = AskRaw(session, kSet, QueryPayload(context, {kBaseAllocationQuery}));
  if (!replies) {
    return MayDisconnect(replies.error(), kAllowed);
  }
  const bool is_right =
      replies->end() == OptionReplyType::kErrInvalid || replies->end() == kReqd || IsRefusal(replies->end());
  return Require(is_right && replies->contexts.empty(),
                 "without structured replies or extended headers: " + replies->Text(), kAllowed);
}

// --- Contexts of 64 bits ---
// Which contexts these are nobody says: it shows in a status above 32 bits, which extended headers have room for.

// Names that a client with extended headers may select, outside of base: at most kSelectedMax.
std::expected<std::vector<std::string>, Judgement> NamesBeyondBase(CheckContext& context) {
  NBDSPEC_TRY(session, context.HaggleExtended());
  NBDSPEC_TRY(listed, AskContexts(context, session, kList, {}));
  Profile seen;
  std::ranges::transform(listed.contexts, std::back_inserter(seen.contexts), &MetaContext::name);
  std::vector<std::string> names = SelectableNames(seen);
  std::erase_if(names, [](const std::string& name) { return NamespaceOf(name) == "base:"; });
  return names;
}

bool HasWideStatus(const Answer& answer) {
  return std::ranges::any_of(answer.chunks, [](const Chunk& chunk) {
    const auto status = DecodeBlockStatus(chunk.type, chunk.payload);
    return status && std::ranges::any_of(status->descriptors, [](const Descriptor& each) {
             return each.status > std::numeric_limits<std::uint32_t>::max();
           });
  });
}

// The names of contexts that were seen to have such a status. Errors: not applicable when there is none.
std::expected<std::vector<std::string>, Judgement> WideContexts(CheckContext& context) {
  constexpr std::uint64_t kAskedBytesMax = 1 << 30;
  NBDSPEC_TRY(names, NamesBeyondBase(context));
  std::vector<std::string> wide;
  for (const std::string& name : names) {
    auto entered = context.Enter({.extended = true, .contexts = {name}});
    if (!entered || UsableBytes(*entered) == 0) {
      continue;
    }
    const ByteRange range = {.begin = 0, .end = std::min(UsableBytes(*entered), kAskedBytesMax)};
    const auto answer = entered->session.Ask(RequestFor(CommandType::kBlockStatus, range));
    if (answer && HasWideStatus(*answer)) {
      wide.push_back(name);
    }
  }
  if (wide.empty()) {
    return Stop(NotApplicable("no context has a status of more than 32 bits"));
  }
  return wide;
}

Judgement SetLeavesOutWide(CheckContext& context) {
  NBDSPEC_TRY(wide, WideContexts(context));
  for (const std::string& name : wide) {
    for (const std::vector<std::string>& queries : {std::vector{name}, std::vector{kBaseAllocationQuery, name}}) {
      NBDSPEC_TRY(replies, AskContexts(context, kSet, queries));
      if (replies.end() != kReqd && (!replies.is_ack() || replies.CountOf(name) > 0)) {
        return Broken(fmt::format("{}, which has 64 bits, without extended headers: {}", Quoted(name), replies.Text()),
                      "NBD_REP_ACK without it, or NBD_REP_ERR_EXT_HEADER_REQD");
      }
    }
  }
  return Holds();
}

Judgement ListSaysThatWideIsReqd(CheckContext& context) {
  NBDSPEC_TRY(wide, WideContexts(context));
  bool any = false;
  for (const std::string& name : wide) {
    for (const std::vector<std::string>& queries : {std::vector<std::string>{}, std::vector{name}}) {
      NBDSPEC_TRY(replies, AskContexts(context, kList, queries));
      any = any || replies.CountOf(name) > 0;
      if (replies.CountOf(name) > 0 && replies.is_ack()) {
        return Broken(fmt::format("{}, which has 64 bits, without extended headers: {}", Quoted(name), replies.Text()),
                      "NBD_REP_ERR_EXT_HEADER_REQD after the list");
      }
    }
  }
  return any ? Holds() : NotApplicable("without extended headers no context of 64 bits is listed");
}

}  // namespace

std::vector<Check> ExtendedContextChecks() {
  constexpr Features kNeeds = kExtended | kContexts;
  return {
      {kExtListMetaContextBaseNoErr, "LIST_META_CONTEXT of base never ends with ERR_EXT_HEADER_REQD.",
       WithCompact(ListOfBaseIsNotReqd), kNeeds},
      {kExtListMetaContextAgreedNoErr, "With extended headers LIST_META_CONTEXT never ends with ERR_EXT_HEADER_REQD.",
       AgreedListIsNotReqd, kNeeds},
      {kExtListMetaContext64bitFinal,
       "Without extended headers a list of contexts of 64 bits ends with ERR_EXT_HEADER_REQD.",
       WithCompact(ListSaysThatWideIsReqd), kNeeds},
      {kExtSetMetaContextErr, "SET_META_CONTEXT without either is ERR_INVALID or ERR_EXT_HEADER_REQD.", SetNeedsChunks,
       kNeeds},
      {kExtSetMetaContextBaseNoErr, "SET_META_CONTEXT of base is never ERR_EXT_HEADER_REQD.",
       WithCompact(SetOfBaseIsNotReqd), kNeeds},
      {kExtSetMetaContext64bit, "Without extended headers contexts of 64 bits are not selected.",
       WithCompact(SetLeavesOutWide), kNeeds},
  };
}

}  // namespace nbdspec::conformance
