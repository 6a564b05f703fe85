// SPDX-License-Identifier: BSD-3-Clause
#include "engine/layers/layer.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/or_return.h"
#include "engine/wire/protocol.h"

namespace nbdspec::engine {

LayerResult Layer::Extents(const ExtentsRequest&, ExtentMap&) {
  NBDSPEC_CHECK(false && "a layer that does not offer extents is not asked");
  return {};
}

LayerResult Layer::Write(std::uint64_t, ByteView) { return std::unexpected(NbdError::kEperm); }

LayerResult Layer::WriteZeroes(ByteRange range, bool) {
  constexpr std::uint64_t kPieceBytesMax = 1 << 16;  // A range may be as long as the export.
  const Bytes zeroes(std::min(range.length(), kPieceBytesMax));
  while (!range.empty()) {
    const std::uint64_t length = std::min<std::uint64_t>(range.length(), zeroes.size());
    NBDSPEC_RETURN_IF_ERROR(Write(range.begin, ByteView(zeroes).first(length)));
    range.begin += length;
  }
  return {};
}

LayerResult Layer::Trim(ByteRange) { return {}; }

Filter::Filter(std::unique_ptr<Layer> next) : next_(std::move(next)) { NBDSPEC_CHECK(next_ != nullptr); }

std::expected<ExtentMap, std::uint32_t> AskExtents(Layer& layer, const ExtentsRequest& request) {
  ExtentMap extents(layer.size(), ExtentType::kData);
  NBDSPEC_CHECK(!request.range.empty() && extents.range().Contains(request.range));
  if (layer.CanExtents()) {
    NBDSPEC_RETURN_IF_ERROR(layer.Extents(request, extents));
  }
  return extents;
}

LayerResult AddExtent(ExtentMap& extents, ByteRange range, ExtentType type) {
  const auto added = extents.Add(range.begin, range.length(), type);
  if (added) {
    return {};
  }
  NBDSPEC_CHECK(added.error() == ErrorCode::kOutOfMemory);
  return std::unexpected(NbdError::kEnomem);
}

LayerResult CopyExtents(const ExtentMap& from, ByteRange range, ExtentMap& to, std::uint64_t offset) {
  LayerResult added;
  from.ForEach(range, [&](Extent extent) {
    const std::uint64_t begin = offset + (extent.range.begin - range.begin);
    added = AddExtent(to, {.begin = begin, .end = begin + extent.range.length()}, extent.type);
    return added.has_value();
  });
  return added;
}

}  // namespace nbdspec::engine
