// SPDX-License-Identifier: BSD-3-Clause
// The rules about a client's flags and options.
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/utf8.h"
#include "engine/conduct/rule_words.h"
#include "engine/wire/payloads.h"

namespace nbdspec::engine {

namespace {

constexpr std::size_t kStringBytesSoftMax = 256;  // general.string.soft-256.client
constexpr std::size_t kInfoFrameBytes = 6;        // Of INFO and GO: all but the name and the requests.
constexpr std::string_view kNoSuchOption = "the client sent no such option";
constexpr std::string_view kNoFlags = "the client sent no flags";

bool IsInfoOrGo(std::uint32_t type) { return type == OptionType::kInfo || type == OptionType::kGo; }
bool IsMeta(std::uint32_t type) { return type == OptionType::kListMetaContext || type == OptionType::kSetMetaContext; }

// --- Strings: the name that an option has, and its queries ---

std::vector<std::string> StringsOf(const Option& option) {
  if (option.option == OptionType::kExportName) {
    return {std::string(option.payload.begin(), option.payload.end())};
  }
  if (IsInfoOrGo(option.option)) {
    const auto query = DecodePayload<InfoQuery>(option.payload);
    return query ? std::vector{query->name} : std::vector<std::string>();
  }
  std::vector<std::string> strings;
  if (const auto query = IsMeta(option.option) ? DecodePayload<MetaContextQuery>(option.payload) : std::nullopt) {
    strings = query->queries;
    strings.push_back(query->export_name);
  }
  return strings;
}

// What is asked of each string of an option.
template <auto holds>
Ruling EachString(const Moment& moment, std::string_view expected) {
  const std::vector<std::string> strings =
      moment.option != nullptr ? StringsOf(*moment.option) : std::vector<std::string>();
  if (strings.empty()) {
    return NotAsked("the client sent no string");
  }
  const bool all = std::ranges::all_of(strings, [](const std::string& text) { return holds(text); });
  return Require(all, expected, *moment.option);
}

// All of it but NUL, which is another rule's.
bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const CodePoint next = FirstCodePoint(text);
    if (next.length == 0) {
      return false;
    }
    text.remove_prefix(next.length);
  }
  return true;
}

// --- Options ---

// Options of one type: what must be so of each.
template <std::uint32_t type, typename Holds>
Ruling Each(const Moment& moment, Holds holds, std::string_view expected) {
  if (moment.option == nullptr || moment.option->option != type) {
    return NotAsked(kNoSuchOption);
  }
  return Require(holds(*moment.option), expected, *moment.option);
}

template <std::uint32_t type>
Ruling HasNoData(const Moment& moment) {
  return Each<type>(
      moment, [](const Option& option) { return option.payload.empty() && !option.too_long; },
      "the option without data");
}

// Whether a session may have options about payloads of replies by now.
bool HasChunks(const Moment& moment) { return moment.state.structured_replies; }

Ruling JudgeLayout(const Moment& moment, std::uint32_t type) {
  if (moment.option == nullptr || moment.option->option != type) {
    return NotAsked(kNoSuchOption);
  }
  return Require(moment.option->too_long || DecodePayload<MetaContextQuery>(moment.option->payload).has_value(),
                 "the length of a name, the name, a count, and so many queries with their lengths", *moment.option);
}

Ruling JudgeQueries(const Moment& moment, std::uint32_t type) {
  const auto query = moment.option != nullptr && moment.option->option == type
                         ? DecodePayload<MetaContextQuery>(moment.option->payload)
                         : std::nullopt;
  if (!query || query->queries.empty()) {
    return NotAsked("the client sent no query of that kind");
  }
  return Require(std::ranges::all_of(
                     query->queries,
                     [](const std::string& each) { return each.find(':') != std::string::npos && each[0] != ':'; }),
                 "queries that begin with a namespace and a colon", *moment.option);
}

// INFO and GO whose payload can be taken apart.
std::optional<InfoQuery> InfoQueryOf(const Moment& moment) {
  return moment.option != nullptr && IsInfoOrGo(moment.option->option)
             ? DecodePayload<InfoQuery>(moment.option->payload)
             : std::nullopt;
}

