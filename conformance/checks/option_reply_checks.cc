// SPDX-License-Identifier: BSD-3-Clause
// Checks of what replies to options carry: strings, types, the meaning of errors. Spec: proto.md, "Conventions",
// "Option reply types".
#include <fmt/format.h>

#include <algorithm>

#include "conformance/checks/check.h"
#include "conformance/checks/haggling.h"
#include "engine/base/quoted.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::Option;
using engine::OptionReply;
using engine::OptionReplyType;
using engine::OptionType;

namespace {

// --- Strings ---

struct SaidString {
  std::string what;  // "the name in NBD_REP_SERVER"
  std::string text;
};

void AddStringsOf(const OptionReply& reply, std::vector<SaidString>& strings) {
  if (reply.is_error()) {
    strings.push_back({"the text of " + engine::OptionReplyName(reply.type), TextOf(reply)});
  } else if (reply.type == OptionReplyType::kServer) {
    if (const auto listed = engine::DecodeListedExport(reply.payload)) {
      strings.push_back({"the name in NBD_REP_SERVER", listed->name});
      strings.push_back({"the description in NBD_REP_SERVER", listed->description});
    }
  } else if (reply.type == OptionReplyType::kMetaContext) {
    if (const auto listed = engine::DecodeMetaContext(reply.payload)) {
      strings.push_back({"the name in NBD_REP_META_CONTEXT", listed->name});
    }
  } else if (reply.type == OptionReplyType::kInfo) {
    const auto info = engine::DecodeInfoText(reply.payload);
    if (info && (info->type == engine::InfoType::kName || info->type == engine::InfoType::kDescription)) {
      strings.push_back({engine::InfoName(info->type), info->text});
    }
  }
}

// A READ past the end is a client's fault; a server that closes the connection for it has no text to judge.
void AddErrorTexts(CheckContext& context, std::vector<SaidString>& strings) {
  auto entered = context.Enter({.structured_replies = true});
  if (!entered) {
    return;
  }
  const auto answer = entered->session.Ask(engine::Request{.offset = entered->info.size, .length = 512});
  for (const engine::Chunk& chunk : answer ? answer->chunks : std::vector<engine::Chunk>{}) {
    const auto error = chunk.is_error() ? engine::DecodeErrorPayload(chunk.type, chunk.payload) : std::nullopt;
    if (error) {
      strings.push_back({"the text of an error chunk", error->message});
    }
  }
}

// Judges every string there is to hear; `wrong` says what is wrong with one, or nothing.
Judgement JudgeEveryString(CheckContext& context, std::optional<std::string> (*wrong)(const std::string& text),
                           std::string_view allowed) {
  NBDSPEC_TRY(all, AskEveryOption(context));
  std::vector<SaidString> strings;
  for (const Asked& asked : all) {
    for (const OptionReply& reply : asked.replies) {
      AddStringsOf(reply, strings);
    }
  }
  if (context.profile().features.Has(Feature::kStructuredReplies)) {
    AddErrorTexts(context, strings);
  }
  for (const SaidString& said : strings) {
    if (const auto saw = wrong(said.text)) {
      return Broken(fmt::format("{} {}", said.what, *saw), std::string(allowed));
    }
  }
  return strings.empty() ? NotApplicable("the server says no string") : Holds();
}

std::optional<std::string> NotUtf8(const std::string& text) {
  std::string without_nul = text;  // NUL is general.string.no-nul.server's.
  std::ranges::replace(without_nul, '\0', ' ');
  if (engine::IsValidString(without_nul)) {
    return {};
  }
  return "is " + engine::Quoted(text);
}

std::optional<std::string> HasNul(const std::string& text) {
  const std::size_t at = text.find('\0');
  if (at == std::string::npos) {
    return {};
  }
  return fmt::format("is {}, with a NUL at byte {}", engine::Quoted(text), at);
}

std::optional<std::string> LongerThan(const std::string& text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) {
    return {};
  }
  return fmt::format("has {} bytes: {}", text.size(), engine::Quoted(text));
}

