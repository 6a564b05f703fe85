// SPDX-License-Identifier: BSD-3-Clause
#include "engine/script/step_range.h"

#include <algorithm>
#include <limits>
#include <variant>

namespace nbdspec::engine {
namespace {

using Range = ByteRange::OffsetAndLength;

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();

struct RangeGetter {
  std::optional<Range> operator()(const AddStep& step) const { return Range{step.offset, step.length}; }
  std::optional<Range> operator()(const ClearStep&) const { return std::nullopt; }
  std::optional<Range> operator()(const ForEachStep& step) const {
    return Range{step.bounds.begin, step.bounds.length()};
  }
  std::optional<Range> operator()(const LookupStep& step) const { return Range{step.offset, 0}; }
  std::optional<Range> operator()(const RequestStep& step) const { return Range{step.offset, step.length}; }
  std::optional<Range> operator()(const WaitStep&) const { return std::nullopt; }
  std::optional<Range> operator()(const OptionStep&) const { return std::nullopt; }
};

struct RangeSetter {
  Range range;

  void operator()(AddStep& step) const {
    step.offset = range.offset;
    step.length = range.length;
  }
  void operator()(ClearStep&) const {}
  void operator()(ForEachStep& step) const {
    step.bounds = {.begin = range.offset, .end = range.offset + std::min(range.length, kMax - range.offset)};
  }
  void operator()(LookupStep& step) const { step.offset = range.offset; }
  void operator()(RequestStep& step) const {
    step.offset = range.offset;
    step.length =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(range.length, std::numeric_limits<std::uint32_t>::max()));
  }
  void operator()(WaitStep&) const {}
  void operator()(OptionStep&) const {}
};

}  // namespace

std::optional<Range> RangeOf(const Step& step) { return std::visit(RangeGetter{}, step); }

void SetRange(Step& step, Range range) { std::visit(RangeSetter{range}, step); }

void ShiftEdges(Script& script, std::uint64_t from, __int128 by) {
  const auto shifted = [from, by](std::uint64_t edge) {
    return edge < from ? edge : static_cast<std::uint64_t>(std::clamp<__int128>(edge + by, 0, kMax));
  };
  script.size = std::min(shifted(script.size), kExportBytesMax);
  for (Step& step : script.steps) {
    const auto range = RangeOf(step);
    // A range that wraps has no end to move.
    if (range && range->length <= kMax - range->offset) {
      const std::uint64_t begin = shifted(range->offset);
      SetRange(step, {.offset = begin, .length = std::max(begin, shifted(range->offset + range->length)) - begin});
    }
  }
}

}  // namespace nbdspec::engine
