// SPDX-License-Identifier: BSD-3-Clause
// A hostile server's bytes into a Session: whole and in pieces, against what a NaiveSession makes of them.
//
// The session is a template parameter so that canary tests can pass one with a planted bug: it is made as
// conformance::Session and has its functions.

#pragma once

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "conformance/session/session.h"
#include "fuzz/comparisons/fuzz_target.h"
#include "fuzz/inputs/session_decode_input.h"
#include "fuzz/oracles/naive_session.h"

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

template <typename Session>
class SessionDecodeDifferential {
 public:
  explicit SessionDecodeDifferential(const SessionDecodeInput& input)
      : input_(input), naive_(input), steps_(input.steps) {
    // Then whatever is left, so that all bytes are accounted for. No message is shorter than a byte.
    for (const SessionStep& step : steps_) {
      expected_.push_back(Take(naive_, step));
    }
    do {
      steps_.push_back({.act = SessionAct::kNext});
      expected_.push_back(Take(naive_, steps_.back()));
    } while (!IsOver(expected_.back()));
  }

  Found Run() const {
    auto found = Under("whole", CompareIn({input_.stream.size() + 1, 1}));
    found = found ? found : Under("in pieces", CompareIn(input_.piece_bytes));
    if (!found && input_.stream.size() <= kByteByByteMax) {
      found = Under("byte by byte", CompareIn({1, 1}));
    }
    return found ? found : CheckBound();
  }

 private:
  static constexpr std::size_t kByteByByteMax = 256;  // Longer ones would only be slow.

  using Speaker = conformance::Transcript::From;
  using How = conformance::ReceiveError::Kind;

  static bool IsOver(const SessionOutcome& outcome) { return outcome.ended && outcome.ended != How::kUnexpected; }

  Found CompareIn(std::array<std::size_t, 2> piece_bytes) const {
    conformance::Transcript transcript;
    Session session(std::make_unique<RecitedStream>(input_.stream, piece_bytes, input_.ending), input_.limits,
                    transcript);
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      if (const SessionOutcome saw = Take(session, steps_[i]); saw != expected_[i]) {
        return Compare(fmt::format("step {}: {}", i + 1, Print(steps_[i])), expected_[i], saw);
      }
    }
    if (session.unmatched() != naive_.unmatched()) {
      return Compare("strays", SessionOutcome{.messages = naive_.unmatched()}, {.messages = session.unmatched()});
    }
    auto found = CompareTranscript(transcript);
    return found || naive_.is_undecodable() ? found : CompareBytes(session);
  }

  Found CheckBound() const {
    conformance::Session::Limits limits = input_.limits;
    limits.received_bytes_max = input_.stream.size() / 2;
    const std::uint64_t bytes_max = limits.received_bytes_max + std::max(input_.piece_bytes[0], input_.piece_bytes[1]);
    conformance::Transcript transcript;
    Session session(std::make_unique<RecitedStream>(input_.stream, input_.piece_bytes, input_.ending), limits,
                    transcript);
    for (const SessionStep& step : steps_) {
      (void)Take(session, step);
    }
    return Compare("the bytes received despite a limit", std::min(bytes_max, session.received_byte_count()),
                   session.received_byte_count());
  }

  Found CompareTranscript(const conformance::Transcript& transcript) const {
    std::string expected;
    for (const engine::PlacedServerMessage& placed : naive_.decoded()) {
      expected += PrintLine(placed.offset, placed.length, engine::Describe(placed.message));
    }
    std::string saw;
    std::uint64_t sent_bytes = 0;
    for (const conformance::Transcript::Line& line : transcript.lines()) {
      if (line.from == Speaker::kServer) {
        saw += PrintLine(line.offset, line.length, line.what.text);
      } else if (line.from == Speaker::kClient) {
        if (auto found = Compare("transcript of what was sent", sent_bytes, line.offset)) {
          return found;
        }
        sent_bytes += line.length;
      }
    }
    return Compare("transcript of what was received", expected, saw);
  }

  Found CompareBytes(const Session& session) const {
    auto found = Compare<std::uint64_t>("bytes received", input_.stream.size(), session.received_byte_count());
    return found ? found : Compare("bytes of no message", naive_.pending_bytes(), session.pending().size());
  }

  static std::string PrintLine(std::uint64_t offset, std::uint64_t length, const std::string& text) {
    return fmt::format("@{} +{} {}; ", offset, length, text);
  }

  static SessionOutcome Take(auto& session, const SessionStep& step) {
    using engine::CommandType;
    const auto request = [&](std::uint16_t type, std::uint64_t cookie) {
      return engine::Request{.type = type, .cookie = cookie, .length = step.length};
    };
    switch (step.act) {
      case SessionAct::kNextGreeting:
        return From(session.NextGreeting());
      case SessionAct::kNext:
        return From(session.Next());
      case SessionAct::kNextOptionReplies:
        return From(session.NextOptionReplies());
      case SessionAct::kNextAnswer:
        return From(session.NextAnswer(step.cookie));
      case SessionAct::kSilence:
        return {.is_silent = !session.ExpectSilence().has_value()};
      case SessionAct::kNextEnd:
        return {.ended = session.WaitForEnd().kind};
      case SessionAct::kAskOption:
        return From(session.Ask(engine::Option{.option = engine::OptionType::kList}));
      case SessionAct::kAskExportName:
        return From(session.AskExportName("export", step.no_zeroes));
      case SessionAct::kAskRead:
        return From(session.Ask(request(CommandType::kRead, 0)));
      case SessionAct::kAskFlush:
        return From(session.Ask(request(CommandType::kFlush, 0)));
      case SessionAct::kSayRead:
        session.Send(request(CommandType::kRead, step.cookie));
        return {};
      case SessionAct::kSayFlush:
        session.Send(request(CommandType::kFlush, step.cookie));
        return {};
      case SessionAct::kEnterTransmission:
        session.EnterTransmission();
        return {};
    }
    return {};
  }

  template <typename Message>
  static SessionOutcome From(conformance::Received<Message> received) {
    if (!received) {
      return {.ended = received.error().kind};
    }
    return FromMessage(*std::move(received));
  }

  static SessionOutcome FromMessage(engine::ServerMessage message) { return {.messages = {std::move(message)}}; }

  static SessionOutcome FromMessage(const std::vector<engine::OptionReply>& replies) {
    return {.messages = {replies.begin(), replies.end()}};
  }

  static SessionOutcome FromMessage(NaiveSession::Answer answer) {
    return {.messages = std::move(answer.messages), .error = answer.error};
  }

  static SessionOutcome FromMessage(const conformance::Answer& answer) {
    SessionOutcome outcome = {.messages = {answer.chunks.begin(), answer.chunks.end()}, .error = answer.error()};
    if (answer.simple) {
      outcome.messages.emplace_back(*answer.simple);
    }
    return outcome;
  }

  const SessionDecodeInput& input_;
  NaiveSession naive_;
  std::vector<SessionStep> steps_;
  std::vector<SessionOutcome> expected_;
};

// The first thing wrong with what a session makes of `bytes`, read as session_decode_input.h says.
template <typename Session = conformance::Session>
Found FindSessionDecodeDisagreement(engine::ByteView bytes) {
  const SessionDecodeInput input = ReadSessionDecodeInput(bytes);
  return SessionDecodeDifferential<Session>(input).Run();
}

FuzzTarget SessionDecodeTarget();

}  // namespace nbdspec::fuzz
