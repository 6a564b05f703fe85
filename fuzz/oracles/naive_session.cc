// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/oracles/naive_session.h"

#include <algorithm>
#include <utility>

#include "engine/wire/payloads.h"

namespace nbdspec::fuzz {

using conformance::Ending;
using engine::Chunk;
using engine::OptionReply;
using engine::OptionReplyType;
using engine::ServerMessage;
using engine::SimpleReply;

namespace {

template <typename Message>
bool Is(const ServerMessage& message) {
  return std::holds_alternative<Message>(message);
}

std::uint64_t CookieOf(const ServerMessage& reply) {
  return Is<Chunk>(reply) ? std::get<Chunk>(reply).cookie : std::get<SimpleReply>(reply).cookie;
}

std::size_t PayloadBytesOf(const ServerMessage& reply) {
  return Is<Chunk>(reply) ? std::get<Chunk>(reply).payload.size() : std::get<SimpleReply>(reply).data.size();
}

bool IsLastOfAnswer(const ServerMessage& reply) { return Is<SimpleReply>(reply) || std::get<Chunk>(reply).is_done(); }

bool IsLastOfOption(const OptionReply& reply) {
  return reply.type != OptionReplyType::kServer && reply.type != OptionReplyType::kInfo &&
         reply.type != OptionReplyType::kMetaContext;
}

std::unexpected<conformance::ReceiveError> None(conformance::ReceiveError::Kind kind) {
  return std::unexpected(conformance::ReceiveError{.kind = kind});
}

}  // namespace

void NaiveSession::Send(const engine::Request& request) {
  if (request.type == engine::CommandType::kRead) {
    decoder_.ExpectData(request.cookie, request.length);
  }
  unanswered_.push_back(request.cookie);
}

NaiveSession::Received<NaiveSession::Answer> NaiveSession::Ask(engine::Request request) {
  request.cookie = ++cookie_;
  Send(request);
  return NextAnswer(cookie_);
}

NaiveSession::Received<ServerMessage> NaiveSession::Next() {
  if (over_) {
    return None(*over_);
  }
  auto next = decoder_.Next();
  if (next && std::holds_alternative<engine::PlacedServerMessage>(*next)) {
    decoded_.push_back(std::get<engine::PlacedServerMessage>(std::move(*next)));
    return decoded_.back().message;
  }
  if (next) {
    over_ = ReceiveError::kUndecodable;
  } else if (input_.ending == Ending::kTimedOut) {
    return None(ReceiveError::kTimedOut);  // It may yet go on.
  } else {
    over_ = input_.ending == Ending::kReset ? ReceiveError::kReset : ReceiveError::kClosed;
  }
  return None(*over_);
}

template <typename Wanted>
NaiveSession::Received<Wanted> NaiveSession::NextOf() {
  auto next = Next();
  if (!next) {
    return std::unexpected(next.error());
  }
  return Is<Wanted>(*next) ? Received<Wanted>(std::get<Wanted>(*std::move(next))) : None(ReceiveError::kUnexpected);
}

NaiveSession::Received<engine::ExportNameReply> NaiveSession::AskExportName(std::string_view /*name*/, bool no_zeroes) {
  decoder_.ExpectExportNameReply(/*pad=*/!no_zeroes);
  return NextOf<engine::ExportNameReply>();
}

NaiveSession::Received<engine::Greeting> NaiveSession::NextGreeting() { return NextOf<engine::Greeting>(); }

NaiveSession::Received<std::vector<OptionReply>> NaiveSession::NextOptionReplies() {
  std::vector<OptionReply> replies;
  std::size_t payload_bytes = 0;
  for (;;) {
    const auto next = NextOf<OptionReply>();
    if (!next) {
      return std::unexpected(next.error());
    }
    replies.push_back(*next);
    payload_bytes += next->payload.size();
    if (IsLastOfOption(*next)) {
      return replies;
    }
    if (payload_bytes > input_.limits.option_bytes_max || replies.size() >= input_.limits.messages_max) {
      return None(ReceiveError::kFlood);
    }
  }
}

NaiveSession::Received<NaiveSession::Answer> NaiveSession::NextAnswer(std::uint64_t cookie) {
  Messages replies;
  const auto is_whole = [&] { return !replies.empty() && IsLastOfAnswer(replies.back()); };
  // What came before it was asked for, up to the end of this answer.
  Messages still_early;
  for (ServerMessage& reply : early_) {
    const bool is_of_it = CookieOf(reply) == cookie && !is_whole();
    (is_of_it ? replies : still_early).push_back(std::move(reply));
  }
  early_ = std::move(still_early);
  std::size_t held_bytes = 0;
  for (std::uint32_t received = 0; !is_whole(); ++received) {
    if (received == input_.limits.messages_max || held_bytes > input_.limits.answer_bytes_max) {
      return None(ReceiveError::kFlood);
    }
    auto reply = Next();
    if (!reply) {
      return std::unexpected(reply.error());
    }
    if (!Is<SimpleReply>(*reply) && !Is<Chunk>(*reply)) {
      return None(ReceiveError::kUnexpected);
    }
    held_bytes += PayloadBytesOf(*reply);
    const std::uint64_t of = CookieOf(*reply);
    const bool is_awaited = std::ranges::count(unanswered_, of) > 0;
    (of == cookie ? replies : is_awaited ? early_ : strays_).push_back(*std::move(reply));
  }
  std::erase(unanswered_, cookie);
  return AnswerOf(std::move(replies));
}

NaiveSession::Answer NaiveSession::AnswerOf(Messages replies) {
  Answer answer;
  const auto is_error = [](const ServerMessage& reply) {
    return Is<Chunk>(reply) && std::get<Chunk>(reply).is_error();
  };
  const auto first_error = std::ranges::find_if(replies, is_error);
  if (Is<SimpleReply>(replies.back())) {
    answer.error = std::get<SimpleReply>(replies.back()).error;  // Whatever chunks said before it.
  } else if (first_error != replies.end()) {
    const auto& chunk = std::get<Chunk>(*first_error);
    const auto payload = engine::DecodeErrorPayload(chunk.type, chunk.payload);
    answer.error = payload ? payload->error : engine::NbdError::kEio;
  }
  answer.messages = std::move(replies);
  return answer;
}

NaiveSession::ReceiveError NaiveSession::WaitForEnd() {
  for (std::uint32_t received = 0; received < input_.limits.messages_max; ++received) {
    if (const auto next = Next(); !next) {
      return next.error();
    }
  }
  return {.kind = ReceiveError::kFlood};
}

std::optional<NaiveSession::ReceiveError> NaiveSession::ExpectSilence() {
  const auto next = Next();
  const bool is_silent = !next && next.error().kind == ReceiveError::kTimedOut && pending_bytes() == 0;
  return is_silent ? std::nullopt : std::optional(next ? ReceiveError{} : next.error());
}

}  // namespace nbdspec::fuzz
