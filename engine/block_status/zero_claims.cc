// SPDX-License-Identifier: BSD-3-Clause
// The claims of base:allocation that bytes can refute: ZERO. Part of judge.h.
//
// A reply with an error chunk claims nothing: a client may not build on what came before the error.

#include <algorithm>

#include "engine/block_status/judge.h"
#include "engine/block_status/status_chunk.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine {
namespace {

constexpr std::string_view kReadsZero = spec::kBaseAllocationZeroReadsZero;

// Calls visit(index, range) for each ZERO claim of `chunk`, a part of a reply to `asked`, clipped to `limit`.
template <typename Visit>
void ForEachZeroClaim(const StatusChunk& chunk, ByteRange asked, std::uint64_t limit, Visit visit) {
  std::uint64_t begin = asked.begin;
  for (std::size_t i = 0; i < chunk.descriptor_count() && begin < limit; ++i) {
    const Descriptor descriptor = chunk.descriptor(i);
    const std::uint64_t end = std::min(SaturatingAdd(begin, descriptor.length), limit);
    if ((descriptor.status & AllocationFlag::kZero) != 0 && begin < end) {
      visit(i, ByteRange{.begin = begin, .end = end});
    }
    begin = end;
  }
}

std::vector<StatusChunk> ClaimingChunksOf(const StatusExchange& exchange) {
  if (IsFailure(exchange)) {
    return {};
  }
  std::vector<StatusChunk> chunks = StatusChunksOf(exchange);
  std::erase_if(chunks, [&](const StatusChunk& chunk) { return !IsBaseAllocation(exchange, chunk.context_id()); });
  return chunks;
}

}  // namespace

std::vector<Breach> JudgeZeroClaims(const StatusExchange& exchange, const ExtentMap& truth) {
  std::vector<Breach> breaches;
  const std::uint64_t limit = std::min(exchange.export_bytes, truth.size());
  for (const StatusChunk& chunk : ClaimingChunksOf(exchange)) {
    std::string first;
    std::size_t refuted_count = 0;
    ForEachZeroClaim(chunk, exchange.asked, limit, [&](std::size_t index, ByteRange claimed) {
      truth.ForEach(claimed, [&](Extent extent) {
        if (IsZero(extent.type)) {
          return true;
        }
        if (++refuted_count == 1) {
          first = DescriptorText(index, chunk.context_id()) + " claims zeroes in " + RangeText(claimed) + ", but " +
                  RangeText(extent.range) + " may hold other bytes";
        }
        return false;
      });
    });
    if (refuted_count > 0) {
      breaches.push_back({.requirement = kReadsZero, .saw = first + MoreText(refuted_count - 1)});
    }
  }
  return breaches;
}

std::vector<ByteRange> ClaimedZeroes(const StatusExchange& exchange, ByteRange within) {
  std::vector<ByteRange> claimed;
  for (const StatusChunk& chunk : ClaimingChunksOf(exchange)) {
    ForEachZeroClaim(chunk, exchange.asked, within.end, [&](std::size_t, ByteRange range) {
      const ByteRange inside = Intersect(range, within);
      if (!inside.empty()) {
        claimed.push_back(inside);
      }
    });
  }
  std::ranges::sort(claimed, {}, &ByteRange::begin);
  std::vector<ByteRange> merged;
  for (const ByteRange range : claimed) {
    if (!merged.empty() && range.begin <= merged.back().end) {
      merged.back().end = std::max(merged.back().end, range.end);
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

}  // namespace nbdspec::engine
