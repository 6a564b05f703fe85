// SPDX-License-Identifier: BSD-3-Clause
#include "engine/script/script.h"

#include <algorithm>

namespace nbdspec::engine {
using Range = ByteRange::OffsetAndLength;

void FillWithPattern(std::uint8_t pattern, std::uint64_t offset, std::span<std::uint8_t> out) {
  constexpr std::size_t kPeriod = 251;  // PatternByteAt's. What repeats is copied, for fuzzers write much.
  for (std::size_t i = 0; i < std::min(out.size(), kPeriod); ++i) {
    out[i] = PatternByteAt(pattern, offset + i);
  }
  for (std::size_t filled = kPeriod; filled < out.size(); filled *= 2) {
    std::copy_n(out.begin(), std::min(filled, out.size() - filled), out.begin() + static_cast<std::ptrdiff_t>(filled));
  }
}

std::optional<Range> RangeOf(const Step& step) {
  return std::visit(
      [](const auto& kind) -> std::optional<Range> {
        if constexpr (requires { kind.bounds; }) {
          return Range{kind.bounds.begin, kind.bounds.length()};
        } else if constexpr (requires { kind.length; }) {
          return Range{kind.offset, kind.length};
        } else if constexpr (requires { kind.offset; }) {
          return Range{kind.offset, 0};
        } else {
          return std::nullopt;
        }
      },
      step);
}

void SetRange(Step& step, Range range) {
  std::visit(
      [range](auto& kind) {
        if constexpr (requires { kind.bounds; }) {
          kind.bounds = {.begin = range.offset,
                         .end = range.offset + std::min(range.length, UINT64_MAX - range.offset)};
        } else if constexpr (requires { kind.offset; }) {
          kind.offset = range.offset;
        }
        if constexpr (requires { kind.length; }) {
          kind.length = range.length;
        }
      },
      step);
}

void ShiftEdges(Script& script, std::uint64_t from, __int128 by) {
  const auto shifted = [from, by](std::uint64_t edge) {
    return edge < from ? edge : static_cast<std::uint64_t>(std::clamp<__int128>(edge + by, 0, UINT64_MAX));
  };
  script.size = std::min(shifted(script.size), kExportBytesMax);
  for (Step& step : script.steps) {
    const auto range = RangeOf(step);
    // A range that wraps has no end to move.
    if (range && range->length <= UINT64_MAX - range->offset) {
      const std::uint64_t begin = shifted(range->offset);
      SetRange(step, {.offset = begin, .length = std::max(begin, shifted(range->offset + range->length)) - begin});
    }
  }
}

}  // namespace nbdspec::engine