Judgement StringsAreUtf8(CheckContext& context) { return JudgeEveryString(context, NotUtf8, "UTF-8"); }

Judgement StringsHaveNoNul(CheckContext& context) { return JudgeEveryString(context, HasNul, "no NUL in a string"); }

Judgement StringsAreShort(CheckContext& context) {
  return JudgeEveryString(
      context, [](const std::string& text) { return LongerThan(text, engine::kStringBytesMax); }, "at most 4096 bytes");
}

Judgement StringsAreHandy(CheckContext& context) {
  constexpr std::size_t kHandyBytesMax = 256;
  return JudgeEveryString(
      context, [](const std::string& text) { return LongerThan(text, kHandyBytesMax); }, "at most 256 bytes");
}

std::optional<std::string> NotForDisplay(const std::string& text) {
  const auto nul = HasNul(text);
  return nul ? nul : NotUtf8(text);
}

Judgement ErrorTextIsString(CheckContext& context) {
  return JudgeEveryReply(
      context,
      [](const Option&, const OptionReply& reply) {
        return reply.is_error() ? NotForDisplay(TextOf(reply)) : std::nullopt;
      },
      "text for people in an error reply");
}

Judgement TrailingTextIsString(CheckContext& context) {
  return JudgeEveryReply(
      context,
      [](const Option&, const OptionReply& reply) -> std::optional<std::string> {
        const auto listed = engine::DecodeListedExport(reply.payload);
        return reply.type == OptionReplyType::kServer && listed ? NotForDisplay(listed->description) : std::nullopt;
      },
      "text for people after the name in NBD_REP_SERVER");
}

// --- Types ---

Judgement AckHasNoData(CheckContext& context) {
  return JudgeEveryReply(
      context,
      [](const Option& to, const OptionReply& reply) -> std::optional<std::string> {
        if (reply.type != OptionReplyType::kAck || reply.payload.empty()) {
          return {};
        }
        return fmt::format("NBD_REP_ACK for {} with {} bytes", engine::OptionName(to.option), reply.payload.size());
      },
      "no data in NBD_REP_ACK");
}

Judgement UnknownTypesAreErrors(CheckContext& context) {
  return JudgeEveryReply(
      context,
      [](const Option& to, const OptionReply& reply) -> std::optional<std::string> {
        const bool is_success = reply.type >= OptionReplyType::kAck && reply.type <= OptionReplyType::kMetaContext;
        if (reply.is_error() || is_success) {
          return {};
        }
        return fmt::format("reply type {:#x} for {}", reply.type, engine::OptionName(to.option));
      },
      "errors have bit 31 set; of the types without it there are 1 to 4");
}

// UNSUP for INFO, which was answered just before.
Judgement UnsupIsForUnknown(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  const auto ask = [&](const std::string& name) {
    return session.Ask(InfoOption(OptionType::kInfo, name, {engine::InfoType::kBlockSize}));
  };
  NBDSPEC_TRY(first, ask(context.export_name()));
  if (first.back().type != OptionReplyType::kAck) {
    return NotApplicable("INFO was answered " + TypesOf(first));
  }
  NBDSPEC_TRY(second, ask(context.UnknownName()));
  return second.back().type == OptionReplyType::kErrUnsup
             ? Broken("INFO, acknowledged before, was answered NBD_REP_ERR_UNSUP for another export",
                      "NBD_REP_ERR_UNSUP only for an option that the server does not know")
             : Holds();
}

