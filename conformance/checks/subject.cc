// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/checks/subject.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/base/quoted.h"
#include "engine/exchange/status.h"

namespace nbdspec::conformance {

using namespace engine;

namespace {

constexpr std::size_t kStretchesMax = 100;  // Of one bar: who draws more sees no more.

std::string StatusText(bool is_base_allocation, std::uint64_t status) {
  constexpr std::string_view kWords[] = {"data", "hole", "zero", "hole, zero"};
  return is_base_allocation && status < std::size(kWords) ? std::string(kWords[status])
                                                          : fmt::format("status {:#x}", status);
}

std::string NameOf(const Exchange& exchange, std::uint32_t context_id) {
  const auto& contexts = exchange.negotiated->contexts;
  const auto found = std::ranges::find(contexts, context_id, &MetaContext::id);
  return found == contexts.end() ? fmt::format("context {}", context_id) : Quoted(found->name, 40);
}

void Add(reports::Bar& bar, ByteRange range, std::string said) {
  if (!range.empty() && bar.stretches.size() < kStretchesMax) {
    bar.stretches.push_back({.begin = range.begin, .end = range.end, .said = std::move(said)});
  }
}

std::uint64_t EndOf(const reports::Bar& bar) { return bar.stretches.empty() ? 0 : bar.stretches.back().end; }

std::vector<reports::Bar> BarsOf(const Exchange& exchange) {
  std::vector<reports::Bar> bars(1, {.who = "asked", .stretches = {}});
  Add(bars.front(), exchange.request.range(), "");
  for (const StatusChunk chunk : StatusChunksOf(exchange)) {
    reports::Bar& bar = bars.emplace_back();
    bar.who = NameOf(exchange, chunk.context_id());
    const bool is_base = IsBaseAllocation(exchange, chunk.context_id());
    ForEachDescriptor(chunk, exchange.request.offset, [&](const Located& located) {
      Add(bar, located.range, StatusText(is_base, located.descriptor().status));
    });
  }
  reports::Bar content{.who = "answered", .stretches = {}};
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
  if (std::ranges::any_of(bars, [size](const reports::Bar& bar) { return EndOf(bar) > size; })) {
    Add(bars.emplace_back(), {.begin = 0, .end = size}, "");
    bars.back().who = "export";
  }
  return bars;
}

}  // namespace

Subject SubjectOf(const Request& request) {
  return {.cookie = request.cookie, .message = Describe(ClientMessage(request))};
}

Subject SubjectOf(const Option& option) { return {.message = Describe(ClientMessage(option))}; }

Subject SubjectOf(const ClientFlags& flags) { return {.message = Describe(ClientMessage(flags))}; }

Subject SubjectOf(const OptionReply& reply) { return {.message = Describe(ServerMessage(reply))}; }

Subject SubjectOf(const ReceiveError& ended) { return {.message = ended.text}; }

Subject SubjectOf(const ServerMessage& message) { return {.message = Describe(message)}; }

Subject SubjectOf(const Exchange& exchange) {
  return {.cookie = exchange.request.cookie, .message = Describe(exchange.request), .bars = BarsOf(exchange)};
}

Subject SubjectOf(const Exchange& exchange, const Ruling& ruling) {
  Subject subject = SubjectOf(exchange);
  subject.chunk = ruling.chunk;
  if (ruling.chunk < 0 || ruling.descriptor < 0) {
    return subject;
  }
  // The descriptors of a status chunk are one bar, of which those of length 0 cannot be drawn.
  const auto chunk = StatusChunk::From(exchange.answer.chunks()[static_cast<std::size_t>(ruling.chunk)]);
  if (!chunk) {
    return subject;
  }
  ForEachDescriptor(*chunk, exchange.request.offset, [&](const Located& located) {
    if (located.index != static_cast<std::size_t>(ruling.descriptor)) {
      return;
    }
    const std::string who = NameOf(exchange, chunk->context_id());
    for (reports::Bar& bar : subject.bars) {
      for (reports::Stretch& stretch : bar.stretches) {
        stretch.is_judged = bar.who == who && stretch.begin == located.range.begin && stretch.end == located.range.end;
      }
    }
  });
  return subject;
}

Subject WithTruth(Subject subject, ByteRange claimed, std::uint64_t not_zero) {
  reports::Bar truth{.who = "read", .stretches = {}};
  Add(truth, {.begin = claimed.begin, .end = not_zero}, "zeroes");
  Add(truth, {.begin = not_zero, .end = not_zero + 1}, "not zero");
  truth.stretches.back().is_judged = true;
  subject.bars.push_back(std::move(truth));
  return subject;
}

}  // namespace nbdspec::conformance
