// SPDX-License-Identifier: BSD-3-Clause
#include "engine/exchange/status.h"

#include <algorithm>

#include "engine/exchange/rule_facts.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine {
namespace {

// Calls visit(located, claimed) for each ZERO claim of base:allocation, clipped to `limit`.
template <typename Visit>
void ForEachZeroClaim(const Exchange& exchange, std::uint64_t limit, Visit visit) {
  if (exchange.answer.has_failed()) {
    return;
  }
  for (const StatusChunk chunk : StatusChunksOf(exchange)) {
    if (!IsBaseAllocation(exchange, chunk.context_id())) {
      continue;
    }
    ForEachDescriptor(chunk, exchange.request.offset, [&](const Located& located) {
      const ByteRange claimed = {.begin = located.range.begin, .end = std::min(located.range.end, limit)};
      if ((located.descriptor().status & AllocationFlag::kZero) != 0 && claimed.begin < claimed.end) {
        visit(located, claimed);
      }
    });
  }
}

}  // namespace

bool IsBaseAllocation(const Exchange& exchange, std::uint32_t id) {
  return std::ranges::any_of(exchange.negotiated->contexts, [&](const MetaContext& context) {
    return context.id == id && context.name == kBaseAllocation;
  });
}

std::optional<Violation> FindRefutedClaim(const Exchange& exchange, const ExtentMap& truth) {
  std::string first;
  std::size_t refuted_count = 0;
  ForEachZeroClaim(exchange, std::min(exchange.negotiated->info.size, truth.size()),
                   [&](const Located& located, ByteRange claimed) {
                     truth.ForEach(claimed, [&](Extent extent) {
                       if (IsZero(extent.type)) {
                         return true;
                       }
                       if (++refuted_count == 1) {
                         first = Text(located.Text(), " claims zeroes in ", RangeText(claimed), ", but ",
                                      RangeText(extent.range), " may hold other bytes");
                       }
                       return false;
                     });
                   });
  if (refuted_count == 0) {
    return {};
  }
  return Violation{.requirement = spec::kBaseAllocationZeroReadsZero,
                   .expected = "ZERO only where every byte reads as zero",
                   .saw = first + MoreText(refuted_count - 1)};
}

std::vector<ByteRange> ZeroClaimsOf(const Exchange& exchange, ByteRange within) {
  std::vector<ByteRange> claimed;
  ForEachZeroClaim(exchange, within.end, [&](const Located&, ByteRange range) {
    const ByteRange inside = Intersect(range, within);
    if (!inside.empty()) {
      claimed.push_back(inside);
    }
  });
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

Exchange StatusExchange::AsExchange() const {
  Exchange exchange;
  const std::uint16_t payload_len = context_ids ? CommandFlag::kPayloadLen : std::uint16_t{0};
  exchange.Start({.flags = static_cast<std::uint16_t>(payload_len | (req_one ? CommandFlag::kReqOne : 0)),
                  .type = CommandType::kBlockStatus,
                  .offset = asked.begin,
                  .length = asked.length(),
                  .context_ids = context_ids},
                 agreed);
  for (const Chunk& chunk : chunks) {
    exchange.answer.Add(chunk);
  }
  if (simple_reply) {
    exchange.answer.Add(*simple_reply);
  }
  if (!exchange.answer.is_empty()) {
    exchange.answer.EndWith(Answer::End::kComplete);
  }
  return exchange;
}

}  // namespace nbdspec::engine
