// SPDX-License-Identifier: BSD-3-Clause
// NaiveSession: what a Session must make of a stream, told by its whole.
//
// Naive on purpose: all bytes are there from the start, so there is no waiting and there are no pieces; each function
// is what the comment of Session's function of that name says. It shares with Session only the decoder of messages,
// which the target wire_decode checks.

#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "conformance/session/session.h"
#include "engine/wire/decoders.h"
#include "engine/wire/messages.h"
#include "fuzz/inputs/session_decode_input.h"

namespace nbdspec::fuzz {

class NaiveSession {
 public:
  using ReceiveError = conformance::ReceiveError;
  using Messages = std::vector<engine::ServerMessage>;
  template <typename Wanted>
  using Received = conformance::Received<Wanted>;

  struct Answer {
    Messages messages;
    std::uint32_t error = 0;
  };

  explicit NaiveSession(const SessionDecodeInput& input) : input_(input) { decoder_.Feed(input.stream); }

  Received<engine::ServerMessage> Next();
  Received<engine::Greeting> NextGreeting();
  Received<std::vector<engine::OptionReply>> NextOptionReplies();
  Received<Answer> NextAnswer(std::uint64_t cookie);
  std::optional<ReceiveError> ExpectSilence();
  ReceiveError WaitForEnd();

  void Send(const engine::Request& request);
  auto Ask(const engine::Option& /*option*/) { return NextOptionReplies(); }
  Received<Answer> Ask(engine::Request request);
  Received<engine::ExportNameReply> AskExportName(std::string_view name, bool no_zeroes);
  void EnterTransmission() { decoder_.EnterTransmission(); }

  [[nodiscard]] const std::vector<engine::PlacedServerMessage>& decoded() const { return decoded_; }
  [[nodiscard]] const Messages& unmatched() const { return strays_; }
  [[nodiscard]] std::size_t pending_bytes() const { return decoder_.Pending().size(); }
  // Bytes after what cannot be decoded are not asked for, so how many came depends on the pieces.
  [[nodiscard]] bool is_undecodable() const { return over_ == ReceiveError::kUndecodable; }

 private:
  template <typename Wanted>
  Received<Wanted> NextOf();
  static Answer AnswerOf(Messages replies);

  const SessionDecodeInput& input_;
  engine::ServerDecoder decoder_;
  std::optional<ReceiveError::Kind> over_;  // Once nothing more can come.
  std::uint64_t cookie_ = 0;
  std::vector<engine::PlacedServerMessage> decoded_;
  Messages strays_;
  Messages early_;
  std::vector<std::uint64_t> unanswered_;
};

}  // namespace nbdspec::fuzz
