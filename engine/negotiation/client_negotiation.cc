// SPDX-License-Identifier: BSD-3-Clause
#include "engine/negotiation/client_negotiation.h"

#include <utility>

#include "engine/base/or_return.h"
#include "engine/base/quoted.h"

namespace nbdspec::engine {

namespace {

template <typename Wanted>
Received<Wanted> As(Received<ServerMessage> received, std::string_view wanted) {
  if (!received) {
    return std::unexpected(std::move(received).error());
  }
  if (auto* found = std::get_if<Wanted>(&*received)) {
    return std::move(*found);
  }
  return std::unexpected(ReceiveError{.kind = ReceiveError::kUnexpected,
                                      .text = "not " + std::string(wanted) + ", but " + Describe(*received)});
}

std::unexpected<ReceiveError> Flood(std::uint64_t count, std::string_view of) {
  return std::unexpected(
      ReceiveError{.kind = ReceiveError::kFlood, .text = std::to_string(count) + " " + std::string(of)});
}

Option GoFor(std::string_view name, std::vector<std::uint16_t> requests) {
  return MakeOption(OptionType::kGo, {.export_name = std::string(name), .requests = std::move(requests)});
}

}  // namespace

std::string RefusalText(const OptionReplies& replies) {
  const OptionReply& last = replies.back();
  const std::string text(last.payload.begin(), last.payload.end());
  return OptionName(last.option) + " was answered " + OptionReplyName(last.type) +
         (text.empty() ? "" : " " + Quoted(text));
}

void ClientNegotiation::Send(const ClientMessage& message) {
  if (const auto* flags = std::get_if<ClientFlags>(&message)) {
    negotiated_.Apply(*flags);
  }
  SendMessage(message);
}

Received<Greeting> ClientNegotiation::NextGreeting() {
  auto received = ReceiveMessage();
  if (const auto* oldstyle = received ? std::get_if<OldstyleGreeting>(&*received) : nullptr) {
    negotiated_.Apply(*oldstyle);  // The decoder knows what follows.
  }
  auto greeting = As<Greeting>(std::move(received), "a newstyle greeting");
  if (greeting) {
    negotiated_.Apply(*greeting);
  }
  return greeting;
}

Received<OptionReplies> ClientNegotiation::NextOptionReplies() {
  OptionReplies replies;
  replies.reserve(4);  // Enough for most options.
  std::uint64_t payload_bytes = 0;
  for (;;) {
    NBDSPEC_ASSIGN_OR_RETURN(reply, As<OptionReply>(ReceiveMessage(), "an option reply"));
    payload_bytes += reply.payload.size();
    replies.push_back(std::move(reply));
    if (IsFinal(replies.back())) {
      return replies;
    }
    if (payload_bytes > reply_limits_.bytes_max) {
      return Flood(payload_bytes, "bytes in answer to one option");
    }
    if (replies.size() >= reply_limits_.messages_max) {
      return Flood(replies.size(), "replies to one option and no end");
    }
  }
}

Received<OptionReplies> ClientNegotiation::Ask(const Option& option) {
  Send(option);
  auto replies = NextOptionReplies();
  if (replies) {
    negotiated_.Apply(option, *replies);
    if (negotiated_.transmission) {
      decoder_.EnterTransmission(negotiated_.headers);
    }
  }
  return replies;
}

Received<ExportNameReply> ClientNegotiation::AskExportName(std::string_view name, bool no_zeroes) {
  decoder_.ExpectExportNameReply(/*pad=*/!no_zeroes);
  const Option option = MakeOption(OptionType::kExportName, {.export_name = std::string(name)});
  Send(option);
  auto reply = As<ExportNameReply>(ReceiveMessage(), "the answer to NBD_OPT_EXPORT_NAME");
  if (reply) {
    negotiated_.Apply(option, *reply);
    decoder_.EnterTransmission(negotiated_.headers);
  }
  return reply;
}

std::expected<Greeting, std::string> ClientNegotiation::Greet(std::uint32_t flags) {
  auto greeting = NextGreeting();
  if (negotiated_.oldstyle) {
    return wants_tls_ ? std::expected<Greeting, std::string>(
                            std::unexpected("the server speaks the oldstyle handshake, in which there is no TLS"))
                      : Greeting{.option_magic = kOldstyleMagic, .flags = 0};
  }
  if (!greeting) {
    return std::unexpected("no greeting: " + greeting.error().text);
  }
  Send(ClientFlags{.flags = greeting->flags & flags});
  if (wants_tls_ && (greeting->flags & flags & ClientFlag::kFixedNewstyle) != 0) {
    NBDSPEC_RETURN_IF_ERROR(Require(MakeOption(OptionType::kStarttls)));
    NBDSPEC_RETURN_IF_ERROR(BeginTls());
  }
  return *std::move(greeting);
}

std::expected<OptionReplies, std::string> ClientNegotiation::Try(const Option& option) {
  auto replies = Ask(option);
  if (!replies) {
    return std::unexpected(OptionName(option.option) + " got no answer: " + replies.error().text);
  }
  return *std::move(replies);
}

std::expected<OptionReplies, std::string> ClientNegotiation::Require(const Option& option) {
  auto replies = Try(option);
  return !replies || replies->back().type == OptionReplyType::kAck ? replies : std::unexpected(RefusalText(*replies));
}

ClientNegotiation::EnteredBy ClientNegotiation::EnterByGo(std::string_view name, InfoRequests requests) {
  const auto replies = Require(GoFor(name, std::move(requests)));
  return replies ? EnteredBy(OptionType::kGo) : std::unexpected(replies.error());
}

ClientNegotiation::EnteredBy ClientNegotiation::EnterByName(std::string_view name) {
  if (negotiated_.oldstyle) {
    return 0;
  }
  const auto reply = AskExportName(name, /*no_zeroes=*/!negotiated_.pads_export_name_reply());
  return reply ? EnteredBy(OptionType::kExportName)
               : std::unexpected("NBD_OPT_EXPORT_NAME got no answer: " + reply.error().text);
}

ClientNegotiation::EnteredBy ClientNegotiation::EnterByGoOrName(std::string_view name, InfoRequests requests) {
  if (!negotiated_.is_fixed_newstyle()) {
    return EnterByName(name);
  }
  NBDSPEC_ASSIGN_OR_RETURN(replies, Try(GoFor(name, std::move(requests))));
  if (negotiated_.transmission) {
    return OptionType::kGo;
  }
  return replies.back().type == OptionReplyType::kErrUnsup ? EnterByName(name)
                                                           : EnteredBy(std::unexpected(RefusalText(replies)));
}

}  // namespace nbdspec::engine
