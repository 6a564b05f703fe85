// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/oracles/watched_layer.h"

#include <utility>
#include <vector>

#include "engine/script/script.h"
#include "engine/wire/protocol.h"

namespace nbdspec::fuzz {

using engine::ByteRange;
using engine::Extent;
using engine::ExtentType;
using engine::LayerResult;

LayerResult WatchedLayer::Breach(const std::string& what) {
  if (notes_.breach.empty()) {
    notes_.breach = what + " of " + Print(spec_);
  }
  return std::unexpected(engine::NbdError::kEio);
}

LayerResult WatchedLayer::Fault() {
  if (spec_.kind != LayerKind::kDisk || notes_.calls_to_fault == 0) {
    return {};
  }
  --notes_.calls_to_fault;
  if (notes_.calls_to_fault > 0) {
    return {};
  }
  notes_.is_fault_raised = true;
  return std::unexpected(notes_.fault_error);
}

LayerResult WatchedLayer::Enter(const char* call, ByteRange range) {
  const std::string what =
      std::string(call) + " [" + std::to_string(range.begin) + ", " + std::to_string(range.end) + ")";
  if (range.begin > range.end || range.end > size()) {
    return Breach(what + " past the end");
  }
  const auto is_on_grid = [this](std::uint64_t at) { return at % rules_.block_bytes == 0 || at == size(); };
  if (!is_on_grid(range.begin) || !is_on_grid(range.end)) {
    return Breach(what + " cuts a block of " + std::to_string(rules_.block_bytes));
  }
  return Fault();
}

LayerResult WatchedLayer::EnterChange(const char* call, ByteRange range) {
  return CanWrite() ? Enter(call, range) : Breach(std::string(call) + " without can_write");
}

// The truth below, without what Extents adds to it.
bool WatchedLayer::HasZeroes(ByteRange range) {
  if (range.empty()) {
    return false;
  }
  const std::uint64_t calls_to_fault = std::exchange(notes_.calls_to_fault, 0);
  const auto extents = AskExtents(next(), {.range = range});
  notes_.calls_to_fault = calls_to_fault;
  return extents && !extents->ForEach(range, [](Extent extent) { return !engine::IsZero(extent.type); });
}

LayerResult WatchedLayer::Extents(const engine::ExtentsRequest& request, engine::ExtentMap& extents) {
  const ByteRange asked = request.range;
  if (!CanExtents()) {
    return Breach("extents without can_extents");
  }
  if (asked.empty()) {
    return Breach("extents of nothing");
  }
  if (extents.size() != size() || extents.extent_count() != 1 || extents.Lookup(0).type != ExtentType::kData) {
    return Breach("extents with a map that is not fresh");
  }
  if (auto entered = Enter("extents", asked); !entered) {
    return entered;
  }
  auto answered = next().Extents(request, extents);
  if (answered && request.req_one && spec_.takes_req_one) {
    const Extent first = extents.Lookup(asked.begin);
    answered = AddExtent(extents, {.begin = first.range.end, .end = size()}, ExtentType::kData);
  }
  if (answered && spec_.lies_outside) {
    answered = AddExtent(extents, {.begin = 0, .end = asked.begin}, ExtentType::kHoleZero);
    answered = answered ? AddExtent(extents, {.begin = asked.end, .end = size()}, ExtentType::kHoleZero) : answered;
  }
  return answered;
}

LayerResult WatchedLayer::Read(std::uint64_t offset, std::span<std::uint8_t> into) {
  const ByteRange range = {.begin = offset, .end = offset + into.size()};
  if (auto entered = Enter("read", range); !entered) {
    return entered;
  }
  if (rules_.zeroes_are_not_read && HasZeroes(range)) {
    return Breach("read of zeroes [" + std::to_string(range.begin) + ", " + std::to_string(range.end) + ")");
  }
  return next().Read(offset, into);
}

LayerResult WatchedLayer::Write(std::uint64_t offset, engine::ByteView data) {
  const auto entered = EnterChange("write", {.begin = offset, .end = offset + data.size()});
  return entered ? next().Write(offset, data) : entered;
}

LayerResult WatchedLayer::WriteZeroes(ByteRange range, bool may_punch_hole) {
  const auto entered = EnterChange("write_zeroes", range);
  return entered ? next().WriteZeroes(range, may_punch_hole) : entered;
}

LayerResult WatchedLayer::Trim(ByteRange range) {
  const auto entered = EnterChange("trim", range);
  return entered ? next().Trim(range) : entered;
}

LayerResult WatchedLayer::Flush() {
  notes_.flush_count += spec_.kind == LayerKind::kDisk ? 1U : 0U;
  const auto entered = Fault();
  return entered ? next().Flush() : entered;
}

std::unique_ptr<engine::Layer> MakeWatchedStack(const LayerSpec& spec, const MakeLayer& make, WatchNotes& notes,
                                                WatchRules rules) {
  const WatchRules below_rules = {
      .block_bytes = spec.kind == LayerKind::kBlockSize ? spec.block_bytes : 1,
      .zeroes_are_not_read = spec.kind == LayerKind::kSparseRead,
  };
  std::vector<std::unique_ptr<engine::Layer>> below;
  for (const LayerSpec& each : spec.below) {
    below.push_back(MakeWatchedStack(each, make, notes, below_rules));
  }
  return std::make_unique<WatchedLayer>(make(spec, std::move(below)), spec, rules, notes);
}

}  // namespace nbdspec::fuzz