bool IsStateful(std::uint32_t type) {
  return type == OptionType::kStructuredReply || type == OptionType::kExtendedHeaders ||
         type == OptionType::kSetMetaContext;
}

Ruling JudgeNameLength(const Moment& moment) {
  if (moment.option == nullptr || !IsInfoOrGo(moment.option->option) || moment.option->too_long) {
    return NotAsked("the client sent neither INFO nor GO");
  }
  const Bytes& data = moment.option->payload;
  const bool fits =
      data.size() >= kInfoFrameBytes && GetBigEndian<std::uint32_t>(data) <= data.size() - kInfoFrameBytes;
  return Require(fits, "a name at least 6 bytes shorter than the data", *moment.option);
}

Ruling JudgeNoDuplicates(const Moment& moment) {
  auto query = InfoQueryOf(moment);
  if (!query || query->requests.empty()) {
    return NotAsked("the client asked for no information");
  }
  std::ranges::sort(query->requests);
  return Require(std::ranges::adjacent_find(query->requests) == query->requests.end(), "each information once",
                 *moment.option);
}

Ruling JudgeAnnouncesBlockSize(const Moment& moment) {
  const auto query = InfoQueryOf(moment);
  if (!query) {
    return NotAsked("the client sent neither INFO nor GO");
  }
  return Require(std::ranges::count(query->requests, InfoType::kBlockSize) > 0,
                 "a request for NBD_INFO_BLOCK_SIZE, by a client that can honour limits", *moment.option);
}

Ruling JudgeOnlyExportName(const Moment& moment) {
  if (moment.option == nullptr || moment.is_fixed()) {
    return NotAsked("both sides set FIXED_NEWSTYLE");
  }
  return Require(moment.asked.empty() && moment.option->option == OptionType::kExportName,
                 "NBD_OPT_EXPORT_NAME and nothing else, without FIXED_NEWSTYLE", *moment.option);
}

Ruling JudgeSerial(const Moment& moment) {
  if (moment.option == nullptr || moment.asked.empty()) {
    return NotAsked("the client sent less than two options");
  }
  return Require(!moment.is_early, "the next option after the last reply to the one before", *moment.option);
}

Ruling JudgeNoRepeat(const Moment& moment) {
  const bool is_such = moment.option != nullptr && (moment.option->option == OptionType::kStructuredReply ||
                                                    moment.option->option == OptionType::kExtendedHeaders);
  if (!is_such) {
    return NotAsked("the client asked for neither structured replies nor extended headers");
  }
  const bool is_agreed = moment.option->option == OptionType::kExtendedHeaders
                             ? moment.state.headers == HeaderForm::kExtended
                             : moment.state.structured_replies && moment.state.headers == HeaderForm::kCompact;
  return Require(!is_agreed, "an option that changes the server's state once", *moment.option);
}

// EXPORT_NAME where GO was there to be asked; `in_tls`: of the rule about clients that have TLS.
Ruling JudgePrefersGo(const Moment& moment, bool in_tls) {
  const bool may_haggle = moment.option != nullptr && moment.is_fixed() && (!in_tls || moment.state.tls);
  if (!may_haggle || (moment.option->option != OptionType::kExportName && moment.option->option != OptionType::kGo)) {
    return NotAsked(in_tls ? "the client entered no export inside TLS" : "the client entered no export by an option");
  }
  const AskedOption* go = moment.LastAsked(OptionType::kGo);
  const AskedOption* info = moment.LastAsked(OptionType::kInfo);
  const bool has_tried = (go != nullptr && go->is_refused()) || (info != nullptr && info->is_refused());
  return Require(moment.option->option == OptionType::kGo || has_tried, "NBD_OPT_GO before NBD_OPT_EXPORT_NAME",
                 *moment.option);
}

