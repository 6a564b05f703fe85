// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/checks/options/haggling.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace nbdspec::conformance {

using engine::InfoType;
using engine::Option;
using engine::OptionReply;
using engine::OptionReplyType;
using engine::OptionType;

Option InfoOption(std::uint32_t option, const std::string& name, std::vector<std::uint16_t> requests) {
  return engine::MakeOption(option, {.export_name = name, .requests = std::move(requests)});
}

std::string TypesOf(std::span<const OptionReply> replies) {
  constexpr std::size_t kShownMax = 6;
  std::string text;
  for (const OptionReply& reply : replies.first(std::min(replies.size(), kShownMax))) {
    text += (text.empty() ? "" : ", ") + engine::OptionReplyName(reply.type);
  }
  return replies.size() <= kShownMax ? text : fmt::format("{} and {} more", text, replies.size() - kShownMax);
}

const OptionReply* FindInfo(std::span<const OptionReply> replies, std::uint16_t type) {
  const auto found = std::ranges::find_if(replies, [&](const OptionReply& reply) {
    return reply.type == OptionReplyType::kInfo && engine::DecodeInfoType(reply.payload) == type;
  });
  return found == replies.end() ? nullptr : &*found;
}

std::vector<engine::ListedExport> ListedIn(const Replies& replies) {
  std::vector<engine::ListedExport> listed;
  for (const OptionReply& reply : replies) {
    if (auto each = engine::DecodePayload<engine::ListedExport>(reply.payload);
        each && reply.type == OptionReplyType::kServer) {
      listed.push_back(std::move(*each));
    }
  }
  return listed;
}

std::string TextOf(const OptionReply& reply) { return {reply.payload.begin(), reply.payload.end()}; }

Judgement MayDisconnect(const ReceiveError& ended, std::string_view allowed) {
  return Require(ended.is_disconnect(), ended.text, allowed);
}

std::optional<bool> LacksExport(CheckContext& context, const std::string& name) {
  const auto replies = context.AskOption(InfoOption(OptionType::kInfo, name));
  if (!replies || (!EndsIn(*replies, OptionReplyType::kErrUnknown) && !IsAcknowledged(*replies))) {
    return {};
  }
  return !IsAcknowledged(*replies);
}

namespace {

// The options in the order in which they are asked, but those that need structured replies, and GO.
std::vector<Option> FirstOptions(CheckContext& context) {
  return {{.option = OptionType::kList},
          InfoOption(OptionType::kInfo, context.export_name(),
                     {InfoType::kName, InfoType::kDescription, InfoType::kBlockSize}),
          InfoOption(OptionType::kInfo, context.UnknownName()),
          {.option = kHighUnknownOption},
          {.option = OptionType::kStructuredReply}};
}

std::vector<Option> LastOptions(CheckContext& context, bool structured) {
  engine::MetaContextQuery query{.export_name = context.export_name()};
  std::vector<Option> options;
  if (structured) {
    options.push_back({.option = OptionType::kListMetaContext, .payload = EncodePayload(query)});
    query.queries = {std::string(engine::kBaseAllocation)};
    options.push_back({.option = OptionType::kSetMetaContext, .payload = EncodePayload(query)});
  }
  options.push_back(InfoOption(OptionType::kGo, context.export_name()));
  return options;
}

// Asks on a connection that is made when there is none.
class Asker {
 public:
  explicit Asker(CheckContext& context) : context_(context) {}

  std::expected<void, Judgement> Ask(const std::vector<Option>& options) {
    for (const Option& option : options) {
      if (!session_) {
        auto session = structured_ ? context_.HaggleStructured() : context_.Haggle();
        if (!session) {
          return std::unexpected(std::move(session).error());
        }
        session_ = std::move(*session);
      }
      Take(option, session_->Ask(option));
    }
    return {};
  }

  [[nodiscard]] bool structured() const { return structured_; }
  std::vector<Asked>& asked() { return asked_; }

 private:
  void Take(const Option& option, Received<Replies> replies) {
    Asked& asked = asked_.emplace_back(Asked{.option = option});
    if (!replies) {
      const engine::ByteView pending = session_->pending();
      asked.ended = replies.error();
      asked.pending.assign(pending.begin(), pending.end());
      asked.at_first_reply = session_->received_byte_count() - pending.size() == kGreetingBytes;
      session_.reset();
      return;
    }
    structured_ = structured_ || (option.option == OptionType::kStructuredReply && IsAcknowledged(*replies));
    asked.replies = std::move(*replies);
  }

