// SPDX-License-Identifier: BSD-3-Clause
// Checks of INFO and GO and what they tell. Block sizes have their own file. Spec: proto.md, "NBD_OPT_INFO",
// "NBD_OPT_GO", "NBD_REP_INFO".
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "conformance/checks/check.h"
#include "conformance/checks/haggling.h"
#include "engine/base/quoted.h"
#include "engine/spec/ids.h"
#include "engine/wire/big_endian.h"

namespace nbdspec::conformance {

using engine::InfoType;
using engine::Option;
using engine::OptionReply;
using engine::OptionReplyType;
using engine::OptionType;

namespace {

using Replies = std::vector<OptionReply>;

std::vector<std::uint16_t> EveryRequest() { return {InfoType::kName, InfoType::kDescription, InfoType::kBlockSize}; }

// INFO for the export under test on a new connection.
std::expected<Replies, Judgement> AskInfo(CheckContext& context, std::vector<std::uint16_t> requests) {
  auto session = context.Haggle();
  if (!session) {
    return std::unexpected(std::move(session).error());
  }
  auto replies = session->Ask(InfoOption(OptionType::kInfo, context.export_name(), std::move(requests)));
  if (!replies) {
    return std::unexpected(Inconclusive("NBD_OPT_INFO got no answer: " + replies.error().text));
  }
  return std::move(*replies);
}

bool IsAcknowledged(const Replies& replies) { return replies.back().type == OptionReplyType::kAck; }

// --- What is asked ---

// Data that does not parse is a client's fault: only acceptance is wrong.
Judgement RefusesMalformed(CheckContext& context, const engine::Bytes& data) {
  NBDSPEC_TRY(session, context.Haggle());
  const auto replies = session.Ask(Option{.option = OptionType::kInfo, .payload = data});
  if (!replies) {
    return replies.error().is_disconnect() ? Holds() : Broken(replies.error().text, "NBD_REP_ERR_INVALID");
  }
  return IsAcknowledged(*replies) ? Broken(TypesOf(*replies), "NBD_REP_ERR_INVALID") : Holds();
}

Judgement RefusesNameOverrun(CheckContext& context) {
  return RefusesMalformed(context, {0, 0, 0, 100, 0, 0, 0, 0});  // A name of 100 bytes where 4 bytes are left.
}

Judgement RefusesCountOverrun(CheckContext& context) {
  engine::Bytes data = EncodePayload(engine::InfoQuery{.name = context.export_name(), .requests = {}});
  data.back() = 5;  // Requests announced; one follows.
  data.insert(data.end(), {0, InfoType::kBlockSize});
  return RefusesMalformed(context, data);
}

Judgement RefusesShortData(CheckContext& context) { return RefusesMalformed(context, {0, 0}); }

Judgement IgnoresUnknownRequest(CheckContext& context) {
  NBDSPEC_TRY(plain, AskInfo(context, {InfoType::kBlockSize}));
  if (!IsAcknowledged(plain)) {
    return NotApplicable("INFO is answered " + TypesOf(plain) + " without unknown requests too");
  }
  NBDSPEC_TRY(replies, AskInfo(context, {0xfffe, InfoType::kExport, InfoType::kBlockSize}));
  return IsAcknowledged(replies) && FindInfo(replies, InfoType::kExport) != nullptr
             ? Holds()
             : Broken("with information request 0xfffe: " + TypesOf(replies), "unknown requests are ignored");
}

Judgement EmptyNameIsValid(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  NBDSPEC_TRY(replies, session.Ask(InfoOption(OptionType::kInfo, "", {InfoType::kBlockSize})));
  return replies.back().type == OptionReplyType::kErrInvalid
             ? Broken("NBD_REP_ERR_INVALID " + engine::Quoted(TextOf(replies.back())),
                      "the default export, or NBD_REP_ERR_UNKNOWN")
             : Holds();
}

// --- Success ---

Judgement AckAfterExport(const Replies& replies) {
  return IsAcknowledged(replies) && FindInfo(replies, InfoType::kExport) == nullptr
             ? Broken(TypesOf(replies) + ", without NBD_INFO_EXPORT", "NBD_INFO_EXPORT before NBD_REP_ACK")
             : Holds();
}

Judgement InfoTellsExport(CheckContext& context) {
  NBDSPEC_TRY(replies, AskInfo(context, {}));
  return IsAcknowledged(replies) ? AckAfterExport(replies) : NotApplicable("INFO was answered " + TypesOf(replies));
}

Judgement GoTellsExport(CheckContext& context) {
  NBDSPEC_TRY(answer, EnterByGo(context, {}));
  return AckAfterExport(answer.replies);
}

Judgement InfoIsKnown(CheckContext& context) {
  NBDSPEC_TRY(replies, AskInfo(context, {InfoType::kBlockSize}));
  return replies.back().type == OptionReplyType::kErrUnsup ? Broken("NBD_REP_ERR_UNSUP", "servers implement INFO")
                                                           : Holds();
}

Judgement GoIsKnown(CheckContext& context) {
  NBDSPEC_TRY(answer, AskGo(context, {InfoType::kBlockSize}));
  return answer.replies.back().type == OptionReplyType::kErrUnsup ? Broken("NBD_REP_ERR_UNSUP", "servers implement GO")
                                                                  : Holds();
}

Judgement InfoStaysInHaggling(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  NBDSPEC_TRY(info, session.Ask(InfoOption(OptionType::kInfo, context.export_name(), {InfoType::kBlockSize})));
  if (!IsAcknowledged(info)) {
    return NotApplicable("INFO was answered " + TypesOf(info));
  }
  const auto list = session.Ask(Option{.option = OptionType::kList});
  return list ? Holds() : Broken("LIST after INFO: " + list.error().text, "options go on after INFO");
}

std::multiset<engine::Bytes> InformationIn(const Replies& replies) {
  std::multiset<engine::Bytes> information;
  for (const OptionReply& reply : replies) {
    if (reply.type == OptionReplyType::kInfo) {
      information.insert(reply.payload);
    }
  }
  return information;
}

// What differs is rarely much.
std::string OnlyIn(const std::multiset<engine::Bytes>& one, const std::multiset<engine::Bytes>& other) {
  std::string text;
  for (const engine::Bytes& each : one) {
    if (!other.contains(each)) {
      const auto type = engine::DecodeInfoType(each);
      text += (text.empty() ? "" : ", ") + (type ? engine::InfoName(*type) : std::string("no type"));
      text += fmt::format(" ({} bytes", each.size());
      if (const auto info = engine::DecodeInfoExport(each)) {
        text += fmt::format(", size {}, flags {}", info->size, engine::TransmissionFlagNames(info->flags));
      }
      text += ")";
    }
  }
  return text.empty() ? "nothing of its own" : text;
}

Judgement GoSaysTheSame(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  NBDSPEC_TRY(info, session.Ask(InfoOption(OptionType::kInfo, context.export_name(), EveryRequest())));
  if (!IsAcknowledged(info)) {
    return NotApplicable("INFO was answered " + TypesOf(info));
  }
  NBDSPEC_TRY(go, session.Ask(InfoOption(OptionType::kGo, context.export_name(), EveryRequest())));
  if (!IsAcknowledged(go)) {
    return Inconclusive("GO was answered " + TypesOf(go));
  }
  const auto by_info = InformationIn(info);
  const auto by_go = InformationIn(go);
  return by_info == by_go ? Holds()
                          : Broken("INFO: " + OnlyIn(by_info, by_go) + "; GO: " + OnlyIn(by_go, by_info),
                                   "the same information in any order");
}

Judgement GoEntersTransmission(CheckContext& context) {
  NBDSPEC_TRY(answer, EnterByGo(context, {InfoType::kBlockSize}));
  NBDSPEC_TRY(read, SmallRead(answer.info.size, answer.block_size.value_or(engine::InfoBlockSize{}).minimum));
  const auto reply = answer.session.Ask(read);
  return reply ? Holds() : Broken("READ after GO: " + reply.error().text, "a reply to the request");
}

Judgement GoSendsNoPad(CheckContext& context) {
  NBDSPEC_TRY(answer, EnterByGo(context, {InfoType::kBlockSize}, engine::ClientFlag::kFixedNewstyle));
  const auto noise = answer.session.ExpectSilence();
  if (!noise) {
    return Holds();
  }
  const engine::ByteView came = answer.session.pending();
  const bool zeroes = !came.empty() && std::ranges::all_of(came, [](auto byte) { return byte == 0; });
  return zeroes ? Broken(fmt::format("{} zero bytes after NBD_REP_ACK", came.size()), "no pad after GO")
                : Inconclusive(*noise);
}

// --- No such export ---

Judgement UnknownExport(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  const auto replies = session.Ask(InfoOption(OptionType::kInfo, context.UnknownName(), {InfoType::kBlockSize}));
  const std::string allowed = "NBD_REP_ERR_UNKNOWN";
  if (!replies) {
    return replies.error().is_disconnect() ? Broken(replies.error().text, allowed) : AsJudgement(replies.error());
  }
  const std::uint32_t type = replies->back().type;
  if (type == OptionReplyType::kAck) {
    return NotApplicable("the server has an export of any name");
  }
  const bool wrong = type == OptionReplyType::kErrInvalid || type == OptionReplyType::kErrUnsup ||
                     type == OptionReplyType::kErrBlockSizeReqd;
  return wrong ? Broken(TypesOf(*replies), allowed) : Holds();
}

Judgement UnknownExportWithoutInfo(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  NBDSPEC_TRY(replies, session.Ask(InfoOption(OptionType::kInfo, context.UnknownName(), EveryRequest())));
  if (replies.back().type != OptionReplyType::kErrUnknown) {
    return NotApplicable("INFO for a name of ours was answered " + TypesOf(replies));
  }
  return replies.size() == 1 ? Holds() : Broken(TypesOf(replies), "NBD_REP_ERR_UNKNOWN alone");
}

Judgement FailedGoStaysInHaggling(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  NBDSPEC_TRY(go, session.Ask(InfoOption(OptionType::kGo, context.UnknownName(), {InfoType::kBlockSize})));
  if (!go.back().is_error()) {
    return NotApplicable("GO for a name of ours was answered " + TypesOf(go));
  }
  const auto list = session.Ask(Option{.option = OptionType::kList});
  return list ? Holds() : Broken("LIST after a refused GO: " + list.error().text, "options go on after an error");
}

// --- Information ---

Judgement EachTypeOnce(CheckContext& context) {
  NBDSPEC_TRY(replies, AskInfo(context, EveryRequest()));
  std::set<std::uint16_t> types;
  for (const OptionReply& reply : replies) {
    const auto type = engine::DecodeInfoType(reply.payload);
    if (reply.type == OptionReplyType::kInfo && type && *type <= InfoType::kBlockSize && !types.insert(*type).second) {
      return Broken(engine::InfoName(*type) + " twice", "each type of information once");
    }
  }
  return types.empty() ? NotApplicable("INFO was answered " + TypesOf(replies)) : Holds();
}

// `replies` to a request for `type` alone, whose INFO replies of that type must have `length` bytes.
Judgement HaveLength(const Replies& replies, std::uint16_t type, std::size_t length) {
  const OptionReply* reply = FindInfo(replies, type);
  if (reply == nullptr) {
    return NotApplicable("there is no " + engine::InfoName(type) + " in " + TypesOf(replies));
  }
  return reply->payload.size() == length
             ? Holds()
             : Broken(fmt::format("{} of {} bytes", engine::InfoName(type), reply->payload.size()),
                      fmt::format("{} bytes", length));
}

Judgement ExportHasLength(CheckContext& context) {
  NBDSPEC_TRY(answer, AskGo(context, {}));
  return HaveLength(answer.replies, InfoType::kExport, 12);
}

Judgement BlockSizeHasLength(CheckContext& context) {
  NBDSPEC_TRY(answer, AskGo(context, {InfoType::kBlockSize}));
  return HaveLength(answer.replies, InfoType::kBlockSize, 14);
}

// A reply too short for a type can only be told by what was asked.
Judgement TextHasLength(CheckContext& context, std::uint16_t type) {
  NBDSPEC_TRY(answer, AskGo(context, {type}));
  for (const OptionReply& reply : answer.replies) {
    if (reply.type == OptionReplyType::kInfo && reply.payload.size() < 2) {
      return Broken(fmt::format("NBD_REP_INFO of {} bytes", reply.payload.size()), "at least 2 bytes");
    }
  }
  return FindInfo(answer.replies, type) != nullptr
             ? Holds()
             : NotApplicable("there is no " + engine::InfoName(type) + " in " + TypesOf(answer.replies));
}

Judgement NameHasLength(CheckContext& context) { return TextHasLength(context, InfoType::kName); }

Judgement DescriptionHasLength(CheckContext& context) { return TextHasLength(context, InfoType::kDescription); }

// What LIST and INFO say of the export under test.
struct ListedAndTold {
  std::vector<engine::ListedExport> listed;
  std::optional<engine::InfoText> name;
  std::optional<engine::InfoText> description;
};

std::expected<ListedAndTold, Judgement> AskListAndInfo(CheckContext& context) {
  auto session = context.Haggle();
  if (!session) {
    return std::unexpected(std::move(session).error());
  }
  const auto list = session->Ask(Option{.option = OptionType::kList});
  const auto info = session->Ask(InfoOption(OptionType::kInfo, context.export_name(), EveryRequest()));
  if (!list || !info) {
    return std::unexpected(AsJudgement(!list ? list.error() : info.error()));
  }
  ListedAndTold both;
  for (const OptionReply& reply : *list) {
    if (auto listed = engine::DecodeListedExport(reply.payload); listed && reply.type == OptionReplyType::kServer) {
      both.listed.push_back(std::move(*listed));
    }
  }
  const auto text_of = [&](std::uint16_t type) {
    const OptionReply* reply = FindInfo(*info, type);
    return reply == nullptr ? std::nullopt : engine::DecodeInfoText(reply->payload);
  };
  both.name = text_of(InfoType::kName);
  both.description = text_of(InfoType::kDescription);
  return both;
}

Judgement NameIsListed(CheckContext& context) {
  NBDSPEC_TRY(both, AskListAndInfo(context));
  if (!both.name || both.listed.empty()) {
    return NotApplicable(both.name ? "no export is listed" : "there is no NBD_INFO_NAME");
  }
  if (LacksExport(context, context.UnknownName()) != true) {
    return NotApplicable("the server has exports that it does not list");
  }
  return std::ranges::count(both.listed, both.name->text, &engine::ListedExport::name) > 0
             ? Holds()
             : Broken("NBD_INFO_NAME " + engine::Quoted(both.name->text) + ", which LIST does not have",
                      "the name that LIST has for the export");
}

Judgement DescriptionIsListed(CheckContext& context) {
  NBDSPEC_TRY(both, AskListAndInfo(context));
  const std::string& name = both.name ? both.name->text : context.export_name();
  const auto listed = std::ranges::find(both.listed, name, &engine::ListedExport::name);
  if (!both.description || listed == both.listed.end() || listed->description.empty()) {
    return NotApplicable("LIST and INFO do not both describe the export");
  }
  return listed->description == both.description->text ? Holds()
                                                       : Broken("LIST: " + engine::Quoted(listed->description) +
                                                                    "; INFO: " + engine::Quoted(both.description->text),
                                                                "the same description");
}

}  // namespace

std::vector<Check> InfoChecks() {
  return {
      {.id = spec::kOptionInfoSyntaxInvalid,
       .needs = {Feature::kInfo},
       .claim = "INFO whose name does not fit in its data is not acknowledged.",
       .run = RefusesNameOverrun},
      {.id = spec::kSub<spec::kOptionInfoSyntaxInvalid, "count">,
       .needs = {Feature::kInfo},
       .claim = "INFO that announces more requests than follow is not acknowledged.",
       .run = RefusesCountOverrun},
      {.id = spec::kSub<spec::kOptionInfoSyntaxInvalid, "short">,
       .needs = {Feature::kInfo},
       .claim = "INFO with two bytes of data is not acknowledged.",
       .run = RefusesShortData},
      {.id = spec::kOptionInfoIgnoreUnknownRequest,
       .needs = {Feature::kInfo},
       .claim = "An unknown information request does not keep INFO from succeeding.",
       .run = IgnoresUnknownRequest},
      {.id = spec::kOptionInfoEmptyNameDefault,
       .needs = {Feature::kInfo},
       .claim = "INFO for the empty name is not invalid.",
       .run = EmptyNameIsValid},
      {.id = spec::kOptionInfoAckNeedsExport,
       .needs = {Feature::kInfo},
       .claim = "INFO without requests gets INFO_EXPORT before ACK.",
       .run = InfoTellsExport},
      {.id = spec::kSub<spec::kOptionInfoAckNeedsExport, "go">,
       .needs = {Feature::kGo},
       .claim = "GO without requests gets INFO_EXPORT before ACK.",
       .run = GoTellsExport},
      {.id = spec::kBaselineInfoGoServer,
       .needs = {Feature::kFixedNewstyle},
       .claim = "INFO is not unknown to the server.",
       .run = InfoIsKnown},
      {.id = spec::kSub<spec::kBaselineInfoGoServer, "go">,
       .needs = {Feature::kFixedNewstyle},
       .claim = "GO is not unknown to the server.",
       .run = GoIsKnown},
      {.id = spec::kOptionInfoUnknownExport,
       .needs = {Feature::kInfo},
       .claim = "INFO for an export that is not there gets ERR_UNKNOWN.",
       .run = UnknownExport},
      {.id = spec::kOptionInfoUnknownNoInfo,
       .needs = {Feature::kInfo},
       .claim = "No INFO reply goes before ERR_UNKNOWN.",
       .run = UnknownExportWithoutInfo},
      {.id = spec::kOptionInfoStaysInHaggling,
       .needs = {Feature::kInfo},
       .claim = "LIST is answered after INFO.",
       .run = InfoStaysInHaggling},
      {.id = spec::kOptionGoSameAsInfo,
       .needs = {Feature::kInfo, Feature::kGo},
       .claim = "GO right after the same INFO gives the same information.",
       .run = GoSaysTheSame},
      {.id = spec::kOptionGoEntersTransmission,
       .needs = {Feature::kGo},
       .claim = "READ is answered after GO.",
       .run = GoEntersTransmission},
      {.id = spec::kOptionGoNoPad,
       .needs = {Feature::kGo},
       .claim = "No pad follows GO's ACK, though the client did not set NO_ZEROES.",
       .run = GoSendsNoPad},
      {.id = spec::kOptionGoErrorStaysInHaggling,
       .needs = {Feature::kGo},
       .claim = "LIST is answered after GO for an export that is not there.",
       .run = FailedGoStaysInHaggling},
      {.id = spec::kRepInfoOnce,
       .needs = {Feature::kInfo},
       .claim = "INFO gives each type of information once.",
       .run = EachTypeOnce},
      {.id = spec::kRepInfoExportLength,
       .needs = {Feature::kGo},
       .claim = "INFO_EXPORT has 12 bytes.",
       .run = ExportHasLength},
      {.id = spec::kRepInfoNameLength,
       .needs = {Feature::kGo},
       .claim = "INFO_NAME has its type.",
       .run = NameHasLength},
      {.id = spec::kRepInfoNameMatchesList,
       .needs = {Feature::kInfo, Feature::kList},
       .claim = "INFO_NAME is a name that LIST gives, if the server is choosy about names.",
       .run = NameIsListed},
      {.id = spec::kRepInfoDescriptionLength,
       .needs = {Feature::kGo},
       .claim = "INFO_DESCRIPTION has its type.",
       .run = DescriptionHasLength},
      {.id = spec::kRepInfoDescriptionMatchesList,
       .needs = {Feature::kInfo, Feature::kList},
       .claim = "INFO_DESCRIPTION is the description that LIST gives, if it gives one.",
       .run = DescriptionIsListed},
      {.id = spec::kRepInfoBlockSizeLength,
       .needs = {Feature::kGo},
       .claim = "INFO_BLOCK_SIZE has 14 bytes.",
       .run = BlockSizeHasLength},
  };
}

}  // namespace nbdspec::conformance
