// SPDX-License-Identifier: BSD-3-Clause
#include "engine/layers/sparse_read_filter.h"

#include <algorithm>

namespace nbdspec::engine {

LayerResult SparseReadFilter::Read(std::uint64_t offset, std::span<std::uint8_t> into) {
  if (into.empty()) {
    return {};
  }
  const ByteRange range = {.begin = offset, .end = offset + into.size()};
  const auto extents = AskExtents(next(), {.range = range});
  if (!extents) {
    return std::unexpected(extents.error());
  }
  LayerResult read;
  extents->ForEach(range, [&](Extent extent) {
    const auto here = into.subspan(extent.range.begin - offset, extent.range.length());
    if (IsZero(extent.type)) {
      std::ranges::fill(here, std::uint8_t{0});
    } else {
      read = next().Read(extent.range.begin, here);
    }
    return read.has_value();
  });
  return read;
}

}  // namespace nbdspec::engine
