// SPDX-License-Identifier: BSD-3-Clause
// What the rules read the answer to BLOCK_STATUS through.
//
// A chunk is read in place: a peer may send megabytes of descriptors, and every rule looks at them.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "engine/exchange/exchange.h"
#include "engine/wire/big_endian.h"

namespace nbdspec::engine {

// A payload of 4 + 8n bytes: an id and n descriptors. n may be 0.
class StatusChunk {
 public:
  static constexpr std::size_t kIdBytes = 4;
  static constexpr std::size_t kDescriptorBytes = 8;

  // Nothing unless `chunk` is a status chunk that can be taken apart.
  static std::optional<StatusChunk> From(const ReplyChunk& chunk) {
    const bool has_form = chunk.payload.size() % kDescriptorBytes == kIdBytes;  // So it is not below 4 either.
    if (chunk.type != ChunkType::kBlockStatus || !has_form) {
      return {};
    }
    return StatusChunk(chunk.payload);
  }

  [[nodiscard]] std::uint32_t context_id() const { return GetBigEndian<std::uint32_t>(payload_); }
  [[nodiscard]] std::size_t descriptor_count() const { return (payload_.size() - kIdBytes) / kDescriptorBytes; }
  [[nodiscard]] Descriptor descriptor(std::size_t index) const {
    const std::size_t at = kIdBytes + index * kDescriptorBytes;
    return {.length = GetBigEndian<std::uint32_t>(payload_, at),
            .status = GetBigEndian<std::uint32_t>(payload_, at + 4)};
  }

 private:
  explicit StatusChunk(ByteView payload) : payload_(payload) {}
  ByteView payload_;
};

// The status chunks that can be taken apart. None when the request has length 0: what answers it is unspecified, so no
// rule and no claim is read into it.
inline std::vector<StatusChunk> StatusChunksOf(const Exchange& exchange) {
  std::vector<StatusChunk> all;
  for (const ReplyChunk& chunk : exchange.answer.chunks()) {
    const std::optional<StatusChunk> status = StatusChunk::From(chunk);
    if (status && exchange.request.length > 0) {
      all.push_back(*status);
    }
  }
  return all;
}

inline bool IsBaseAllocation(const Exchange& exchange, std::uint32_t id) {
  return std::ranges::any_of(exchange.negotiated->contexts, [&](const MetaContext& context) {
    return context.id == id && context.name == kBaseAllocation;
  });
}

// Lengths come from a peer: their sum may stand at 2^64-1, but never wraps.
constexpr std::uint64_t SaturatingAdd(std::uint64_t a, std::uint64_t b) {
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
  return b > kMax - a ? kMax : a + b;
}

inline std::string DescriptorText(std::size_t index, std::uint32_t id) {
  return "descriptor " + std::to_string(index) + " of context " + std::to_string(id);
}

// "" or " (and 3 more)": one wrong chunk is one line, however many descriptors are wrong.
inline std::string MoreText(std::size_t count) { return count > 0 ? " (and " + std::to_string(count) + " more)" : ""; }

}  // namespace nbdspec::engine
