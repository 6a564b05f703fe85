// SPDX-License-Identifier: BSD-3-Clause
// What the tables of rules are written with. Private to this folder.

#pragma once

#include <utility>

#include "engine/exchange/rules.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine {

using namespace spec;  // The ids of requirements.

// The facts that rules need, one bit each; the words of each stand in rules.cc.
struct Fact {
  static constexpr Facts kStructured = 1 << 0;
  static constexpr Facts kNotStructured = 1 << 1;
  static constexpr Facts kAnswered = 1 << 2;  // Some message came.
  static constexpr Facts kComplete = 1 << 3;
  static constexpr Facts kSettled = 1 << 4;   // Complete, or the server was silent: not cut off.
  static constexpr Facts kLegal = 1 << 5;     // A client may send it, and what answers it is specified.
  static constexpr Facts kNonEmpty = 1 << 6;  // The request has a length.
  static constexpr Facts kRead = 1 << 7;
  static constexpr Facts kNotRead = 1 << 8;
  static constexpr Facts kStatus = 1 << 9;  // BLOCK_STATUS.
  static constexpr Facts kNotStatus = 1 << 10;
  static constexpr Facts kWriteZeroes = 1 << 11;
  static constexpr Facts kDf = 1 << 12;
  static constexpr Facts kReqOne = 1 << 13;
  static constexpr Facts kSucceeded = 1 << 14;  // Complete, and without an error.
  static constexpr Facts kError = 1 << 15;      // With an error that is not 0.
  static constexpr Facts kSimple = 1 << 16;
  static constexpr Facts kChunks = 1 << 17;
  static constexpr Facts kNone = 1 << 18;  // A chunk of that type; so the next.
  static constexpr Facts kData = 1 << 19;
  static constexpr Facts kHole = 1 << 20;
  static constexpr Facts kContent = 1 << 21;  // OFFSET_DATA or OFFSET_HOLE.
  static constexpr Facts kErrorChunk = 1 << 22;
  static constexpr Facts kGenericError = 1 << 23;
  static constexpr Facts kErrorOffset = 1 << 24;
  static constexpr Facts kStatusChunk = 1 << 25;  // Of the form that was agreed.
  static constexpr Facts kWrite = 1 << 26;
  static constexpr Facts kTrim = 1 << 27;
  static constexpr Facts kCache = 1 << 28;
  static constexpr Facts kFailed = 1 << 29;  // With an error, be it 0.
  static constexpr Facts kFast = 1 << 30;    // The request has FAST_ZERO.
  static constexpr Facts kIllegal = Facts{1} << 31;
  static constexpr Facts kExtended = Facts{1} << 32;  // Extended headers were agreed.
  static constexpr Facts kCompact = Facts{1} << 33;
  static constexpr Facts kQuery = Facts{1} << 34;             // BLOCK_STATUS with a payload.
  static constexpr Facts kOtherStatusChunk = Facts{1} << 35;  // A status chunk of the form that was not agreed.
};

inline Ruling Kept() { return {}; }
inline Ruling Violated(std::string expected, std::string saw) {
  return {.kind = Ruling::Kind::kViolated, .expected = std::move(expected), .saw = std::move(saw)};
}
// `missing` is a literal: most rules do not apply to most exchanges, and must not allocate to say so.
inline Ruling Inapplicable(std::string_view missing) {
  return {.kind = Ruling::Kind::kInapplicable, .missing = missing};
}

// Text("a chunk of ", 3, " bytes").
inline std::string AsText(std::string_view text) { return std::string(text); }
inline std::string AsText(std::uint64_t number) { return std::to_string(number); }
template <typename... Parts>
std::string Text(const Parts&... parts) {
  return (AsText(parts) + ...);
}

inline std::string RangeText(ByteRange range) { return Text("[", range.begin, ", ", range.end, ")"); }

// "NBD_REPLY_TYPE_NONE with 4 bytes of payload".
inline std::string BytesText(const ReplyChunk& chunk) {
  return Text(ChunkName(chunk.type), " with ", chunk.payload_bytes, " bytes of payload");
}

// "NBD_REPLY_TYPE_OFFSET_DATA of 512 bytes at 0".
inline std::string ContentText(const ReplyChunk& chunk) {
  return chunk.content ? Text(ChunkName(chunk.type), " of ", chunk.content->length, " bytes at ", chunk.content->offset)
                       : BytesText(chunk);
}

// A rule about each chunk that `picks`, for the tables: its first violation.
template <auto picks, auto judge>
Ruling Each(const Exchange& exchange) {
  bool any = false;
  const std::span<const ReplyChunk> chunks = exchange.answer.chunks();
  for (const ReplyChunk& chunk : chunks) {
    if (picks(chunk)) {
      any = true;
      Ruling ruling = judge(exchange, chunk);
      if (ruling.is_violated()) {
        ruling.place.chunk = static_cast<std::int32_t>(&chunk - chunks.data());
        return ruling;
      }
    }
  }
  return any ? Kept() : Inapplicable("no such chunk came");
}

// The same for the chunks of one type.
template <std::uint16_t type, auto judge>
Ruling EachOf(const Exchange& exchange) {
  return Each<[](const ReplyChunk& chunk) { return chunk.type == type; }, judge>(exchange);
}

// Where an error chunk says the error is; nothing for others, and when it cannot be taken apart.
inline std::optional<std::uint64_t> OffsetOf(const ReplyChunk& chunk) {
  return chunk.error ? chunk.error->offset : std::nullopt;
}

inline bool IsError(const ReplyChunk& chunk) { return chunk.is_error(); }
inline bool IsContent(const ReplyChunk& chunk) { return chunk.is_content(); }
inline bool IsAny(const ReplyChunk&) { return true; }

}  // namespace nbdspec::engine