  CheckContext& context_;
  std::optional<Session> session_;
  bool structured_ = false;
  std::vector<Asked> asked_;
};

}  // namespace

std::expected<std::vector<Asked>, Judgement> AskEveryOption(CheckContext& context) {
  Asker asker(context);
  if (auto done = asker.Ask(FirstOptions(context)); !done) {
    return Stop(std::move(done).error());
  }
  if (auto done = asker.Ask(LastOptions(context, asker.structured())); !done) {
    return Stop(std::move(done).error());
  }
  return std::move(asker.asked());
}

Judgement JudgeEveryReply(CheckContext& context, ReplyRule rule, std::string_view allowed) {
  NBDSPEC_TRY(all, AskEveryOption(context));
  bool any = false;
  for (const Asked& asked : all) {
    for (const OptionReply& reply : asked.replies) {
      any = true;
      if (std::string saw = rule(asked.option, reply); !saw.empty()) {
        return Broken(std::move(saw), allowed);
      }
    }
  }
  return any ? Holds() : Inconclusive("no option got a reply");
}

Judgement JudgeEveryEnd(CheckContext& context, EndRule is_wrong, std::string_view allowed) {
  NBDSPEC_TRY(all, AskEveryOption(context));
  for (const Asked& asked : all) {
    if (asked.ended && is_wrong(asked, *asked.ended)) {
      return Broken(engine::OptionName(asked.option.option) + ": " + asked.ended->text, allowed);
    }
  }
  return Holds();
}

std::expected<GoAnswer, Judgement> AskGo(CheckContext& context, std::vector<std::uint16_t> requests,
                                         std::uint32_t flags) {
  NBDSPEC_TRY(session, context.Haggle(flags));
  NBDSPEC_TRY(replies, session.Try(InfoOption(OptionType::kGo, context.export_name(), std::move(requests))));
  GoAnswer answer{.session = std::move(session), .replies = std::move(replies)};
  answer.acknowledged = IsAcknowledged(answer.replies);
  if (const auto* reply = FindInfo(answer.replies, InfoType::kExport)) {
    answer.info = engine::DecodePayload<engine::InfoExport>(reply->payload).value_or(engine::InfoExport{});
  }
  if (const auto* reply = FindInfo(answer.replies, InfoType::kBlockSize)) {
    answer.block_size = engine::DecodePayload<engine::InfoBlockSize>(reply->payload);
  }
  return answer;
}

std::expected<GoAnswer, Judgement> EnterByGo(CheckContext& context, std::vector<std::uint16_t> requests,
                                             std::uint32_t flags) {
  NBDSPEC_TRY(answer, AskGo(context, std::move(requests), flags));
  if (answer.acknowledged) {
    return std::move(answer);
  }
  const std::string saw = "NBD_OPT_GO was answered " + TypesOf(answer.replies);
  return Stop(EndsIn(answer.replies, OptionReplyType::kErrBlockSizeReqd) ? NotApplicable(saw) : Inconclusive(saw));
}

std::expected<ExportNameAnswer, Judgement> AskByName(CheckContext& context, const std::string& name,
                                                     std::uint32_t flags) {
  NBDSPEC_TRY(session, context.Haggle(flags));
  const bool no_zeroes = !session.negotiated().pads_export_name_reply();
  auto reply = session.AskExportName(name, no_zeroes);
  return ExportNameAnswer{.session = std::move(session), .reply = std::move(reply), .no_zeroes = no_zeroes};
}

std::expected<ExportNameAnswer, Judgement> EnterByName(CheckContext& context) {
  NBDSPEC_TRY(answer, AskByName(context, context.export_name()));
  if (answer.reply) {
    return std::move(answer);
  }
  const ReceiveError& ended = answer.reply.error();
  const std::string saw = "NBD_OPT_EXPORT_NAME: " + ended.text;
  // Bytes before the end are no refusal.
  return Stop(ended.is_disconnect() && answer.session.pending().empty() ? NotApplicable(saw) : Inconclusive(saw));
}

}  // namespace nbdspec::conformance
