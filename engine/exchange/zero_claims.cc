// SPDX-License-Identifier: BSD-3-Clause
#include "engine/exchange/zero_claims.h"

#include <algorithm>

#include "engine/exchange/rule_facts.h"
#include "engine/exchange/status_chunk.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine {
namespace {

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

std::vector<StatusChunk> ClaimingChunksOf(const Exchange& exchange) {
  if (exchange.answer.has_failed()) {
    return {};
  }
  std::vector<StatusChunk> chunks = StatusChunksOf(exchange);
  std::erase_if(chunks, [&](const StatusChunk& chunk) { return !IsBaseAllocation(exchange, chunk.context_id()); });
  return chunks;
}

}  // namespace

std::optional<Violation> FindRefutedClaim(const Exchange& exchange, const ExtentMap& truth) {
  const std::uint64_t limit = std::min(exchange.negotiated->info.size, truth.size());
  for (const StatusChunk& chunk : ClaimingChunksOf(exchange)) {
    std::string first;
    std::size_t refuted_count = 0;
    ForEachZeroClaim(chunk, exchange.request.range(), limit, [&](std::size_t index, ByteRange claimed) {
      truth.ForEach(claimed, [&](Extent extent) {
        if (IsZero(extent.type)) {
          return true;
        }
        if (++refuted_count == 1) {
          first = Text(DescriptorText(index, chunk.context_id()), " claims zeroes in ", RangeText(claimed), ", but ",
                       RangeText(extent.range), " may hold other bytes");
        }
        return false;
      });
    });
    if (refuted_count > 0) {
      return Violation{.requirement = spec::kBaseAllocationZeroReadsZero,
                       .expected = "ZERO only where every byte reads as zero",
                       .saw = first + MoreText(refuted_count - 1)};
    }
  }
  return {};
}

std::vector<ByteRange> ZeroClaimsOf(const Exchange& exchange, ByteRange within) {
  std::vector<ByteRange> claimed;
  for (const StatusChunk& chunk : ClaimingChunksOf(exchange)) {
    ForEachZeroClaim(chunk, exchange.request.range(), within.end, [&](std::size_t, ByteRange range) {
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
