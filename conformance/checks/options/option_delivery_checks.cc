// SPDX-License-Identifier: BSD-3-Clause
// Checks of how options come: in pieces, several in one piece, asked again, behind a refused one with data. Each gets
// its reply. Spec: proto.md, "Fixed newstyle negotiation".
#include "conformance/checks/options/haggling.h"

namespace nbdspec::conformance {

namespace {

constexpr std::string_view kAllowed = "a reply to each option";

// What any client may ask of any server, however often; servers limit the options of one connection.
std::vector<Option> HarmlessOptions(CheckContext& context) {
  return {{.option = OptionType::kList},
          InfoOption(OptionType::kInfo, context.export_name),
          {.option = kUnknownOption, .payload = Bytes(40, 0x5a)},
          {.option = OptionType::kExtendedHeaders},
          InfoOption(OptionType::kInfo, context.UnknownName(), {})};
}

// The next final reply: broken when it is for another option, or does not come though the option is answered where it
// comes alone. A server that hangs up is session.hard.only-when-allowed.server's.
Judgement GetsReply(Session& session, const Option& to, std::string_view how) {
  const auto replies = session.NextOptionReplies();
  const std::string what = fmt::format("{} {}: ", OptionName(to.option), how);
  if (!replies) {
    return replies.error().is_disconnect() || replies.error().kind == ReceiveError::kTimedOut
               ? About(SubjectOf(to), Broken(what + replies.error().text, kAllowed))
               : AsJudgement(replies.error());
  }
  return Require(replies->back().option == to.option, what + "a reply for " + OptionName(replies->back().option),
                 kAllowed);
}

// That none was answered twice: what comes next answers another option.
Judgement GetsNoMore(Session& session, std::string_view how) {
  const Option other{.option = kHighUnknownOption};
  session.Send(other);
  return GetsReply(session, other, fmt::format("after {}", how));
}

// The options that the server answers when each comes whole and alone, which it is judged on.
std::expected<std::vector<Option>, Judgement> AnsweredAlone(CheckContext& context) {
  std::vector<Option> options = HarmlessOptions(context);
  std::erase_if(options, [&](const Option& option) { return !context.AskOption(option); });
  if (options.empty()) {
    return Stop(NotApplicable("no option gets a reply"));
  }
  return options;
}

Judgement AnswersOptionsInPieces(CheckContext& context) {
  constexpr std::string_view kHow = "in pieces of one byte";
  NBDSPEC_TRY(options, AnsweredAlone(context));
  NBDSPEC_TRY(session, context.Haggle());
  for (const Option& option : options) {
    session.SendInPieces(option, 1);
    if (Judgement judgement = GetsReply(session, option, kHow); !judgement.holds()) {
      return judgement;
    }
  }
  return GetsNoMore(session, kHow);
}

Judgement AnswersOptionsTogether(CheckContext& context) {
  constexpr std::string_view kHow = "in one segment with others";
  NBDSPEC_TRY(options, AnsweredAlone(context));
  NBDSPEC_TRY(session, context.Haggle());
  session.SendTogether(std::vector<engine::ClientMessage>(options.begin(), options.end()));
  for (const Option& option : options) {
    if (Judgement judgement = GetsReply(session, option, kHow); !judgement.holds()) {
      return judgement;
    }
  }
  return GetsNoMore(session, kHow);
}

// A second one may be refused (option.state.repeat-may-fail; nbdkit refuses a second LIST), but not passed over.
Judgement AnswersOptionsAgain(CheckContext& context) {
  NBDSPEC_TRY(options, AnsweredAlone(context));
  for (const Option& option : options) {
    NBDSPEC_TRY(session, context.Haggle());
    for (const std::string_view how : {"asked once", "asked a second time", "asked a third time"}) {
      session.Send(option);
      if (Judgement judgement = GetsReply(session, option, how); !judgement.holds()) {
        return judgement;
      }
    }
  }
  return Holds();
}

// Those, and what needs an agreement first.
std::vector<Option> OptionsOfOneSession(CheckContext& context) {
  std::vector<Option> options = HarmlessOptions(context);
  const std::string unknown = context.UnknownName();
  if (LacksExport(context, unknown).value_or(false)) {
    options.push_back(InfoOption(OptionType::kGo, unknown));
  }
  if (context.Offers(Feature::kStructuredReplies | Feature::kMetaContexts)) {
    const auto contexts = [&](std::uint32_t option) {
      return MakeOption(option, {.export_name = context.export_name, .queries = {std::string(kBaseAllocation)}});
    };
    options.push_back({.option = OptionType::kStructuredReply});
    options.push_back(contexts(OptionType::kListMetaContext));
    options.push_back(contexts(OptionType::kSetMetaContext));
  }
  return options;
}

Judgement AnswersEachTwice(CheckContext& context) {
  const std::vector<Option> options = OptionsOfOneSession(context);
  NBDSPEC_TRY(session, context.Haggle());
  for (const Option& option : options) {
    for (const std::string_view how : {"asked once", "asked a second time"}) {
      session.Send(option);
      if (Judgement judgement = GetsReply(session, option, how); !judgement.holds()) {
        return judgement;
      }
    }
  }
  return GetsNoMore(session, "options that were each asked twice");
}

// No client may list a request twice: the server may hang up, or answer as it likes, but once.
Judgement AnswersRepeatedRequests(CheckContext& context) {
  std::vector<std::uint16_t> twice = kEveryRequest;
  twice.insert(twice.end(), kEveryRequest.begin(), kEveryRequest.end());
  NBDSPEC_TRY(session, context.Haggle());
  const auto replies = session.Ask(InfoOption(OptionType::kInfo, context.export_name, twice));
  return replies ? GetsNoMore(session, "INFO with each request twice") : MayDisconnect(replies.error(), kAllowed);
}

// --- Behind an option that is refused ---

// Options with data that servers refuse: for what they ask, for how they ask it, for what they are.
std::vector<Option> RefusedOptions(CheckContext& context) {
  constexpr std::size_t kLongName = 4000;
  const std::string unknown = context.UnknownName();
  return {{.option = kUnknownOption, .payload = Bytes(5000, 0x5a)},
          {.option = OptionType::kPeekExport, .payload = Bytes(12, 0x5a)},
          {.option = OptionType::kList, .payload = Bytes(8, 0x5a)},
          {.option = OptionType::kStructuredReply, .payload = Bytes(8, 0x5a)},
          {.option = OptionType::kExtendedHeaders, .payload = Bytes(8, 0x5a)},
          {.option = OptionType::kInfo, .payload = Bytes(3, 0x5a)},
          InfoOption(OptionType::kInfo, unknown, kEveryRequest),
          InfoOption(OptionType::kGo, unknown, kEveryRequest),
          InfoOption(OptionType::kInfo, std::string(kLongName, 'n'), kEveryRequest),
          MakeOption(OptionType::kListMetaContext, {.export_name = unknown, .queries = {"x-nbdspec:a"}})};
}

// A server may hang up on a client that breaks a rule; whether it may on the others is
// session.hard.only-when-allowed.server's.
Judgement AnswersOnceAfterRefusals(CheckContext& context) {
  for (const Option& refused : RefusedOptions(context)) {
    NBDSPEC_TRY(session, context.Haggle());
    const auto replies = session.Ask(refused);
    if (!replies || !replies->back().is_error()) {
      continue;
    }
    for (const std::uint32_t next : {kUnknownOption, kHighUnknownOption}) {
      const auto after = session.Ask(Option{.option = next});
      if (!after && after.error().is_disconnect()) {
        break;
      }
      if (!after || after->back().option != next) {
        return About(WhatFollows(SubjectOf(refused)),
                     Broken(fmt::format("{} behind {} with {} bytes, which was refused: {}", OptionName(next),
                                        OptionName(refused.option), refused.payload.size(),
                                        after ? "a reply for " + OptionName(after->back().option) : after.error().text),
                            "one final reply to each option"));
      }
    }
  }
  return Holds();
}

}  // namespace

std::vector<Check> OptionDeliveryChecks() {
  return {
      {kSub<kOptionReplyForEveryOption, "pieces">, "Options that come one byte at a time get their replies.",
       AnswersOptionsInPieces, kFixed},
      {kSub<kOptionReplyForEveryOption, "one-segment">, "Options that come in one segment get their replies, in order.",
       AnswersOptionsTogether, kFixed},
      {kSub<kOptionReplyForEveryOption, "again">, "Options that are asked three times get three replies.",
       AnswersOptionsAgain, kFixed},
      {kSub<kOptionReplyForEveryOption, "each-twice">,
       "Options of one session that are each asked twice in a row get two replies each.", AnswersEachTwice, kFixed},
      {kSub<kOptionReplyForEveryOption, "request-twice">,
       "INFO that lists each of its requests twice gets one final reply, or ends the connection.",
       AnswersRepeatedRequests, kFixed},
      {kSub<kOptionReplyForEveryOption, "after-refusal">,
       "The option behind a refused one with data gets one final reply.", AnswersOnceAfterRefusals, kFixed},
  };
}

}  // namespace nbdspec::conformance
