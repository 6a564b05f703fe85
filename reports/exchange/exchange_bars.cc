// SPDX-License-Identifier: BSD-3-Clause
#include "reports/exchange/exchange_bars.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include "engine/base/quoted.h"
#include "engine/exchange/status.h"

namespace nbdspec::reports {

using namespace engine;

namespace {

constexpr std::size_t kStretchesMax = 100;  // Of one bar: who draws more sees no more.

std::string NameOf(const Exchange& exchange, std::uint32_t context_id) {
  const auto& contexts = exchange.negotiated->contexts;
  const auto found = std::ranges::find(contexts, context_id, &MetaContext::id);
  return found == contexts.end() ? fmt::format("context {}", context_id) : Quoted(found->name, 40);
}

void Add(Bar& bar, ByteRange range, std::string said) {
  if (!range.empty() && bar.stretches.size() < kStretchesMax) {
    bar.stretches.push_back({.begin = range.begin, .end = range.end, .said = std::move(said)});
  }
}

std::uint64_t EndOf(const Bar& bar) { return bar.stretches.empty() ? 0 : bar.stretches.back().end; }

}  // namespace

std::string AllocationWords(std::uint64_t status) {
  constexpr std::string_view kWords[] = {"data", "hole", "zero", "hole, zero"};
  return status < std::size(kWords) ? std::string(kWords[status]) : fmt::format("status {:#x}", status);
}

std::vector<Bar> BarsOf(const Exchange& exchange) {
  std::vector<Bar> bars(1, {.who = "asked", .stretches = {}});
  Add(bars.front(), exchange.request.range(), "");
  for (const StatusChunk chunk : StatusChunksOf(exchange)) {
    Bar& bar = bars.emplace_back();
    bar.who = NameOf(exchange, chunk.context_id());
    const bool is_base = IsBaseAllocation(exchange, chunk.context_id());
    ForEachDescriptor(chunk, exchange.request.offset, [&](const Located& located) {
      const std::uint64_t status = located.descriptor().status;
      Add(bar, located.range, is_base ? AllocationWords(status) : fmt::format("status {:#x}", status));
    });
  }
  Bar content{.who = "answered", .stretches = {}};
  for (const ReplyChunk& chunk : exchange.answer.chunks()) {
    if (const auto range = ByteRange::From(chunk.content.value_or(ByteRange::OffsetAndLength{}))) {
      Add(content, *range, chunk.type == ChunkType::kOffsetHole ? "hole" : "data");
    }
  }
  if (!content.stretches.empty()) {
    bars.push_back(std::move(content));
  }
  if (bars.size() == 1 || bars.front().stretches.empty()) {
    return {};
  }
  const std::uint64_t size = exchange.negotiated->info.size;
  if (std::ranges::any_of(bars, [size](const Bar& bar) { return EndOf(bar) > size; })) {
    Add(bars.emplace_back(), {.begin = 0, .end = size}, "");
    bars.back().who = "export";
  }
  return bars;
}

void MarkJudged(const Exchange& exchange, const AnswerPlace& judged, std::vector<Bar>& bars) {
  if (judged.chunk < 0 || judged.descriptor < 0) {
    return;
  }
  // The descriptors of a status chunk are one bar, of which those of length 0 cannot be drawn.
  const auto chunk = StatusChunk::From(exchange.answer.chunks()[static_cast<std::size_t>(judged.chunk)]);
  if (!chunk) {
    return;
  }
  ForEachDescriptor(*chunk, exchange.request.offset, [&](const Located& located) {
    if (located.index != static_cast<std::size_t>(judged.descriptor)) {
      return;
    }
    const std::string who = NameOf(exchange, chunk->context_id());
    for (Bar& bar : bars) {
      for (Stretch& stretch : bar.stretches) {
        stretch.is_judged = bar.who == who && stretch.begin == located.range.begin && stretch.end == located.range.end;
      }
    }
  });
}

Bar NotZeroBar(std::string who, ByteRange claimed, std::uint64_t not_zero) {
  Bar bar{.who = std::move(who), .stretches = {}};
  Add(bar, {.begin = claimed.begin, .end = not_zero}, "zeroes");
  Add(bar, {.begin = not_zero, .end = not_zero + 1}, "not zero");
  bar.stretches.back().is_judged = true;
  return bar;
}

}  // namespace nbdspec::reports