// Each of these is asked for the first time on its connection, and well formed.
Judgement InvalidIsForInvalid(CheckContext& context) {
  const engine::MetaContextQuery contexts{.export_name = context.export_name()};
  const std::vector<Option> options = {
      {.option = OptionType::kList},
      InfoOption(OptionType::kInfo, context.export_name(), {engine::InfoType::kBlockSize}),
      {.option = OptionType::kStructuredReply},
      {.option = OptionType::kListMetaContext, .payload = EncodePayload(contexts)},
      {.option = OptionType::kSetMetaContext, .payload = EncodePayload(contexts)}};
  NBDSPEC_TRY(session, context.Haggle());
  for (const Option& option : options) {
    NBDSPEC_TRY(replies, session.Ask(option));
    if (replies.back().type == OptionReplyType::kErrInvalid) {
      return Broken(engine::OptionName(option.option) + " was answered NBD_REP_ERR_INVALID " +
                        engine::Quoted(TextOf(replies.back())),
                    "NBD_REP_ERR_INVALID only for what is not well formed");
    }
    if (option.option == OptionType::kStructuredReply && replies.back().type != OptionReplyType::kAck) {
      break;  // What follows needs it.
    }
  }
  return Holds();
}

Judgement UnknownIsForExports(CheckContext& context) {
  return JudgeEveryReply(
      context,
      [](const Option& to, const OptionReply& reply) -> std::optional<std::string> {
        const bool names_export = to.option != OptionType::kList && to.option != OptionType::kStructuredReply &&
                                  to.option != kHighUnknownOption;
        if (reply.type != OptionReplyType::kErrUnknown || names_export) {
          return {};
        }
        return engine::OptionName(to.option) + " was answered NBD_REP_ERR_UNKNOWN";
      },
      "NBD_REP_ERR_UNKNOWN only for an option that names an export");
}

}  // namespace

std::vector<Check> OptionReplyChecks() {
  return {
      {.id = spec::kGeneralStringUtf8Server,
       .needs = {Feature::kFixedNewstyle},
       .claim = "Names, descriptions and texts of errors are UTF-8.",
       .run = StringsAreUtf8},
      {.id = spec::kGeneralStringNoNulServer,
       .needs = {Feature::kFixedNewstyle},
       .claim = "Names, descriptions and texts of errors have no NUL in them.",
       .run = StringsHaveNoNul},
      {.id = spec::kGeneralStringMax4096Server,
       .needs = {Feature::kFixedNewstyle},
       .claim = "Names, descriptions and texts of errors have at most 4096 bytes.",
       .run = StringsAreShort},
      {.id = spec::kGeneralStringSoft256Server,
       .needs = {Feature::kFixedNewstyle},
       .claim = "Names, descriptions and texts of errors have at most 256 bytes.",
       .run = StringsAreHandy},
      {.id = spec::kRepAckNoData,
       .needs = {Feature::kFixedNewstyle},
       .claim = "ACK carries no data, whatever it acknowledges.",
       .run = AckHasNoData},
      {.id = spec::kRepServerTrailingText,
       .needs = {Feature::kList},
       .claim = "What follows the name in SERVER is text.",
       .run = TrailingTextIsString},
      {.id = spec::kRepErrBit31,
       .needs = {Feature::kFixedNewstyle},
       .claim = "No reply has a type without bit 31 that is not defined.",
       .run = UnknownTypesAreErrors},
      {.id = spec::kRepErrTextString,
       .needs = {Feature::kFixedNewstyle},
       .claim = "What error replies carry is text.",
       .run = ErrorTextIsString},
      {.id = spec::kRepErrUnsup,
       .needs = {Feature::kInfo},
       .claim = "INFO, once acknowledged, is not unknown when asked for another export.",
       .run = UnsupIsForUnknown},
      {.id = spec::kRepErrInvalid,
       .needs = {Feature::kFixedNewstyle},
       .claim = "Well-formed options asked for the first time are not invalid.",
       .run = InvalidIsForInvalid},
      {.id = spec::kRepErrUnknown,
       .needs = {Feature::kFixedNewstyle},
       .claim = "Options that name no export do not get ERR_UNKNOWN.",
       .run = UnknownIsForExports},
  };
}

}  // namespace nbdspec::conformance
