// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/oracles/naive_session.h"

#include <algorithm>
#include <array>
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

bool IsReply(const ServerMessage& message) { return Is<SimpleReply>(message) || Is<Chunk>(message); }

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

}  // namespace

NaiveSession::NaiveSession(const SessionDecodeInput& input) : input_(input) { decoder_.Feed(input.stream); }

SessionOutcome NaiveSession::Take(const SessionStep& step) {
  switch (step.act) {
    case SessionAct::kNextGreeting:
      return NextOf(Is<engine::Greeting>);
    case SessionAct::kNext:
      return NextOf([](const ServerMessage&) { return true; });
    case SessionAct::kAskOption:
    case SessionAct::kNextOptionReplies:
      return NextOptionReplies();
    case SessionAct::kNextAnswer:
      return NextAnswer(step.cookie);
    case SessionAct::kSilence:
      return Silence();
    case SessionAct::kNextEnd:
      return NextEnd();
    case SessionAct::kAskExportName:
      decoder_.ExpectExportNameReply(/*pad=*/!step.no_zeroes);
      return NextOf(Is<engine::ExportNameReply>);
    case SessionAct::kAskRead:
    case SessionAct::kAskFlush:
      Say(step, ++cookie_);
      return NextAnswer(cookie_);
    case SessionAct::kSayRead:
    case SessionAct::kSayFlush:
      Say(step, step.cookie);
      return {};
    case SessionAct::kEnterTransmission:
      decoder_.EnterTransmission();
      return {};
  }
  return {};
}

void NaiveSession::Say(const SessionStep& step, std::uint64_t cookie) {
  if (step.act == SessionAct::kAskRead || step.act == SessionAct::kSayRead) {
    decoder_.ExpectData(cookie, step.length);
  }
  unanswered_.push_back(cookie);
}

std::expected<ServerMessage, NaiveSession::How> NaiveSession::Next() {
  if (over_) {
    return std::unexpected(*over_);
  }
  auto next = decoder_.Next();
  if (next && std::holds_alternative<engine::PlacedServerMessage>(*next)) {
    decoded_.push_back(std::get<engine::PlacedServerMessage>(std::move(*next)));
    return decoded_.back().message;
  }
  if (next) {
    over_ = How::kUndecodable;
  } else if (input_.ending == Ending::kTimedOut) {
    return std::unexpected(How::kTimedOut);  // It may yet go on.
  } else {
    over_ = input_.ending == Ending::kReset ? How::kReset : How::kClosed;
  }
  return std::unexpected(*over_);
}

SessionOutcome NaiveSession::NextOf(bool (*is_wanted)(const ServerMessage&)) {
  auto next = Next();
  if (!next) {
    return {.ended = next.error()};
  }
  if (!is_wanted(*next)) {
    return {.ended = How::kUnexpected};
  }
  return {.messages = {*std::move(next)}};
}

SessionOutcome NaiveSession::NextOptionReplies() {
  SessionOutcome outcome;
  std::size_t payload_bytes = 0;
  for (;;) {
    const SessionOutcome next = NextOf(Is<OptionReply>);
    if (next.ended) {
      return next;
    }
    const auto& reply = std::get<OptionReply>(next.messages[0]);
    outcome.messages.push_back(reply);
    payload_bytes += reply.payload.size();
    if (IsLastOfOption(reply)) {
      return outcome;
    }
    if (payload_bytes > input_.limits.option_bytes_max || outcome.messages.size() >= input_.limits.messages_max) {
      return {.ended = How::kFlood};
    }
  }
}

SessionOutcome NaiveSession::NextAnswer(std::uint64_t cookie) {
  std::vector<ServerMessage> replies;
  const auto is_whole = [&] { return !replies.empty() && IsLastOfAnswer(replies.back()); };
  // What came before it was asked for, up to the end of this answer.
  std::vector<ServerMessage> still_early;
  for (ServerMessage& reply : early_) {
    const bool is_of_it = CookieOf(reply) == cookie && !is_whole();
    (is_of_it ? replies : still_early).push_back(std::move(reply));
  }
  early_ = std::move(still_early);
  std::size_t held_bytes = 0;
  for (std::uint32_t heard = 0; !is_whole(); ++heard) {
    if (heard == input_.limits.messages_max || held_bytes > input_.limits.answer_bytes_max) {
      return {.ended = How::kFlood};
    }
    SessionOutcome next = NextOf(IsReply);
    if (next.ended) {
      return next;
    }
    ServerMessage& reply = next.messages[0];
    held_bytes += PayloadBytesOf(reply);
    if (CookieOf(reply) == cookie) {
      replies.push_back(std::move(reply));
    } else {
      const bool is_awaited = std::ranges::count(unanswered_, CookieOf(reply)) > 0;
      (is_awaited ? early_ : strays_).push_back(std::move(reply));
    }
  }
  std::erase(unanswered_, cookie);
  return AnswerOf(std::move(replies));
}

SessionOutcome NaiveSession::AnswerOf(std::vector<ServerMessage> replies) {
  SessionOutcome outcome;
  const auto is_error = [](const ServerMessage& reply) {
    return Is<Chunk>(reply) && std::get<Chunk>(reply).is_error();
  };
  const auto first_error = std::ranges::find_if(replies, is_error);
  if (Is<SimpleReply>(replies.back())) {
    outcome.error = std::get<SimpleReply>(replies.back()).error;  // Whatever chunks said before it.
  } else if (first_error != replies.end()) {
    const auto& chunk = std::get<Chunk>(*first_error);
    const auto payload = engine::DecodeErrorPayload(chunk.type, chunk.payload);
    outcome.error = payload ? payload->error : engine::NbdError::kEio;
  }
  outcome.messages = std::move(replies);
  return outcome;
}

SessionOutcome NaiveSession::NextEnd() {
  for (std::uint32_t heard = 0; heard < input_.limits.messages_max; ++heard) {
    const SessionOutcome next = NextOf([](const ServerMessage&) { return true; });
    if (next.ended) {
      return next;
    }
  }
  return {.ended = How::kFlood};
}

SessionOutcome NaiveSession::Silence() {
  const SessionOutcome next = NextOf([](const ServerMessage&) { return true; });
  return {.is_silent = next.ended == How::kTimedOut && pending_bytes() == 0};
}

std::string Print(const SessionOutcome& outcome) {
  constexpr auto kNames =
      std::to_array<std::string_view>({"closed", "reset", "timed out", "undecodable", "unexpected", "flood"});
  std::string text = outcome.is_silent ? "silence; " : "";
  text += outcome.ended ? "ended: " + std::string(kNames[static_cast<std::size_t>(*outcome.ended)]) + "; " : "";
  for (const ServerMessage& message : outcome.messages) {
    text += engine::Describe(message) + "; ";
  }
  return text + "error " + std::to_string(outcome.error);
}

}  // namespace nbdspec::fuzz
