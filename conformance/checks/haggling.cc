// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/checks/haggling.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace nbdspec::conformance {

using engine::InfoType;
using engine::Option;
using engine::OptionReply;
using engine::OptionReplyType;
using engine::OptionType;

std::expected<Session, Judgement> HaggleWith(CheckContext& context, std::uint32_t flags) {
  auto session = context.Connect();
  if (!session) {
    return session;
  }
  const auto greeting = session->NextGreeting();
  if (!greeting) {
    return std::unexpected(Inconclusive("no greeting: " + greeting.error().text));
  }
  session->Send(engine::ClientFlags{.flags = greeting->flags & flags});
  return session;
}

Option InfoOption(std::uint32_t option, const std::string& name, std::vector<std::uint16_t> requests) {
  return {.option = option, .payload = EncodePayload(engine::InfoQuery{.name = name, .requests = std::move(requests)})};
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

std::string TextOf(const OptionReply& reply) { return {reply.payload.begin(), reply.payload.end()}; }

std::optional<bool> LacksExport(CheckContext& context, const std::string& name) {
  auto session = context.Haggle();
  if (!session) {
    return {};
  }
  const auto replies = session->Ask(InfoOption(OptionType::kInfo, name, {InfoType::kBlockSize}));
  if (!replies) {
    return {};
  }
  const std::uint32_t last = replies->back().type;
  if (last != OptionReplyType::kErrUnknown && last != OptionReplyType::kAck) {
    return {};
  }
  return last == OptionReplyType::kErrUnknown;
}

namespace {

// The options in the order in which they are asked, but those that need structured replies, and GO.
std::vector<Option> FirstOptions(CheckContext& context) {
  return {{.option = OptionType::kList},
          InfoOption(OptionType::kInfo, context.export_name(),
                     {InfoType::kName, InfoType::kDescription, InfoType::kBlockSize}),
          InfoOption(OptionType::kInfo, context.UnknownName(), {InfoType::kBlockSize}),
          {.option = kHighUnknownOption},
          {.option = OptionType::kStructuredReply}};
}

std::vector<Option> LastOptions(CheckContext& context, bool structured) {
  std::vector<Option> options;
  if (structured) {
    options.push_back({.option = OptionType::kListMetaContext,
                       .payload = EncodePayload(engine::MetaContextQuery{.export_name = context.export_name()})});
    options.push_back({.option = OptionType::kSetMetaContext,
                       .payload = EncodePayload(engine::MetaContextQuery{
                           .export_name = context.export_name(), .queries = {std::string(engine::kBaseAllocation)}})});
  }
  options.push_back(InfoOption(OptionType::kGo, context.export_name(), {InfoType::kBlockSize}));
  return options;
}

// Asks on a connection that is made when there is none.
class Asker {
 public:
  explicit Asker(CheckContext& context) : context_(context) {}

  std::optional<Judgement> Ask(const Option& option) {
    if (!session_) {
      auto session = structured_ ? context_.HaggleStructured() : context_.Haggle();
      if (!session) {
        return std::move(session).error();
      }
      session_ = std::move(*session);
    }
    auto replies = session_->Ask(option);
    asked_.push_back({.option = option});
    if (!replies) {
      const engine::ByteView pending = session_->pending();
      asked_.back().ended = replies.error();
      asked_.back().pending.assign(pending.begin(), pending.end());
      asked_.back().at_first_reply = session_->received_byte_count() - pending.size() == kGreetingBytes;
      session_.reset();
      return {};
    }
    structured_ =
        structured_ || (option.option == OptionType::kStructuredReply && replies->back().type == OptionReplyType::kAck);
    asked_.back().replies = std::move(*replies);
    return {};
  }

  [[nodiscard]] bool structured() const { return structured_; }
  std::vector<Asked>& asked() { return asked_; }

 private:
  CheckContext& context_;
  std::optional<Session> session_;
  bool structured_ = false;
  std::vector<Asked> asked_;
};

}  // namespace

std::expected<std::vector<Asked>, Judgement> AskEveryOption(CheckContext& context) {
  Asker asker(context);
  for (const Option& option : FirstOptions(context)) {
    if (auto stopped = asker.Ask(option)) {
      return std::unexpected(std::move(*stopped));
    }
  }
  for (const Option& option : LastOptions(context, asker.structured())) {
    if (auto stopped = asker.Ask(option)) {
      return std::unexpected(std::move(*stopped));
    }
  }
  return std::move(asker.asked());
}

Judgement JudgeEveryReply(CheckContext& context, SaysWhatIsWrong wrong, std::string_view allowed) {
  NBDSPEC_TRY(all, AskEveryOption(context));
  bool heard_any = false;
  for (const Asked& asked : all) {
    for (const OptionReply& reply : asked.replies) {
      heard_any = true;
      if (const auto saw = wrong(asked.option, reply)) {
        return Broken(*saw, std::string(allowed));
      }
    }
  }
  return heard_any ? Holds() : Inconclusive("no option got a reply");
}

std::expected<GoAnswer, Judgement> AskGo(CheckContext& context, std::vector<std::uint16_t> requests,
                                         std::uint32_t flags) {
  auto session = HaggleWith(context, flags);
  if (!session) {
    return std::unexpected(std::move(session).error());
  }
  auto replies = session->Ask(InfoOption(OptionType::kGo, context.export_name(), std::move(requests)));
  if (!replies) {
    return std::unexpected(Inconclusive("NBD_OPT_GO got no answer: " + replies.error().text));
  }
  GoAnswer answer{.session = std::move(*session), .replies = std::move(*replies)};
  answer.acknowledged = answer.replies.back().type == OptionReplyType::kAck;
  if (answer.acknowledged) {
    answer.session.EnterTransmission();
  }
  if (const auto* reply = FindInfo(answer.replies, InfoType::kExport)) {
    answer.info = engine::DecodeInfoExport(reply->payload).value_or(engine::InfoExport{});
  }
  if (const auto* reply = FindInfo(answer.replies, InfoType::kBlockSize)) {
    answer.block_size = engine::DecodeInfoBlockSize(reply->payload);
  }
  return answer;
}

std::expected<GoAnswer, Judgement> EnterByGo(CheckContext& context, std::vector<std::uint16_t> requests,
                                             std::uint32_t flags) {
  auto answer = AskGo(context, std::move(requests), flags);
  if (!answer || answer->acknowledged) {
    return answer;
  }
  const std::string saw = "NBD_OPT_GO was answered " + TypesOf(answer->replies);
  return std::unexpected(answer->replies.back().type == OptionReplyType::kErrBlockSizeReqd ? NotApplicable(saw)
                                                                                           : Inconclusive(saw));
}

std::expected<ExportNameAnswer, Judgement> AskByName(CheckContext& context, const std::string& name,
                                                     std::uint32_t flags) {
  auto session = context.Connect();
  if (!session) {
    return std::unexpected(std::move(session).error());
  }
  const auto greeting = session->NextGreeting();
  if (!greeting) {
    return std::unexpected(Inconclusive("no greeting: " + greeting.error().text));
  }
  const std::uint32_t agreed = greeting->flags & flags;
  session->Send(engine::ClientFlags{.flags = agreed});
  const bool no_zeroes = (agreed & engine::ClientFlag::kNoZeroes) != 0;
  auto reply = session->AskExportName(name, no_zeroes);
  return ExportNameAnswer{.session = std::move(*session), .reply = std::move(reply), .no_zeroes = no_zeroes};
}

std::expected<ExportNameAnswer, Judgement> EnterByName(CheckContext& context, std::uint32_t flags) {
  auto answer = AskByName(context, context.export_name(), flags);
  if (!answer || answer->reply) {
    return answer;
  }
  const ReceiveError& ended = answer->reply.error();
  const std::string saw = "NBD_OPT_EXPORT_NAME: " + ended.text;
  // Bytes before the end are no refusal.
  const bool refused = ended.is_disconnect() && answer->session.pending().empty();
  return std::unexpected(refused ? NotApplicable(saw) : Inconclusive(saw));
}

std::expected<engine::Request, Judgement> SmallRead(std::uint64_t export_size, std::uint32_t minimum_block) {
  const std::uint32_t length = std::max(512U, minimum_block);
  if (length > export_size) {
    return std::unexpected(NotApplicable(fmt::format("the export has {} bytes only", export_size)));
  }
  return engine::Request{.length = length};
}

}  // namespace nbdspec::conformance
