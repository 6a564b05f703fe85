// SPDX-License-Identifier: BSD-3-Clause
#include "engine/layers/truncate_filter.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/wire/protocol.h"

namespace nbdspec::engine {

TruncateFilter::TruncateFilter(std::unique_ptr<Layer> next_layer, const Options& options)
    : Filter(std::move(next_layer)), size_(options.size.value_or(next().size())) {
  NBDSPEC_CHECK(options.round_up_to > 0 && options.round_down_to > 0);
  NBDSPEC_CHECK(size_ <= kExportBytesMax);
  if (const std::uint64_t past = size_ % options.round_up_to; past != 0) {
    const std::uint64_t missing = options.round_up_to - past;
    NBDSPEC_CHECK(missing <= kExportBytesMax - size_);
    size_ += missing;
  }
  size_ -= size_ % options.round_down_to;
}

ByteRange TruncateFilter::Below(ByteRange range) const { return Intersect(range, {.begin = 0, .end = next().size()}); }

LayerResult TruncateFilter::Extents(const ExtentsRequest& request, ExtentMap& extents) {
  if (const ByteRange below = Below(request.range); !below.empty()) {
    const auto answer = AskExtents(next(), {.range = below, .req_one = request.req_one});
    if (!answer) {
      return std::unexpected(answer.error());
    }
    if (auto copied = CopyExtents(*answer, below, extents, below.begin); !copied) {
      return copied;
    }
  }
  const ByteRange grown = {.begin = next().size(), .end = std::max(next().size(), size())};
  return AddExtent(extents, grown, ExtentType::kHoleZero);
}

LayerResult TruncateFilter::Read(std::uint64_t offset, std::span<std::uint8_t> into) {
  const std::uint64_t below = Below({.begin = offset, .end = offset + into.size()}).length();
  std::ranges::fill(into.subspan(below), std::uint8_t{0});
  return below == 0 ? LayerResult{} : next().Read(offset, into.first(below));
}

LayerResult TruncateFilter::Write(std::uint64_t offset, ByteView data) {
  const std::uint64_t below = Below({.begin = offset, .end = offset + data.size()}).length();
  if (std::ranges::any_of(data.subspan(below), [](std::uint8_t byte) { return byte != 0; })) {
    return std::unexpected(NbdError::kEnospc);
  }
  return below == 0 ? LayerResult{} : next().Write(offset, data.first(below));
}

LayerResult TruncateFilter::WriteZeroes(ByteRange range, bool may_punch_hole) {
  const ByteRange below = Below(range);
  return below.empty() ? LayerResult{} : next().WriteZeroes(below, may_punch_hole);
}

LayerResult TruncateFilter::Trim(ByteRange range) {
  const ByteRange below = Below(range);
  return below.empty() ? LayerResult{} : next().Trim(below);
}

}  // namespace nbdspec::engine
