// SPDX-License-Identifier: BSD-3-Clause
// How rules look at the chunks of an answer, one by one.

#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>

#include "conformance/checks/survey.h"

namespace nbdspec::conformance {

// Asks `judge` about each chunk that `wanted` picks.
template <typename Wanted, typename Judge>
Judgement JudgeEach(const Exchange& exchange, Wanted wanted, const std::string& none, Judge judge) {
  bool any = false;
  for (const engine::Chunk& chunk : exchange.answer.chunks) {
    if (!wanted(chunk)) {
      continue;
    }
    any = true;
    Judgement judgement = judge(chunk);
    if (judgement.kind == Judgement::Kind::kBroken) {
      return judgement;
    }
  }
  return any ? Holds() : NotApplicable(none);
}

template <typename Judge>
Judgement JudgeEach(const Exchange& exchange, std::uint16_t type, Judge judge) {
  return JudgeEach(
      exchange, [type](const engine::Chunk& chunk) { return chunk.type == type; },
      "no " + engine::ChunkName(type) + " came", judge);
}

inline bool IsAny(const engine::Chunk&) { return true; }
inline bool IsError(const engine::Chunk& chunk) { return chunk.is_error(); }

inline std::string BytesText(const engine::Chunk& chunk) {
  return fmt::format("{} with {} bytes of payload", engine::ChunkName(chunk.type), chunk.payload.size());
}

// Whether the first byte of one lies in the other.
inline bool Overlap(const engine::ByteRange::OffsetAndLength& a, const engine::ByteRange::OffsetAndLength& b) {
  return a.offset >= b.offset ? a.offset - b.offset < b.length && a.length > 0
                              : b.offset - a.offset < a.length && b.length > 0;
}

// What a content chunk or an error chunk with an offset speaks of; the latter
// counts as one byte.
inline std::optional<engine::ByteRange::OffsetAndLength> PlaceOf(const engine::Chunk& chunk) {
  if (chunk.type != engine::ChunkType::kErrorOffset) {
    return ContentOf(chunk);
  }
  const auto error = engine::DecodeErrorPayload(chunk.type, chunk.payload);
  return error && error->offset
             ? std::optional(engine::ByteRange::OffsetAndLength{.offset = *error->offset, .length = 1})
             : std::nullopt;
}

}  // namespace nbdspec::conformance
