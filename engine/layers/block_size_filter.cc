// SPDX-License-Identifier: BSD-3-Clause
#include "engine/layers/block_size_filter.h"

#include <algorithm>
#include <limits>

#include "engine/base/check.h"

namespace nbdspec::engine {
namespace {

ExtentType Both(ExtentType a, ExtentType b) {
  return static_cast<ExtentType>(static_cast<std::uint8_t>(a) & static_cast<std::uint8_t>(b));
}

}  // namespace

BlockSizeFilter::BlockSizeFilter(std::unique_ptr<Layer> next, std::uint64_t block_bytes)
    : Filter(std::move(next)), block_bytes_(block_bytes) {
  NBDSPEC_CHECK(block_bytes_ > 0 && block_bytes_ <= std::numeric_limits<std::uint32_t>::max());
}

std::uint64_t BlockSizeFilter::RoundUp(std::uint64_t offset) const {
  return std::min(size(), RoundDown(offset + block_bytes_ - 1));
}

ByteRange BlockSizeFilter::Widen(ByteRange range) const {
  return {.begin = RoundDown(range.begin), .end = RoundUp(range.end)};
}

ByteRange BlockSizeFilter::Narrow(ByteRange range) const {
  const ByteRange whole = {.begin = RoundUp(range.begin),
                           .end = range.end == size() ? range.end : RoundDown(range.end)};
  return whole.begin < whole.end ? whole : ByteRange{.begin = range.begin, .end = range.begin};
}

//   below   |  hole,zero   |  zero   |  hole,zero  |
//   blocks  |--------|--------|--------|--------|--|
//   here    | hole,  |      zero       | hole,     |
//           | zero   |                 | zero      |
LayerResult BlockSizeFilter::Extents(const ExtentsRequest& request, ExtentMap& extents) {
  const ByteRange widened = Widen(request.range);
  const auto answer = AskExtents(next(), {.range = widened});
  if (!answer) {
    return std::unexpected(answer.error());
  }
  ExtentType shared = ExtentType::kData;  // Of the block that the last extent ended in, so far.
  LayerResult added;
  const auto add = [&](ByteRange range, ExtentType type) {
    if (added && !range.empty()) {
      added = AddExtent(extents, range, type);
    }
  };
  answer->ForEach(widened, [&](Extent extent) {
    const auto [begin, end] = extent.range;
    if (begin % block_bytes_ != 0) {
      shared = Both(shared, extent.type);
      add(Widen({.begin = begin, .end = begin + 1}), shared);
    }
    add(Narrow(extent.range), extent.type);
    if (end != size() && end % block_bytes_ != 0 && RoundDown(end) >= begin) {
      shared = extent.type;
      add(Widen({.begin = end - 1, .end = end}), shared);
    }
    return added.has_value();
  });
  return added;
}

LayerResult BlockSizeFilter::Read(std::uint64_t offset, std::span<std::uint8_t> into) {
  if (into.empty()) {
    return {};
  }
  const ByteRange range = {.begin = offset, .end = offset + into.size()};
  const ByteRange widened = Widen(range);
  if (widened == range) {
    return next().Read(offset, into);
  }
  Bytes blocks(widened.length());
  const auto read = next().Read(widened.begin, blocks);
  std::ranges::copy(ByteView(blocks).subspan(offset - widened.begin, into.size()), into.begin());
  return read;
}

LayerResult BlockSizeFilter::Write(std::uint64_t offset, ByteView data) {
  if (data.empty()) {
    return {};
  }
  const ByteRange range = {.begin = offset, .end = offset + data.size()};
  const ByteRange widened = Widen(range);
  if (widened == range) {
    return next().Write(offset, data);
  }
  Bytes blocks(widened.length());
  if (auto read = next().Read(widened.begin, blocks); !read) {
    return read;
  }
  std::ranges::copy(data, blocks.begin() + static_cast<std::ptrdiff_t>(offset - widened.begin));
  return next().Write(widened.begin, blocks);
}

LayerResult BlockSizeFilter::WriteZeroes(ByteRange range, bool may_punch_hole) {
  const ByteRange whole = Narrow(range);
  auto done = Write(range.begin, Bytes(whole.begin - range.begin));
  if (done && !whole.empty()) {
    done = next().WriteZeroes(whole, may_punch_hole);
  }
  return done ? Write(whole.end, Bytes(range.end - whole.end)) : done;
}

LayerResult BlockSizeFilter::Trim(ByteRange range) {
  const ByteRange whole = Narrow(range);
  return whole.empty() ? LayerResult{} : next().Trim(whole);
}

}  // namespace nbdspec::engine
