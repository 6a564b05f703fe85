// SPDX-License-Identifier: BSD-3-Clause
// Bytes as a server that says what it likes, and what our side does meanwhile. Every input is some conversation.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "conformance/peer/target.h"
#include "conformance/session/session.h"
#include "engine/base/bytes.h"

namespace nbdspec::fuzz {

// What our side does; each is a function of Session.
enum class SessionAct : std::uint8_t {
  kNextGreeting,
  kNext,
  kNextOptionReplies,
  kNextAnswer,
  kSilence,
  kNextEnd,
  kAskOption,
  kAskExportName,
  kAskRead,
  kAskFlush,
  kSayRead,
  kSayFlush,
  kEnterTransmission,
};

struct SessionStep {
  SessionAct act = SessionAct::kNext;
  std::uint64_t cookie = 1;  // kNextAnswer, kSay...; kAsk... take the session's own next one.
  std::uint32_t length = 0;  // Of a READ.
  bool no_zeroes = true;     // kAskExportName.
};

struct SessionDecodeInput {
  conformance::Ending ending = conformance::Ending::kClosed;  // Once the server has said all.
  conformance::Session::Limits limits;
  std::array<std::size_t, 2> piece_bytes = {1, 1};  // The stream comes in pieces of these sizes, by turns.
  std::vector<SessionStep> steps;
  engine::Bytes stream;  // What the server says.
};

SessionDecodeInput ReadSessionDecodeInput(engine::ByteView input);

// "NextAnswer to cookie 2"
std::string Print(const SessionStep& step);

// A server that says `stream` in pieces, whatever it hears, and then ends.
class RecitedStream : public conformance::Transport {
 public:
  RecitedStream(engine::ByteView stream, std::array<std::size_t, 2> piece_bytes, conformance::Ending ending)
      : rest_(stream), piece_bytes_(piece_bytes), ending_(ending) {}

  conformance::Ending SendSome(engine::ByteView& bytes, Clock::time_point) override {
    bytes = {};
    return conformance::Ending::kNone;
  }
  conformance::Ending Receive(engine::Bytes& out, std::size_t bytes_max, Clock::time_point deadline) override;
  void CloseSending() override {}

 private:
  engine::ByteView rest_;
  std::array<std::size_t, 2> piece_bytes_;
  conformance::Ending ending_;
  std::size_t pieces_ = 0;
};

}  // namespace nbdspec::fuzz
