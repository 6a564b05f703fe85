// SPDX-License-Identifier: BSD-3-Clause
// Oddities of haggling: options refused for reasons of the server's own, information and contexts in ways that few
// choose.
#include <fmt/format.h>

#include "engine/oddities/oddity_tables.h"
#include "engine/wire/fields.h"

namespace nbdspec::engine::oddities {

namespace {

constexpr std::uint32_t kExtendedHeaders = OptionType::kExtendedHeaders;
constexpr std::uint32_t kErrPlatform = OptionReplyType::kErrPlatform;
constexpr std::uint32_t kErrBlockSizeReqd = OptionReplyType::kErrBlockSizeReqd;
constexpr std::uint32_t kErrExtHeaderReqd = OptionReplyType::kErrExtHeaderReqd;
constexpr std::uint32_t kUnlikelyOption = 0x7fff'0000;

using RefusesWhen = std::function<bool(const Option& option, const Connection& on)>;

// Refuses the option where `when` holds, before the server takes it for granted: it receives an option that nobody
// knows, or a SET_META_CONTEXT without data, for one that fails drops what was selected. What is refused for want of
// TLS stays so.
Change RefusesIf(std::uint32_t option, std::uint32_t type, const RefusesWhen& when) {
  return {.received =
              [=](ClientMessage& received, const Connection& on) {
                auto* each = std::get_if<Option>(&received);
                if (each != nullptr && IsOneOf(*each, option) && when(*each, on)) {
                  *each = {.option = each->option == kSetContexts ? kSetContexts : kUnlikelyOption};
                }
                return true;
              },
          .sent =
              [=](const ClientMessage* to, const Connection& on, Messages& sent) {
                const auto* asked = std::get_if<Option>(to);
                const bool is_set = asked != nullptr && asked->option == kSetContexts && IsOneOf(*asked, option);
                ForEach<OptionReply>(sent, [&](OptionReply& reply) {
                  if (reply.option == kUnlikelyOption || (is_set && reply.is_error() && when(*asked, on))) {
                    reply.option = asked->option;
                    reply.type = reply.type == kErrTlsReqd ? kErrTlsReqd : type;
                    reply.payload.clear();
                  }
                });
              }};
}

Change Refuses(std::uint32_t option, std::uint32_t type) {
  return RefusesIf(option, type, [](auto&, auto&) { return true; });
}

// Where the option has more queries than `count`.
Change RefusesQueries(std::uint32_t option, std::size_t count) {
  return RefusesIf(option, kErrTooBig, [count](const Option& asked, auto&) {
    const auto query = DecodePayload<MetaContextQuery>(asked.payload);
    return query && query->queries.size() > count;
  });
}

// What the error replies say.
Change Says(const std::string& text) {
  return ChangesOptionReplies(kAnyOption, [text](OptionReply& reply) {
    if (reply.is_error()) {
      reply.payload.assign(text.begin(), text.end());
    }
  });
}

// Information of a type that nobody knows, with data.
OptionReply UnknownInfo(const Option& to) {
  Bytes payload;
  PutBigEndian<std::uint16_t>(0x7777, payload);
  payload.insert(payload.end(), {1, 2, 3});
  return {.option = to.option, .type = OptionReplyType::kInfo, .payload = std::move(payload)};
}

OptionReply Information(const Option& to, std::uint16_t type, std::string text) {
  return {.option = to.option,
          .type = OptionReplyType::kInfo,
          .payload = EncodePayload(InfoText{.type = type, .text = std::move(text)})};
}

// Adds `make` to what is said of an export, at the front or at the end.
Change AddsInfo(std::function<OptionReply(const Option& to)> make, bool at_end = false) {
  const auto add = [=](const Option& to, Messages& sent) {
    if (LastReplyType(sent) == kAck) {
      sent.insert(at_end ? sent.end() - 1 : sent.begin(), make(to));
    }
  };
  return Both(ChangesOptionAnswer(kInfo, add), ChangesOptionAnswer(kGo, add));
}

// The replies before the ACK in reverse.
Change Reverses(std::uint32_t option) {
  return ChangesOptionAnswer(option, [](Messages& sent) {
    if (LastReplyType(sent) == kAck) {
      std::reverse(sent.begin(), sent.end() - 1);
    }
  });
}

// Of all that is said of an export only what must be: block sizes where a client must know them.
Change WithholdsWhatItMay(std::uint32_t option) {
  return Withholds(option, [](const OptionReply& reply) {
    const auto block_size = DecodePayload<InfoBlockSize>(reply.payload);
    const bool must_be_known = IsInfo(reply, InfoType::kBlockSize) && block_size && block_size->minimum > 1;
    return reply.type == OptionReplyType::kInfo && !IsInfo(reply, InfoType::kExport) && !must_be_known;
  });
}

// The export is called so.
Change Calls(const std::string& name) {
  return ChangesInfo<InfoText>([name](InfoText& info) { info.text = info.type == InfoType::kName ? name : info.text; });
}

// Ids of contexts that are the server's, `id_of` each, on the wire. It is its own inverse.
Change MapsIds(std::function<std::uint32_t(std::uint32_t id)> id_of) {
  return Both(Both(ChangesContexts(kSetContexts, [=](MetaContext& context) { context.id = id_of(context.id); }),
                   ChangesStatus([=](BlockStatus& status) { status.context_id = id_of(status.context_id); })),
              ChangesRequest(kBlockStatus, [=](Request& request) {
                if (request.announces_payload()) {
                  ChangePayload<StatusQuery>(request.payload, [&](StatusQuery& query) {
                    std::ranges::transform(query.context_ids, query.context_ids.begin(), id_of);
                  });
                }
              }));
}

// Lists, to those who ask for all, a name that stands for several.
Change ListsWildcard() {
  return ChangesOptionAnswer(kListContexts, [](const Option& to, Messages& sent) {
    const auto query = DecodePayload<MetaContextQuery>(to.payload);
    if (query && query->queries.empty() && LastReplyType(sent) == kAck) {
      sent.insert(sent.end() - 1, ReplyOf(to, {.name = "x-wild:*"}));
    }
  });
}

// Each export is listed with a description, for people.
Change DescribesListed() {
  return ChangesOptionReplies(kList, OptionReplyType::kServer, [](OptionReply& reply) {
    ChangePayload<ListedExport>(reply.payload, [](ListedExport& each) { each.description = "\u00fcber alles"; });
  });
}

// Enters without having asked for block sizes.
bool AsksNoBlockSize(const Option& option, const Connection& /*on*/) {
  const auto query = DecodePayload<InfoQuery>(option.payload);
  return query && std::ranges::count(query->requests, InfoType::kBlockSize) == 0;
}

void HasLimits(ExportOptions& of) { of.block_size = {.minimum = 512, .preferred = 4096, .maximum = 1 << 22}; }

std::uint32_t SwapsTopBit(std::uint32_t id) { return id ^ 0x80000000; }
std::uint32_t CountsFromZero(std::uint32_t id) { return id ^ 1; }
std::uint32_t CountsFromTheTop(std::uint32_t id) { return ~id; }

// --- Extended headers ---

bool HasCompactHeaders(const Option& /*asked*/, const Connection& on) {
  return on.negotiated->headers == HeaderForm::kCompact;
}

bool HasExtendedHeaders(const Option& asked, const Connection& on) { return !HasCompactHeaders(asked, on); }

bool HasExtendedHeadersAndAsksNoBlockSize(const Option& asked, const Connection& on) {
  return HasExtendedHeaders(asked, on) && AsksNoBlockSize(asked, on);
}

// Of the default export; others may have to be refused for want of TLS.
bool EntersWithCompactHeaders(const Option& asked, const Connection& on) {
  const auto query = DecodePayload<InfoQuery>(asked.payload);
  return HasCompactHeaders(asked, on) && query && query->name.empty();
}

bool HasNoChunks(const Option& /*asked*/, const Connection& on) { return !on.negotiated->structured_replies; }

// A context whose status needs 64 bits, without the headers that have them.
bool AsksForWideContext(const Option& asked, const Connection& on) {
  const auto query = DecodePayload<MetaContextQuery>(asked.payload);
  return HasCompactHeaders(asked, on) && !HasNoChunks(asked, on) && query &&
         std::ranges::count(query->queries, kBlockCountdownContext) > 0;
}

Change ListsWideContextsToNobody() {
  return Both(Withholds(kListContexts,
                        [](const OptionReply& reply) {
                          const auto context = DecodePayload<MetaContext>(reply.payload);
                          return reply.type == OptionReplyType::kMetaContext && context &&
                                 context->name == kBlockCountdownContext;
                        }),
              ReplacesReply(kListContexts, kErrExtHeaderReqd, kAck));
}

Change HangsUpOnData(std::uint32_t option) {
  return ChangesOptionAnswer(option, [](const Option& to, Messages& sent) {
    if (!to.payload.empty()) {
      sent = {HardDisconnect{}};
    }
  });
}

// An export nobody has is answered so where contexts are asked for.
Change AnswersUnknownExport(std::uint32_t type) { return ReplacesReply(kEitherMetaContext, kErrUnknown, type); }

}  // namespace

std::vector<Oddity> HagglingOddities() {
  return {
      // Refusals.
      {"server_refuses_list_by_policy", kRepErrPolicy, Refuses(kList, kErrPolicy)},
      {"server_refuses_structured_replies_by_policy", kRepErrPolicy, Refuses(kStructuredReply, kErrPolicy)},
      {"server_refuses_structured_replies_by_platform", kRepErrPlatform, Refuses(kStructuredReply, kErrPlatform)},
      {"server_refuses_extended_headers_by_policy", kRepErrPolicy, Refuses(kExtendedHeaders, kErrPolicy)},
      {"server_refuses_extended_headers_by_platform", kRepErrPlatform, Refuses(kExtendedHeaders, kErrPlatform)},
      {"server_refuses_to_list_contexts", kBaselineOptional, Refuses(kListContexts, kErrUnsup)},
      {"server_refuses_to_list_contexts_by_policy", kRepErrPolicy, Refuses(kListContexts, kErrPolicy)},
      {"server_refuses_contexts", kBaselineOptional, Refuses(kEitherMetaContext, kErrUnsup)},
      {"server_refuses_contexts_by_policy", kRepErrPolicy, Refuses(kEitherMetaContext, kErrPolicy)},
      {"server_refuses_several_listed_queries", kOptionListMetaContextTooBig, RefusesQueries(kListContexts, 1)},
      {"server_refuses_several_queries", kOptionSetMetaContextTooBig, RefusesQueries(kSetContexts, 1)},
      {"server_knows_no_contexts_of_unknown_exports_by_policy", kOptionListMetaContextUnknownExport,
       AnswersUnknownExport(kErrPolicy)},
      {"server_calls_unknown_exports_invalid_for_contexts", kOptionSetMetaContextUnknownExport,
       AnswersUnknownExport(kErrInvalid)},
      {.name = "server_demands_to_be_asked_for_block_sizes",
       .permitted_by = kBlockSizeServerRefuseGo,
       .change = RefusesIf(kGo, kErrBlockSizeReqd, AsksNoBlockSize),
       .offers = HasLimits},
      {.name = "server_lets_nobody_in_by_export_name",
       .permitted_by = kBlockSizeServerRefuseExportName,
       .change = AnswersOption(kExportName, {HardDisconnect{}}),
       .offers = HasLimits},
      {"server_says_nothing_when_it_refuses", kOptionReplyZeroLength, Says("")},
      {"server_says_much_when_it_refuses", kRepErrText, Says(std::string(200, 'n'))},
      {"server_says_so_in_greek_when_it_refuses", kRepErrText, Says("\u03bf\u03c7\u03b9")},
      // LIST.
      {"server_lists_in_reverse", kOptionListReplyShape, Reverses(kList)},
      {"server_describes_what_it_lists", kOptionListReplyShape, DescribesListed()},
      // INFO and GO.
      {"server_informs_in_reverse", kOptionInfoAnyOrder, Both(Reverses(kInfo), Reverses(kGo))},
      {"server_informs_in_another_order_at_go", kOptionGoOrderMayDiffer, Reverses(kGo)},
      {"server_sends_unknown_information_first", kOptionInfoUnsolicited, AddsInfo(UnknownInfo)},
      {"server_sends_unknown_information_last", kOptionInfoUnsolicited, AddsInfo(UnknownInfo, /*at_end=*/true)},
      {"server_withholds_what_it_may", kOptionInfoPolicyOmit, Both(WithholdsWhatItMay(kInfo), WithholdsWhatItMay(kGo))},
      {"server_withholds_names", kRepInfoNameMayOmit, WithholdsInfo(kAnyOption, InfoType::kName)},
      {"server_withholds_descriptions", kOptionInfoPolicyOmit, WithholdsInfo(kAnyOption, InfoType::kDescription)},
      {"server_has_another_name_for_the_default", kRepInfoNameMayDiffer, Calls("disk0")},
      {"server_always_says_its_name", kOptionInfoUnsolicited, AddsInfo([](const Option& to) {
         const auto query = DecodePayload<InfoQuery>(to.payload);
         return std::ranges::count(query->requests, InfoType::kName) > 0
                    ? UnknownInfo(to)
                    : Information(to, InfoType::kName, query->name);
       })},
      // Contexts.
      {"server_lists_contexts_in_reverse", kOptionListMetaContextOrder, Reverses(kListContexts)},
      {"server_selects_contexts_in_reverse", kOptionSetMetaContextOrder, Reverses(kSetContexts)},
      {"server_has_ids_above_2_31", kOptionSetMetaContextIdTransient, MapsIds(SwapsTopBit)},
      {"server_counts_ids_from_zero", kOptionSetMetaContextIdTransient, MapsIds(CountsFromZero)},
      {"server_counts_ids_from_the_top", kOptionSetMetaContextIdTransient, MapsIds(CountsFromTheTop)},
      // Extended headers.
      {"server_lists_wide_contexts_to_nobody", kExtListMetaContext64bitAdvertise, ListsWideContextsToNobody()},
      {"server_refuses_wide_contexts", kExtSetMetaContext64bit,
       RefusesIf(kSetContexts, kErrExtHeaderReqd, AsksForWideContext)},
      {"server_wants_extended_headers_for_contexts", kExtListMetaContextErr,
       RefusesIf(kEitherMetaContext, kErrExtHeaderReqd, HasNoChunks)},
      {"server_takes_structured_replies_after_extended_headers", kExtStructuredReplyAfterExt,
       ReplacesReply(kStructuredReply, kErrExtHeaderReqd, kAck)},
      {"server_agrees_to_extended_headers_once", kOptionStateRepeatMayFail,
       RefusesIf(kExtendedHeaders, kErrInvalid, HasExtendedHeaders)},
      {"server_hangs_up_on_extended_headers_with_data", kSessionViolationMayHardServer,
       HangsUpOnData(kExtendedHeaders)},
      {"server_wants_block_sizes_asked_for_with_extended_headers", kExtOptionLaterBsreq,
       RefusesIf(kGo, kErrBlockSizeReqd, HasExtendedHeadersAndAsksNoBlockSize)},
      {"server_demands_extended_headers", kExtGoErrExtHeaderReqd,
       RefusesIf(kGo, kErrExtHeaderReqd, EntersWithCompactHeaders)},
      {"server_lists_a_wildcard", kOptionListMetaContextZeroQueriesWildcards, ListsWildcard()},
  };
}

}  // namespace nbdspec::engine::oddities
