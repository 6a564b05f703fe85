// SPDX-License-Identifier: BSD-3-Clause
// NaiveSession: what a Session must make of a stream, told by its whole.
//
// Naive on purpose: all bytes are there from the start, so there is no waiting and there are no pieces; each function
// is what the comment of Session's says. It shares with Session only the decoder of messages, which the target
// wire_decode checks.

#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "conformance/session/session.h"
#include "engine/wire/messages.h"
#include "engine/wire/server_decoder.h"
#include "fuzz/inputs/session_decode_input.h"

namespace nbdspec::fuzz {

// What one step gave.
struct SessionOutcome {
  std::optional<conformance::ReceiveError::Kind> ended = {};
  std::vector<engine::ServerMessage> messages = {};
  bool is_silent = false;
  std::uint32_t error = 0;  // Of an answer.
  bool operator==(const SessionOutcome&) const = default;
};

std::string Print(const SessionOutcome& outcome);

class NaiveSession {
 public:
  explicit NaiveSession(const SessionDecodeInput& input);

  SessionOutcome Take(const SessionStep& step);

  [[nodiscard]] const std::vector<engine::PlacedServerMessage>& decoded() const { return decoded_; }
  [[nodiscard]] const std::vector<engine::ServerMessage>& strays() const { return strays_; }
  [[nodiscard]] std::size_t pending_bytes() const { return decoder_.Pending().size(); }
  // Bytes after what cannot be decoded are not asked for, so how many came depends on the pieces.
  [[nodiscard]] bool is_undecodable() const { return over_ == How::kUndecodable; }

 private:
  using How = conformance::ReceiveError::Kind;

  // The next message, or why there is none.
  std::expected<engine::ServerMessage, How> Next();
  SessionOutcome NextOf(bool (*is_wanted)(const engine::ServerMessage&));
  SessionOutcome NextOptionReplies();
  SessionOutcome NextAnswer(std::uint64_t cookie);
  SessionOutcome NextEnd();
  SessionOutcome Silence();
  void Say(const SessionStep& step, std::uint64_t cookie);
  static SessionOutcome AnswerOf(std::vector<engine::ServerMessage> replies);

  const SessionDecodeInput& input_;
  engine::ServerDecoder decoder_;
  std::optional<How> over_;  // Once nothing more can come.
  std::uint64_t cookie_ = 0;
  std::vector<engine::PlacedServerMessage> decoded_;
  std::vector<engine::ServerMessage> strays_;
  std::vector<engine::ServerMessage> early_;
  std::vector<std::uint64_t> unanswered_;
};

}  // namespace nbdspec::fuzz
