// SPDX-License-Identifier: BSD-3-Clause
// Checks of what replies to options carry: strings, types, the meaning of errors. Spec: proto.md, "Conventions",
// "Option reply types".
#include "conformance/checks/options/haggling.h"

namespace nbdspec::conformance {

namespace {

// --- Strings ---

struct ReceivedString {
  std::string what;  // "the name in NBD_REP_SERVER"
  std::string text;
};

void AddStringsOf(const OptionReply& reply, std::vector<ReceivedString>& strings) {
  if (reply.is_error()) {
    strings.push_back({"the text of " + OptionReplyName(reply.type), TextOf(reply)});
  } else if (reply.type == OptionReplyType::kServer) {
    if (const auto listed = DecodePayload<ListedExport>(reply.payload)) {
      strings.push_back({"the name in NBD_REP_SERVER", listed->name});
      strings.push_back({"the description in NBD_REP_SERVER", listed->description});
    }
  } else if (reply.type == OptionReplyType::kMetaContext) {
    if (const auto listed = DecodePayload<MetaContext>(reply.payload)) {
      strings.push_back({"the name in NBD_REP_META_CONTEXT", listed->name});
    }
  } else if (reply.type == OptionReplyType::kInfo) {
    const auto info = DecodePayload<InfoText>(reply.payload);
    if (info && (info->type == InfoType::kName || info->type == InfoType::kDescription)) {
      strings.push_back({InfoName(info->type), info->text});
    }
  }
}

// A READ past the end is a client's fault; a server that closes the connection for it has no text to judge.
void AddErrorTexts(CheckContext& context, std::vector<ReceivedString>& strings) {
  auto entered = context.Enter({.structured_replies = true});
  if (!entered) {
    return;
  }
  const auto answer = entered->session.Ask(Request{.offset = entered->size(), .length = 512});
  for (const Chunk& chunk : answer ? answer->chunks : std::vector<Chunk>{}) {
    const auto error = chunk.is_error() ? DecodeErrorPayload(chunk.type, chunk.payload) : std::nullopt;
    if (error) {
      strings.push_back({"the text of an error chunk", error->message});
    }
  }
}

// What is wrong with a string; empty when nothing.
using StringRule = std::string (*)(const std::string& text);

std::string NotUtf8(const std::string& text) {
  return IsUtf8(text) ? "" : "is " + Quoted(text) + ", which is not UTF-8";
}

std::string HasNul(const std::string& text) {
  const std::size_t at = text.find('\0');
  return at == std::string::npos ? "" : fmt::format("is {}, with a NUL at byte {}", Quoted(text), at);
}

template <std::size_t bytes_max>
std::string IsLong(const std::string& text) {
  return text.size() <= bytes_max ? ""
                                  : fmt::format("has {} bytes, more than {}: {}", text.size(), bytes_max, Quoted(text));
}

// Judges every string that the server sends.
CheckRun OnEveryString(StringRule rule, std::string_view allowed) {
  return [rule, allowed](CheckContext& context) -> Judgement {
    NBDSPEC_TRY(all, AskEveryOption(context));
    std::vector<ReceivedString> strings;
    for (const Asked& asked : all) {
      for (const OptionReply& reply : asked.replies) {
        AddStringsOf(reply, strings);
      }
    }
    if (context.Offers(Feature::kStructuredReplies)) {
      AddErrorTexts(context, strings);
    }
    for (const ReceivedString& string : strings) {
      if (const std::string saw = rule(string.text); !saw.empty()) {
        return Broken(fmt::format("{} {}", string.what, saw), allowed);
      }
    }
    return strings.empty() ? NotApplicable("the server sends no string") : Holds();
  };
}

std::string NotForDisplay(const std::string& text) {
  const std::string nul = HasNul(text);
  return nul.empty() ? NotUtf8(text) : nul;
}

std::string ErrorTextIsNoString(const Option&, const OptionReply& reply) {
  return reply.is_error() ? NotForDisplay(TextOf(reply)) : "";
}

std::string TrailingTextIsNoString(const Option&, const OptionReply& reply) {
  const auto listed = DecodePayload<ListedExport>(reply.payload);
  return reply.type == OptionReplyType::kServer && listed ? NotForDisplay(listed->description) : "";
}

// --- Types ---

std::string AckHasData(const Option& to, const OptionReply& reply) {
  return reply.type == OptionReplyType::kAck && !reply.payload.empty()
             ? fmt::format("NBD_REP_ACK for {} with {} bytes", OptionName(to.option), reply.payload.size())
             : "";
}

std::string IsUndefinedType(const Option& to, const OptionReply& reply) {
  const bool is_success = reply.type >= OptionReplyType::kAck && reply.type <= OptionReplyType::kMetaContext;
  return reply.is_error() || is_success ? ""
                                        : fmt::format("reply type {:#x} for {}", reply.type, OptionName(to.option));
}

std::string UnknownWithoutExport(const Option& to, const OptionReply& reply) {
  const bool names_export =
      to.option != OptionType::kList && to.option != OptionType::kStructuredReply && to.option != kHighUnknownOption;
  return reply.type != OptionReplyType::kErrUnknown || names_export
             ? ""
             : OptionName(to.option) + ", which names no export, was answered NBD_REP_ERR_UNKNOWN";
}

// UNSUP for INFO, which was answered just before.
Judgement UnsupIsForUnknown(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  NBDSPEC_TRY(first, session.Ask(InfoOption(OptionType::kInfo, context.export_name)));
  if (!IsAcknowledged(first)) {
    return NotApplicable("INFO was answered " + TypesOf(first));
  }
  NBDSPEC_TRY(second, session.Ask(InfoOption(OptionType::kInfo, context.UnknownName())));
  return Require(!EndsIn(second, OptionReplyType::kErrUnsup),
                 "INFO, acknowledged before, was answered NBD_REP_ERR_UNSUP for another export",
                 "NBD_REP_ERR_UNSUP only for an option that the server does not know");
}

// Each of these is asked for the first time on its connection, and well formed.
Judgement InvalidIsForInvalid(CheckContext& context) {
  const MetaContextQuery contexts{.export_name = context.export_name};
  const std::vector<Option> options = {{.option = OptionType::kList},
                                       InfoOption(OptionType::kInfo, context.export_name),
                                       {.option = OptionType::kStructuredReply},
                                       {.option = OptionType::kListMetaContext, .payload = EncodePayload(contexts)},
                                       {.option = OptionType::kSetMetaContext, .payload = EncodePayload(contexts)}};
  NBDSPEC_TRY(session, context.Haggle());
  for (const Option& option : options) {
    NBDSPEC_TRY(replies, session.Ask(option));
    if (EndsIn(replies, OptionReplyType::kErrInvalid)) {
      return Broken(OptionName(option.option) + " was answered NBD_REP_ERR_INVALID " + Quoted(TextOf(replies.back())),
                    "NBD_REP_ERR_INVALID only for what is not well formed");
    }
    if (option.option == OptionType::kStructuredReply && !IsAcknowledged(replies)) {
      break;  // What follows needs it.
    }
  }
  return Holds();
}

}  // namespace

std::vector<Check> OptionReplyChecks() {
  return {
      {kGeneralStringUtf8Server, "Names, descriptions and texts of errors are UTF-8.", OnEveryString(NotUtf8, "UTF-8"),
       kFixed},
      {kGeneralStringNoNulServer, "Names, descriptions and texts of errors have no NUL in them.",
       OnEveryString(HasNul, "no NUL in a string"), kFixed},
      {kGeneralStringMax4096Server, "Names, descriptions and texts of errors have at most 4096 bytes.",
       OnEveryString(IsLong<4096>, "at most 4096 bytes"), kFixed},
      {kGeneralStringSoft256Server, "Names, descriptions and texts of errors have at most 256 bytes.",
       OnEveryString(IsLong<256>, "at most 256 bytes"), kFixed},
      {kRepAckNoData, "ACK carries no data, whatever it acknowledges.",
       OnEveryReply(AckHasData, "no data in NBD_REP_ACK"), kFixed},
      {kRepServerTrailingText, "What follows the name in SERVER is text.",
       OnEveryReply(TrailingTextIsNoString, "text for people after the name in NBD_REP_SERVER"), Feature::kList},
      {kRepErrBit31, "No reply has a type without bit 31 that is not defined.",
       OnEveryReply(IsUndefinedType, "errors have bit 31 set; the types without it are 1 to 4"), kFixed},
      {kRepErrTextString, "What error replies carry is text.",
       OnEveryReply(ErrorTextIsNoString, "text for people in an error reply"), kFixed},
      {kRepErrUnsup, "A server that knows INFO for one export knows it for another.", UnsupIsForUnknown,
       Feature::kInfo},
      {kRepErrInvalid, "Well-formed options asked for the first time are not invalid.", InvalidIsForInvalid, kFixed},
      {kRepErrUnknown, "Options that name no export do not get ERR_UNKNOWN.",
       OnEveryReply(UnknownWithoutExport, "NBD_REP_ERR_UNKNOWN only for an option that names an export"), kFixed},
  };
}

}  // namespace nbdspec::conformance
