// SPDX-License-Identifier: BSD-3-Clause
#include "engine/layers/window_filter.h"

#include <algorithm>

namespace nbdspec::engine {

std::uint64_t WindowFilter::size() const {
  const std::uint64_t rest = next().size() - std::min(next().size(), options_.offset);
  return std::min(rest, options_.length.value_or(rest));
}

// An empty window may begin past the end below; there it has only empty ranges.
ByteRange WindowFilter::Below(ByteRange range) const {
  const std::uint64_t begin = std::min(next().size(), options_.offset);
  return {.begin = begin + range.begin, .end = begin + range.end};
}

LayerResult WindowFilter::Extents(const ExtentsRequest& request, ExtentMap& extents) {
  const ByteRange below = Below(request.range);
  const auto answer = AskExtents(next(), {.range = below, .req_one = request.req_one});
  return answer ? CopyExtents(*answer, below, extents, request.range.begin) : std::unexpected(answer.error());
}

LayerResult WindowFilter::Read(std::uint64_t offset, std::span<std::uint8_t> into) {
  return next().Read(Below({.begin = offset, .end = offset}).begin, into);
}

LayerResult WindowFilter::Write(std::uint64_t offset, ByteView data) {
  return next().Write(Below({.begin = offset, .end = offset}).begin, data);
}

LayerResult WindowFilter::WriteZeroes(ByteRange range, bool may_punch_hole) {
  return next().WriteZeroes(Below(range), may_punch_hole);
}

LayerResult WindowFilter::Trim(ByteRange range) { return next().Trim(Below(range)); }

}  // namespace nbdspec::engine
