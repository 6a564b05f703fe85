// SPDX-License-Identifier: BSD-3-Clause
// Checks of INFO and GO and what they return. Block sizes have their own file. Spec: proto.md, "NBD_OPT_INFO",
// "NBD_OPT_GO", "NBD_REP_INFO".
#include <set>

#include "conformance/checks/options/haggling.h"

namespace nbdspec::conformance {

namespace {

// INFO for the export under test on a new connection.
std::expected<Replies, Judgement> AskInfo(CheckContext& context, std::vector<std::uint16_t> requests) {
  return context.AskOption(InfoOption(OptionType::kInfo, context.export_name, std::move(requests)));
}

// --- What is asked ---

// Data that does not parse is a client's fault: only acceptance is wrong.
Judgement RefusesMalformed(CheckContext& context, const Bytes& data) {
  NBDSPEC_TRY(session, context.Haggle());
  const auto replies = session.Ask(Option{.option = OptionType::kInfo, .payload = data});
  return replies ? Require(!IsAcknowledged(*replies), TypesOf(*replies), "NBD_REP_ERR_INVALID")
                 : MayDisconnect(replies.error(), "NBD_REP_ERR_INVALID");
}

Judgement RefusesCountOverrun(CheckContext& context) {
  Bytes data = EncodePayload(InfoQuery{.name = context.export_name, .requests = {}});
  data.back() = 5;  // Requests announced; one follows.
  data.insert(data.end(), {0, InfoType::kBlockSize});
  return RefusesMalformed(context, data);
}

Judgement IgnoresUnknownRequest(CheckContext& context) {
  NBDSPEC_TRY(plain, AskInfo(context, {InfoType::kBlockSize}));
  if (!IsAcknowledged(plain)) {
    return NotApplicable("INFO is answered " + TypesOf(plain) + " without unknown requests too");
  }
  NBDSPEC_TRY(replies, AskInfo(context, {0xfffe, InfoType::kExport, InfoType::kBlockSize}));
  return Require(IsAcknowledged(replies) && FindInfo(replies, InfoType::kExport) != nullptr,
                 "with information request 0xfffe: " + TypesOf(replies), "unknown requests are ignored");
}

Judgement EmptyNameIsValid(CheckContext& context) {
  NBDSPEC_TRY(replies, context.AskOption(InfoOption(OptionType::kInfo, "")));
  return Require(!EndsIn(replies, OptionReplyType::kErrInvalid),
                 "NBD_REP_ERR_INVALID " + Quoted(TextOf(replies.back())), "the default export, or NBD_REP_ERR_UNKNOWN");
}

// --- Success ---

Judgement AckAfterExport(const Replies& replies) {
  return Require(!IsAcknowledged(replies) || FindInfo(replies, InfoType::kExport) != nullptr,
                 TypesOf(replies) + ", without NBD_INFO_EXPORT", "NBD_INFO_EXPORT before NBD_REP_ACK");
}

Judgement InfoReturnsExport(CheckContext& context) {
  NBDSPEC_TRY(replies, AskInfo(context, {}));
  return IsAcknowledged(replies) ? AckAfterExport(replies) : NotApplicable("INFO was answered " + TypesOf(replies));
}

Judgement GoReturnsExport(CheckContext& context) {
  NBDSPEC_TRY(answer, EnterByGo(context, {}));
  return AckAfterExport(answer.replies);
}

template <std::uint32_t option>
Judgement IsKnown(CheckContext& context) {
  NBDSPEC_TRY(replies, context.AskOption(InfoOption(option, context.export_name)));
  return Require(!EndsIn(replies, OptionReplyType::kErrUnsup), "NBD_REP_ERR_UNSUP",
                 "servers implement " + OptionName(option));
}

std::multiset<Bytes> InformationIn(const Replies& replies) {
  std::multiset<Bytes> information;
  for (const OptionReply& reply : replies) {
    if (reply.type == OptionReplyType::kInfo) {
      information.insert(reply.payload);
    }
  }
  return information;
}

// What differs is rarely much.
std::string OnlyIn(const std::multiset<Bytes>& one, const std::multiset<Bytes>& other) {
  std::string text;
  for (const Bytes& each : one) {
    if (!other.contains(each)) {
      const auto type = DecodeInfoType(each);
      text += (text.empty() ? "" : ", ") + (type ? InfoName(*type) : std::string("no type"));
      text += fmt::format(" ({} bytes", each.size());
      if (const auto info = DecodePayload<InfoExport>(each)) {
        text += fmt::format(", size {}, flags {}", info->size, TransmissionFlagNames(info->flags));
      }
      text += ")";
    }
  }
  return text.empty() ? "nothing of its own" : text;
}

Judgement GoReturnsTheSame(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  NBDSPEC_TRY(info, session.Ask(InfoOption(OptionType::kInfo, context.export_name, kEveryRequest)));
  if (!IsAcknowledged(info)) {
    return NotApplicable("INFO was answered " + TypesOf(info));
  }
  NBDSPEC_TRY(go, session.Ask(InfoOption(OptionType::kGo, context.export_name, kEveryRequest)));
  if (!IsAcknowledged(go)) {
    return Inconclusive("GO was answered " + TypesOf(go));
  }
  const auto by_info = InformationIn(info);
  const auto by_go = InformationIn(go);
  return Require(by_info == by_go, "INFO: " + OnlyIn(by_info, by_go) + "; GO: " + OnlyIn(by_go, by_info),
                 "the same information in any order");
}

Judgement GoEntersTransmission(CheckContext& context) {
  NBDSPEC_TRY(answer, EnterByGo(context, {InfoType::kBlockSize}));
  const std::uint32_t length = std::max(512U, answer.block_size.value_or(InfoBlockSize{}).minimum);
  if (length > answer.info.size) {
    return NotApplicable(fmt::format("the export has {} bytes only", answer.info.size));
  }
  const auto reply = answer.session.Ask(Request{.length = length});
  return reply ? Holds() : Broken("READ after GO: " + reply.error().text, "a reply to the request");
}

Judgement GoSendsNoPad(CheckContext& context) {
  NBDSPEC_TRY(answer, EnterByGo(context, {InfoType::kBlockSize}, ClientFlag::kFixedNewstyle));
  return GetsNoPad(answer.session, "NBD_REP_ACK of GO");
}

// --- Haggling goes on ---

// LIST must be answered after `option`, which must end as `applies` says.
Judgement ListFollows(CheckContext& context, const Option& option, bool (*applies)(const Replies&)) {
  NBDSPEC_TRY(session, context.Haggle());
  NBDSPEC_TRY(replies, session.Ask(option));
  const std::string name = OptionName(option.option);
  if (!applies(replies)) {
    return NotApplicable(name + " was answered " + TypesOf(replies));
  }
  const auto list = session.Ask(Option{.option = OptionType::kList});
  return list ? Holds()
              : About(WhatFollows(SubjectOf(option)),
                      Broken("LIST after " + name + ": " + list.error().text, "options go on after " + name));
}

Judgement InfoStaysInHaggling(CheckContext& context) {
  return ListFollows(context, InfoOption(OptionType::kInfo, context.export_name), IsAcknowledged);
}

Judgement FailedGoStaysInHaggling(CheckContext& context) {
  return ListFollows(context, InfoOption(OptionType::kGo, context.UnknownName()),
                     [](const Replies& replies) { return replies.back().is_error(); });
}

// --- No such export ---

Judgement UnknownExport(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  const auto replies = session.Ask(InfoOption(OptionType::kInfo, context.UnknownName()));
  constexpr std::string_view kAllowed = "NBD_REP_ERR_UNKNOWN";
  if (!replies) {
    return MayNotDisconnect(replies.error(), "", kAllowed);
  }
  if (IsAcknowledged(*replies)) {
    return NotApplicable("the server has an export of any name");
  }
  const bool wrong = EndsIn(*replies, OptionReplyType::kErrInvalid) || EndsIn(*replies, OptionReplyType::kErrUnsup) ||
                     EndsIn(*replies, OptionReplyType::kErrBlockSizeReqd);
  return Require(!wrong, TypesOf(*replies), kAllowed);
}

Judgement UnknownExportWithoutInfo(CheckContext& context) {
  NBDSPEC_TRY(replies, context.AskOption(InfoOption(OptionType::kInfo, context.UnknownName(), kEveryRequest)));
  return EndsIn(replies, OptionReplyType::kErrUnknown)
             ? Require(replies.size() == 1, TypesOf(replies), "NBD_REP_ERR_UNKNOWN alone")
             : NotApplicable("INFO for a name of ours was answered " + TypesOf(replies));
}

// --- Information ---

Judgement EachTypeOnce(CheckContext& context) {
  NBDSPEC_TRY(replies, AskInfo(context, kEveryRequest));
  std::set<std::uint16_t> types;
  for (const OptionReply& reply : replies) {
    const auto type = DecodeInfoType(reply.payload);
    if (reply.type == OptionReplyType::kInfo && type && *type <= InfoType::kBlockSize && !types.insert(*type).second) {
      return Broken(InfoName(*type) + " twice", "each type of information once");
    }
  }
  return types.empty() ? NotApplicable("INFO was answered " + TypesOf(replies)) : Holds();
}

// The information of `type` that GO returns for a request for it alone must have `bytes` bytes, or at least 2, which is
// its type, where `bytes` is 0. Only the request identifies a reply that is too short for a type.
template <std::uint16_t type, std::size_t bytes>
Judgement HasLength(CheckContext& context) {
  NBDSPEC_TRY(answer, AskGo(context, {type}));
  const auto too_short = std::ranges::find_if(answer.replies, [](const OptionReply& reply) {
    return reply.type == OptionReplyType::kInfo && reply.payload.size() < 2;
  });
  if (bytes == 0 && too_short != answer.replies.end()) {
    return Broken(fmt::format("NBD_REP_INFO of {} bytes", too_short->payload.size()), "at least 2 bytes");
  }
  const OptionReply* reply = FindInfo(answer.replies, type);
  if (reply == nullptr) {
    return NotApplicable("there is no " + InfoName(type) + " in " + TypesOf(answer.replies));
  }
  return Require(bytes == 0 || reply->payload.size() == bytes,
                 fmt::format("{} of {} bytes", InfoName(type), reply->payload.size()), fmt::format("{} bytes", bytes));
}

// What LIST and INFO return for the export under test.
struct ListAndInfo {
  std::vector<ListedExport> listed;
  std::optional<InfoText> name;
  std::optional<InfoText> description;
};

std::expected<ListAndInfo, Judgement> AskListAndInfo(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  NBDSPEC_TRY(list, session.Ask(Option{.option = OptionType::kList}));
  NBDSPEC_TRY(info, session.Ask(InfoOption(OptionType::kInfo, context.export_name, kEveryRequest)));
  const auto text_of = [&info](std::uint16_t type) {
    const OptionReply* reply = FindInfo(info, type);
    return reply == nullptr ? std::nullopt : DecodePayload<InfoText>(reply->payload);
  };
  return ListAndInfo{
      .listed = ListedIn(list), .name = text_of(InfoType::kName), .description = text_of(InfoType::kDescription)};
}

Judgement NameIsListed(CheckContext& context) {
  NBDSPEC_TRY(both, AskListAndInfo(context));
  if (!both.name || both.listed.empty()) {
    return NotApplicable(both.name ? "no export is listed" : "there is no NBD_INFO_NAME");
  }
  if (LacksExport(context, context.UnknownName()) != true) {
    return NotApplicable("the server has exports that it does not list");
  }
  return Require(std::ranges::count(both.listed, both.name->text, &ListedExport::name) > 0,
                 "NBD_INFO_NAME " + Quoted(both.name->text) + ", which LIST does not have",
                 "the name that LIST has for the export");
}

Judgement DescriptionIsListed(CheckContext& context) {
  NBDSPEC_TRY(both, AskListAndInfo(context));
  const std::string& name = both.name ? both.name->text : context.export_name;
  const auto listed = std::ranges::find(both.listed, name, &ListedExport::name);
  if (!both.description || listed == both.listed.end() || listed->description.empty()) {
    return NotApplicable("LIST and INFO do not both describe the export");
  }
  return Require(listed->description == both.description->text,
                 "LIST: " + Quoted(listed->description) + "; INFO: " + Quoted(both.description->text),
                 "the same description");
}

}  // namespace

std::vector<Check> InfoChecks() {
  constexpr Features kInfoAndList = Feature::kInfo | Feature::kList;
  return {
      {kOptionInfoSyntaxInvalid, "INFO whose name does not fit in its data is not acknowledged.",
       [](CheckContext& context) {
         return RefusesMalformed(context, {0, 0, 0, 100, 0, 0, 0, 0});  // A name of 100 bytes where 4 bytes are left.
       },
       Feature::kInfo},
      {kSub<kOptionInfoSyntaxInvalid, "count">, "INFO that announces more requests than follow is not acknowledged.",
       RefusesCountOverrun, Feature::kInfo},
      {kSub<kOptionInfoSyntaxInvalid, "short">, "INFO with two bytes of data is not acknowledged.",
       [](CheckContext& context) { return RefusesMalformed(context, {0, 0}); }, Feature::kInfo},
      {kOptionInfoIgnoreUnknownRequest, "INFO succeeds in spite of an unknown information request.",
       IgnoresUnknownRequest, Feature::kInfo},
      {kOptionInfoEmptyNameDefault, "INFO for the empty name is not invalid.", EmptyNameIsValid, Feature::kInfo},
      {kOptionInfoAckNeedsExport, "INFO without requests gets INFO_EXPORT before ACK.", InfoReturnsExport,
       Feature::kInfo},
      {kSub<kOptionInfoAckNeedsExport, "go">, "GO without requests gets INFO_EXPORT before ACK.", GoReturnsExport,
       Feature::kGo},
      {kBaselineInfoGoServer, "The server knows INFO.", IsKnown<OptionType::kInfo>, kFixed},
      {kSub<kBaselineInfoGoServer, "go">, "The server knows GO.", IsKnown<OptionType::kGo>, kFixed},
      {kOptionInfoUnknownExport, "INFO for an export that does not exist gets ERR_UNKNOWN.", UnknownExport,
       Feature::kInfo},
      {kOptionInfoUnknownNoInfo, "No INFO reply precedes ERR_UNKNOWN.", UnknownExportWithoutInfo, Feature::kInfo},
      {kOptionInfoStaysInHaggling, "LIST is answered after INFO.", InfoStaysInHaggling, Feature::kInfo},
      {kOptionGoSameAsInfo, "GO right after the same INFO returns the same information.", GoReturnsTheSame,
       Feature::kInfo | Feature::kGo},
      {kOptionGoEntersTransmission, "READ is answered after GO.", GoEntersTransmission, Feature::kGo},
      {kOptionGoNoPad, "No pad follows GO's ACK, though the client did not set NO_ZEROES.", GoSendsNoPad, Feature::kGo},
      {kOptionGoErrorStaysInHaggling, "LIST is answered after GO for an export that does not exist.",
       FailedGoStaysInHaggling, Feature::kGo},
      {kRepInfoOnce, "INFO returns each type of information once.", EachTypeOnce, Feature::kInfo},
      {kRepInfoExportLength, "INFO_EXPORT has 12 bytes.", HasLength<InfoType::kExport, 12>, Feature::kGo},
      {kRepInfoNameLength, "INFO_NAME has its type.", HasLength<InfoType::kName, 0>, Feature::kGo},
      {kRepInfoNameMatchesList, "INFO_NAME is a name that LIST gives, if the server is choosy about names.",
       NameIsListed, kInfoAndList},
      {kRepInfoDescriptionLength, "INFO_DESCRIPTION has its type.", HasLength<InfoType::kDescription, 0>, Feature::kGo},
      {kRepInfoDescriptionMatchesList, "INFO_DESCRIPTION is the description that LIST gives, if it gives one.",
       DescriptionIsListed, kInfoAndList},
      {kRepInfoBlockSizeLength, "INFO_BLOCK_SIZE has 14 bytes.", HasLength<InfoType::kBlockSize, 14>, Feature::kGo},
  };
}

}  // namespace nbdspec::conformance
