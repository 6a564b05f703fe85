// SPDX-License-Identifier: BSD-3-Clause
// The answer to BLOCK_STATUS: what the rules read it through, and the claims of base:allocation that bytes can refute.
//
// A chunk is read in place: a peer may send megabytes of descriptors, and every rule looks at them.

#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <ranges>
#include <string>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/exchange/rules.h"
#include "engine/extents/extent_map.h"
#include "engine/wire/fields.h"

namespace nbdspec::engine {

// A payload of an id, in the extended form a count, and n descriptors. n may be 0.
class StatusChunk {
 public:
  // Nothing unless `chunk` is a status chunk that can be taken apart.
  static std::optional<StatusChunk> From(const ReplyChunk& chunk) {
    const HeaderForm form = chunk.type == ChunkType::kBlockStatusExt ? HeaderForm::kExtended : HeaderForm::kCompact;
    const std::size_t head_bytes = BlockStatus::HeadBytes(form);
    const std::size_t size = chunk.payload.size();
    if (chunk.type != BlockStatus::ChunkTypeOf(form) || size < head_bytes ||
        (size - head_bytes) % BlockStatus::DescriptorBytes(form) != 0) {
      return {};
    }
    return StatusChunk(form, chunk.payload);
  }

  // Whether it was made From(`chunk`).
  [[nodiscard]] bool IsOf(const ReplyChunk& chunk) const { return chunk.payload.data() == payload_.data(); }
  [[nodiscard]] HeaderForm form() const { return form_; }
  [[nodiscard]] std::uint32_t context_id() const { return GetBigEndian<std::uint32_t>(payload_); }
  [[nodiscard]] std::size_t descriptor_count() const { return count_; }
  // How many descriptors the chunk says it has; only the extended form says it.
  [[nodiscard]] std::size_t count_field() const {
    return form_ == HeaderForm::kExtended ? GetBigEndian<std::uint32_t>(payload_, 4) : count_;
  }
  [[nodiscard]] Descriptor descriptor(std::size_t index) const {
    const std::size_t at = BlockStatus::HeadBytes(form_) + index * BlockStatus::DescriptorBytes(form_);
    if (form_ == HeaderForm::kExtended) {
      return {.length = GetBigEndian<std::uint64_t>(payload_, at),
              .status = GetBigEndian<std::uint64_t>(payload_, at + 8)};
    }
    return {.length = GetBigEndian<std::uint32_t>(payload_, at),
            .status = GetBigEndian<std::uint32_t>(payload_, at + 4)};
  }
  [[nodiscard]] std::size_t descriptor_bytes() const { return payload_.size() - BlockStatus::HeadBytes(form_); }

 private:
  StatusChunk(HeaderForm form, ByteView payload)
      : form_(form),
        count_((payload.size() - BlockStatus::HeadBytes(form)) / BlockStatus::DescriptorBytes(form)),
        payload_(payload) {}
  HeaderForm form_;
  std::size_t count_;
  ByteView payload_;
};

// A descriptor in its reply.
struct Located {
  StatusChunk chunk;
  std::size_t index = 0;
  ByteRange range = {};  // In the export. Lengths come from a peer: an end may stand at 2^64-1, but never wraps.

  [[nodiscard]] Descriptor descriptor() const { return chunk.descriptor(index); }
  // "descriptor 2 of context 0".
  [[nodiscard]] std::string Text() const {
    return "descriptor " + std::to_string(index) + " of context " + std::to_string(chunk.context_id());
  }
};

// Calls visit(located) for each descriptor of `chunk`, laid end to end from `offset` on.
template <typename Visit>
void ForEachDescriptor(const StatusChunk& chunk, std::uint64_t offset, Visit visit) {
  for (std::size_t i = 0; i < chunk.descriptor_count(); ++i) {
    const std::uint64_t length = chunk.descriptor(i).length;
    const std::uint64_t room = std::numeric_limits<std::uint64_t>::max() - offset;
    const std::uint64_t end = offset + (length < room ? length : room);
    visit(Located{.chunk = chunk, .index = i, .range = {.begin = offset, .end = end}});
    offset = end;
  }
}

// The status chunks of the form that was agreed that can be taken apart. None when the request has length 0: what
// answers it is unspecified, so no rule and no claim is read into it.
inline auto StatusChunksOf(const Exchange& exchange) {
  return exchange.answer.chunks() |
         std::views::filter([is_specified = exchange.request.length > 0,
                             type = BlockStatus::ChunkTypeOf(exchange.negotiated->headers)](const ReplyChunk& chunk) {
           return is_specified && chunk.type == type && StatusChunk::From(chunk).has_value();
         }) |
         std::views::transform([](const ReplyChunk& chunk) { return *StatusChunk::From(chunk); });
}

bool IsBaseAllocation(const Exchange& exchange, std::uint32_t id);

// "" or " (and 3 more)": one wrong chunk is one line, however many descriptors are wrong.
inline std::string MoreText(std::size_t count) { return count > 0 ? " (and " + std::to_string(count) + " more)" : ""; }

// --- Claims. A reply with an error chunk claims nothing: a client may not build on what came before the error ---

// base-allocation.zero.reads-zero: does `truth` refute a ZERO claim of base:allocation? A byte is known to be possibly
// non-zero where truth's type has ZERO clear; pass a map whose data extents hold only non-zero bytes.
// Claims past the end of the export are not judged.
std::optional<Violation> FindRefutedClaim(const Exchange& exchange, const ExtentMap& truth);

// The ranges inside `within` that the reply claims to read as zeroes (base:allocation), merged and ascending.
std::vector<ByteRange> ZeroClaimsOf(const Exchange& exchange, ByteRange within);

// --- By value ---

// One BLOCK_STATUS and everything that answers it, for those who make answers or change them.
struct StatusExchange {
  ByteRange asked = {};  // May be empty, or reach outside the export.
  bool req_one = false;
  std::optional<std::vector<std::uint32_t>> context_ids = {};  // Those that a payload of the request names.
  Negotiated agreed = {.structured_replies = true, .transmission = true};
  std::vector<Chunk> chunks = {};                // In the order they came; the last one has DONE.
  std::optional<SimpleReply> simple_reply = {};  // Instead of chunks.

  // The same for the rules. It looks into this.
  [[nodiscard]] Exchange AsExchange() const;
};

}  // namespace nbdspec::engine