// Whether GO was asked with the request for block sizes, or there was no way to. block-size.client.use-go
Ruling JudgeUsesGo(const Moment& moment) {
  const AskedOption* info = moment.LastAsked(OptionType::kInfo);
  const auto query = info != nullptr ? DecodePayload<InfoQuery>(info->option.payload) : std::nullopt;
  if (moment.option == nullptr || !query || std::ranges::count(query->requests, InfoType::kBlockSize) == 0 ||
      info->is_refused() ||
      (moment.option->option != OptionType::kExportName && moment.option->option != OptionType::kGo)) {
    return NotAsked("the client asked for no block sizes by INFO and then entered");
  }
  const AskedOption* go = moment.LastAsked(OptionType::kGo);
  return Require(moment.option->option == OptionType::kGo || (go != nullptr && go->is_refused()),
                 "NBD_OPT_GO by a client that asked for block sizes", *moment.option);
}

// Of a client that had this option acknowledged before STARTTLS, and uses after it what needs the option.
Ruling JudgeRenegotiates(const Moment& moment, std::uint32_t type) {
  const AskedOption* before = moment.LastAsked(type);
  const bool was_there = std::ranges::any_of(moment.asked, [type](const AskedOption& each) {
    return each.option.option == type && each.is_acknowledged() && !each.is_in_tls;
  });
  const bool needs =
      moment.option != nullptr && moment.option->option == OptionType::kSetMetaContext && !HasChunks(moment);
  if (!moment.state.tls || !was_there || !needs) {
    return NotAsked("the client agreed on nothing before STARTTLS that it used inside TLS");
  }
  return Require(before->is_in_tls, OptionName(type) + " again after STARTTLS", *moment.option);
}

constexpr std::string_view kWithChunks = "structured replies agreed first";

