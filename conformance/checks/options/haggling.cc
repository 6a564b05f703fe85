// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/checks/options/haggling.h"

namespace nbdspec::conformance {

std::string TypesOf(std::span<const OptionReply> replies) {
  constexpr std::size_t kShownMax = 6;
  std::string text;
  for (const OptionReply& reply : replies.first(std::min(replies.size(), kShownMax))) {
    text += (text.empty() ? "" : ", ") + OptionReplyName(reply.type);
  }
  return replies.size() <= kShownMax ? text : fmt::format("{} and {} more", text, replies.size() - kShownMax);
}

const OptionReply* FindInfo(std::span<const OptionReply> replies, std::uint16_t type) {
  const auto found = std::ranges::find_if(replies, [&](const OptionReply& reply) {
    return reply.type == OptionReplyType::kInfo && DecodeInfoType(reply.payload) == type;
  });
  return found == replies.end() ? nullptr : &*found;
}

Judgement GetsNoPad(Session& session, std::string_view what) {
  const auto noise = session.ExpectSilence();
  if (!noise) {
    return Holds();
  }
  const ByteView came = session.pending();
  return !came.empty() && IsAllZeroes(came)
             ? Broken(fmt::format("{} zero bytes after {}", came.size(), what), fmt::format("no pad after {}", what))
             : Inconclusive(*noise);
}

std::optional<bool> LacksExport(CheckContext& context, const std::string& name) {
  const auto replies = context.AskOption(InfoOption(OptionType::kInfo, name));
  if (!replies || (!EndsIn(*replies, OptionReplyType::kErrUnknown) && !IsAcknowledged(*replies))) {
    return {};
  }
  return !IsAcknowledged(*replies);
}

std::expected<std::vector<Asked>, Judgement> AskEveryOption(CheckContext& context, std::uint32_t flags) {
  const std::vector<Option> options = {
      {.option = OptionType::kList},
      InfoOption(OptionType::kInfo, context.export_name, kEveryRequest),
      InfoOption(OptionType::kInfo, context.UnknownName()),
      {.option = kHighUnknownOption},
      {.option = OptionType::kStructuredReply},
      MakeOption(OptionType::kListMetaContext, {.export_name = context.export_name}),
      MakeOption(OptionType::kSetMetaContext,
                 {.export_name = context.export_name, .queries = {std::string(kBaseAllocation)}}),
      {.option = OptionType::kExtendedHeaders},
      InfoOption(OptionType::kGo, context.export_name),
  };
  std::optional<Session> session;  // A new one is made when there is none.
  bool structured = false;
  std::vector<Asked> all;
  for (const Option& option : options) {
    const bool is_of_contexts =
        option.option == OptionType::kListMetaContext || option.option == OptionType::kSetMetaContext;
    if (is_of_contexts && !structured) {
      continue;
    }
    if (!session) {
      NBDSPEC_TRY(begun, structured ? context.HaggleStructured(flags) : context.Haggle(flags));
      session = std::move(begun);
    }
    Asked& asked = all.emplace_back(Asked{.option = option});
    if (auto replies = session->Ask(option)) {
      asked.replies = *std::move(replies);
      structured = session->negotiated().structured_replies;
    } else {
      const ByteView pending = session->pending();
      asked.ended = std::move(replies).error();
      asked.pending.assign(pending.begin(), pending.end());
      asked.at_first_reply = session->received_byte_count() - pending.size() == session->greeting_byte_count();
      session.reset();
    }
  }
  return all;
}

CheckRun OnEveryReply(ReplyRule rule, std::string_view allowed) {
  return [rule, allowed](CheckContext& context) -> Judgement {
    NBDSPEC_TRY(all, AskEveryOption(context));
    bool any = false;
    for (const Asked& asked : all) {
      for (const OptionReply& reply : asked.replies) {
        any = true;
        if (std::string saw = rule(asked.option, reply); !saw.empty()) {
          return About(SubjectOf(reply), Broken(std::move(saw), allowed));
        }
      }
    }
    return any ? Holds() : Inconclusive("no option got a reply");
  };
}

CheckRun OnEveryEnd(EndRule is_wrong, std::string_view allowed, std::uint32_t flags) {
  return [is_wrong, allowed, flags](CheckContext& context) -> Judgement {
    NBDSPEC_TRY(all, AskEveryOption(context, flags));
    for (const Asked& asked : all) {
      if (asked.ended && is_wrong(asked, *asked.ended)) {
        return About(SubjectOf(asked.option),
                     Broken(OptionName(asked.option.option) + ": " + asked.ended->text, allowed));
      }
    }
    return Holds();
  };
}

std::expected<GoAnswer, Judgement> AskGo(CheckContext& context, std::vector<std::uint16_t> requests,
                                         std::uint32_t flags) {
  NBDSPEC_TRY(session, context.Haggle(flags));
  NBDSPEC_TRY(replies, session.Try(InfoOption(OptionType::kGo, context.export_name, std::move(requests))));
  GoAnswer answer{.session = std::move(session), .replies = std::move(replies)};
  if (const auto* reply = FindInfo(answer.replies, InfoType::kExport)) {
    answer.info = DecodePayload<InfoExport>(reply->payload).value_or(InfoExport{});
  }
  if (const auto* reply = FindInfo(answer.replies, InfoType::kBlockSize)) {
    answer.block_size = DecodePayload<InfoBlockSize>(reply->payload);
  }
  return answer;
}

std::expected<GoAnswer, Judgement> EnterByGo(CheckContext& context, std::vector<std::uint16_t> requests,
                                             std::uint32_t flags) {
  NBDSPEC_TRY(answer, AskGo(context, std::move(requests), flags));
  if (IsAcknowledged(answer.replies)) {
    return std::move(answer);
  }
  const std::string saw = "NBD_OPT_GO was answered " + TypesOf(answer.replies);
  return Stop(EndsIn(answer.replies, OptionReplyType::kErrBlockSizeReqd) ? NotApplicable(saw) : Inconclusive(saw));
}

std::expected<ExportNameAnswer, Judgement> AskByName(CheckContext& context, const std::string& name,
                                                     std::uint32_t flags) {
  NBDSPEC_TRY(session, context.Greet(flags));
  if (session.negotiated().oldstyle) {
    return Stop(NotApplicable("an oldstyle greeting, after which there are no options"));
  }
  auto reply = session.AskExportName(name, /*no_zeroes=*/!session.negotiated().pads_export_name_reply());
  return ExportNameAnswer{.session = std::move(session), .reply = std::move(reply)};
}

std::expected<ExportNameAnswer, Judgement> EnterByName(CheckContext& context, std::uint32_t flags) {
  NBDSPEC_TRY(answer, AskByName(context, context.export_name, flags));
  if (answer.reply) {
    return std::move(answer);
  }
  const ReceiveError& ended = answer.reply.error();
  const std::string saw = "NBD_OPT_EXPORT_NAME: " + ended.text;
  // Bytes before the end are no refusal; an option reply is one, though in a form that it may not have.
  const bool is_refusal =
      ended.kind == ReceiveError::kUnexpected || (ended.is_disconnect() && answer.session.pending().empty());
  return Stop(is_refusal ? NotApplicable(saw) : Inconclusive(saw));
}

}  // namespace nbdspec::conformance
