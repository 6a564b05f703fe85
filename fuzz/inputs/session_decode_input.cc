// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/inputs/session_decode_input.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/base/byte_reader.h"
#include "engine/wire/messages.h"

namespace nbdspec::fuzz {
namespace {

using conformance::Ending;
using engine::ChunkType;
using engine::OptionReplyType;

constexpr std::size_t kStepsMax = 24;
constexpr std::size_t kMessagesMax = 40;  // With the steps, fewer than the lines that a transcript keeps.

class Reader : public engine::ByteReader {
 public:
  using ByteReader::ByteReader;

  SessionStep Step() {
    using enum SessionAct;
    const std::uint8_t byte = Byte();
    return {.act = engine::Pick(byte, {kNextAnswer, kSayRead, kSayFlush, kNextAnswer, kAskRead, kAskOption,
                                       kNextOptionReplies, kNext, kSilence, kNextEnd, kAskExportName, kNextGreeting,
                                       kEnterTransmission, kAskFlush, kSayFlush, kSayRead}),
            .cookie = 1U + (byte >> 4 & 3U),
            .length = (byte & 128) != 0 ? 1U : 8U,
            .no_zeroes = (byte & 64) == 0};
  }

  // A message near what a server might say.
  void Say(engine::Bytes& stream) {
    const std::uint8_t kind = Byte();
    const std::uint8_t more = Byte();
    const auto reply = engine::Pick<std::uint32_t>(
        more, {OptionReplyType::kAck, OptionReplyType::kServer, OptionReplyType::kInfo, OptionReplyType::kMetaContext,
               OptionReplyType::kErrUnsup, OptionReplyType::kErrInvalid, 5, 0xffffffff});
    const auto chunk = engine::Pick<std::uint16_t>(
        more, {ChunkType::kNone, ChunkType::kOffsetData, ChunkType::kOffsetHole, ChunkType::kBlockStatus,
               ChunkType::kError, ChunkType::kErrorOffset, 77, 0xffff});
    const std::uint64_t cookie = 1U + (kind >> 4 & 3U);
    switch (kind & 7U) {
      case 0:
      case 1:
      case 2:
        Encode(engine::Chunk{.flags = static_cast<std::uint16_t>(kind >> 3 & 1U),
                             .type = chunk,
                             .cookie = cookie,
                             .payload = Payload(more / 8U)},
               stream);
        return;
      case 3:
        Encode(engine::SimpleReply{.error = (kind & 8U) != 0 ? more : 0U, .cookie = cookie}, stream);
        // After a READ its data: as many bytes as were asked for, or not.
        stream.resize(stream.size() + ((more & 7U) == 0 ? 8U : more & 15U), more);
        return;
      case 4:
      case 5:
        Encode(engine::OptionReply{.option = 3, .type = reply, .payload = Payload(more / 8U)}, stream);
        return;
      case 6:
        if ((kind & 8U) != 0) {
          Encode(engine::Greeting{.flags = more}, stream);
        } else {
          Encode(engine::ExportNameReply{.size = more, .pad = engine::Bytes((more & 1U) != 0 ? 124 : 0)}, stream);
        }
        return;
      default:
        stream.push_back(more);
    }
  }

 private:
  static engine::Bytes Payload(std::size_t choice) {
    engine::Bytes payload(choice * 2);
    if (payload.size() > 3) {
      payload[3] = 5;  // An error number, and not that of success.
    }
    return payload;
  }
};

}  // namespace

SessionDecodeInput ReadSessionDecodeInput(engine::ByteView bytes) {
  Reader reader(bytes);
  const std::uint8_t head = reader.Byte();
  const std::uint8_t how = reader.Byte();
  const Ending ending = engine::Pick(head, {Ending::kClosed, Ending::kReset, Ending::kTimedOut, Ending::kTimedOut});
  SessionDecodeInput input = {.ending = ending, .piece_bytes = {1U + (how & 15U), 1U + (how >> 4)}};
  if ((head & 4) != 0) {
    input.limits.messages_max = 3;
    input.limits.option_bytes_max = 40;
    input.limits.answer_bytes_max = 40;
  }
  if ((head & 16) != 0) {  // What most conversations begin with.
    Encode(engine::Greeting{}, input.stream);
    input.steps.push_back({.act = SessionAct::kNextGreeting});
  }
  if ((head & 32) != 0) {
    input.steps.push_back({.act = SessionAct::kEnterTransmission});
  }
  for (std::size_t steps = std::min<std::size_t>(reader.Byte() % 32U, kStepsMax); steps > 0; --steps) {
    input.steps.push_back(reader.Step());
  }
  if ((head & 8) != 0) {
    input.stream.insert(input.stream.end(), reader.rest().begin(), reader.rest().end());
    return input;
  }
  for (std::size_t messages = 0; !reader.empty() && messages < kMessagesMax; ++messages) {
    reader.Say(input.stream);
  }
  return input;
}

std::string Print(const SessionStep& step) {
  constexpr auto kNames = std::to_array<std::string_view>(
      {"NextGreeting", "Next", "NextOptionReplies", "NextAnswer", "Silence", "NextEnd", "Ask an option",
       "AskExportName", "Ask READ", "Ask FLUSH", "Say READ", "Say FLUSH", "EnterTransmission"});
  return fmt::format("{} (cookie {}, length {})", kNames[static_cast<std::size_t>(step.act)], step.cookie, step.length);
}

Ending RecitedStream::Receive(engine::Bytes& out, std::size_t bytes_max, Clock::time_point /*deadline*/) {
  if (rest_.empty()) {
    return ending_;
  }
  const std::size_t count = std::min({bytes_max, piece_bytes_[pieces_++ % 2], rest_.size()});
  out.insert(out.end(), rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(count));
  rest_ = rest_.subspan(count);
  return Ending::kNone;
}

}  // namespace nbdspec::fuzz