const ClientRule kRules[] = {
    {kGeneralStringUtf8Client, [](auto& m) { return EachString<&IsUtf8>(m, "UTF-8"); }},
    {kGeneralStringNoNulClient,
     [](auto& m) {
       return EachString<[](std::string_view text) { return text.find('\0') == text.npos; }>(m, "no NUL byte");
     }},
    {kGeneralStringMax4096Client,
     [](auto& m) {
       return EachString<[](std::string_view text) { return text.size() <= kStringBytesMax; }>(m, "at most 4096 bytes");
     }},
    {kGeneralStringSoft256Client,
     [](auto& m) {
       return EachString<[](std::string_view text) { return text.size() <= kStringBytesSoftMax; }>(m,
                                                                                                   "at most 256 bytes");
     }},
    {kOptionNonfixedOnlyExportName, JudgeOnlyExportName},
    {kOptionSerial, JudgeSerial},
    {kOptionStateClientNoRepeat, JudgeNoRepeat},
    {kTlsClientNoStarttlsWithoutFixed,
     [](auto& m) {
       return Each<OptionType::kStarttls>(
           m, [&](auto&) { return m.is_fixed(); }, "no NBD_OPT_STARTTLS unless both sides set FIXED_NEWSTYLE");
     }},
    {kTlsClientNoSecondStarttls,
     [](auto& m) {
       return Each<OptionType::kStarttls>(m, [&](auto&) { return !m.state.tls; }, "no NBD_OPT_STARTTLS inside TLS");
     }},
    {kTlsClientFirstOption,
     [](auto& m) {
       return Each<OptionType::kStarttls>(
           m, [&](auto&) { return m.state.tls || m.asked.empty(); }, "NBD_OPT_STARTTLS as the first option");
     }},
    {kTlsClientPreferGo, [](auto& m) { return JudgePrefersGo(m, /*in_tls=*/true); }},
    {kBlockSizeClientAnnounce, JudgeAnnouncesBlockSize},
    {kBlockSizeClientUseGo, JudgeUsesGo},
    {kHandshakeClientFlagsFixed,
     [](auto& m) {
       return m.flags == nullptr || AreHalf(m.flags->flags) || !m.state.is_fixed_newstyle()
                  ? NotAsked(kNoFlags)
                  : Require((m.flags->flags & ClientFlag::kFixedNewstyle) != 0,
                            "C_FIXED_NEWSTYLE, which the server has", ClientFlagNames(m.flags->flags));
     }},
    {kHandshakeClientFlagsNoZeroesGated,
     [](auto& m) {
       return m.flags == nullptr
                  ? NotAsked(kNoFlags)
                  : Require((m.flags->flags & ClientFlag::kNoZeroes) == 0 ||
                                (m.state.handshake_flags & HandshakeFlag::kNoZeroes) != 0,
                            "no C_NO_ZEROES, which the server does not have", ClientFlagNames(m.flags->flags));
     }},
    {kHandshakeClientFlagsNoOther,
     [](auto& m) {
       return m.flags == nullptr || AreHalf(m.flags->flags)
                  ? NotAsked(kNoFlags)
                  : Require((m.flags->flags & ~(ClientFlag::kFixedNewstyle | ClientFlag::kNoZeroes)) == 0,
                            "bits 0 and 1 alone", ClientFlagNames(m.flags->flags));
     }},
    {kOptionExportNameClientPrefersGo, [](auto& m) { return JudgePrefersGo(m, /*in_tls=*/false); }},
    {kOptionAbortClientNoData, HasNoData<OptionType::kAbort>},
    {kOptionListClientNoData, HasNoData<OptionType::kList>},
    {kOptionStarttlsClientNoData, HasNoData<OptionType::kStarttls>},
    {kOptionStarttlsClientDeferState,
     [](auto& m) {
       return Each<OptionType::kStarttls>(
           m,
           [&](auto&) {
             return std::ranges::none_of(m.asked,
                                         [](const AskedOption& each) { return IsStateful(each.option.option); });
           },
           "no option with an effect before it is known whether there is TLS");
     }},
    {kOptionInfoClientNameLength, JudgeNameLength},
    {kOptionInfoClientNoDup, JudgeNoDuplicates},
    {kOptionStructuredReplyClientNoData, HasNoData<OptionType::kStructuredReply>},
    {kOptionStructuredReplyClientGate,
     [](auto& m) { return Each<OptionType::kSetMetaContext>(m, [&](auto&) { return HasChunks(m); }, kWithChunks); }},
    {kOptionStructuredReplyClientRenegotiate,
     [](auto& m) { return JudgeRenegotiates(m, OptionType::kStructuredReply); }},
    {kOptionListMetaContextNeedsStructured,
     [](auto& m) { return Each<OptionType::kListMetaContext>(m, [&](auto&) { return HasChunks(m); }, kWithChunks); }},
    {kExtListMetaContextNeeds,
     [](auto& m) { return Each<OptionType::kListMetaContext>(m, [&](auto&) { return HasChunks(m); }, kWithChunks); }},
    {kExtSetMetaContextNeeds,
     [](auto& m) { return Each<OptionType::kSetMetaContext>(m, [&](auto&) { return HasChunks(m); }, kWithChunks); }},
    {kOptionListMetaContextLayout, [](auto& m) { return JudgeLayout(m, OptionType::kListMetaContext); }},
    {kOptionListMetaContextQuerySyntax, [](auto& m) { return JudgeQueries(m, OptionType::kListMetaContext); }},
    {kOptionSetMetaContextNeedsStructured,
     [](auto& m) { return Each<OptionType::kSetMetaContext>(m, [&](auto&) { return HasChunks(m); }, kWithChunks); }},
    {kOptionSetMetaContextLayout, [](auto& m) { return JudgeLayout(m, OptionType::kSetMetaContext); }},
    {kOptionSetMetaContextQuerySyntax, [](auto& m) { return JudgeQueries(m, OptionType::kSetMetaContext); }},
    {kExtClientNoExportName,
     [](auto& m) {
       return m.option == nullptr || m.state.headers != HeaderForm::kExtended
                  ? NotAsked("extended headers were not agreed")
                  : Require(m.option->option != OptionType::kExportName, "no NBD_OPT_EXPORT_NAME with extended headers",
                            *m.option);
     }},
    {kExtOptionClientNoData, HasNoData<OptionType::kExtendedHeaders>},
    {kExtOptionClientRenegotiate, [](auto& m) { return JudgeRenegotiates(m, OptionType::kExtendedHeaders); }},
};

}  // namespace

std::span<const ClientRule> HagglingRules() { return kRules; }

}  // namespace nbdspec::engine
