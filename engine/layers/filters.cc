// SPDX-License-Identifier: BSD-3-Clause
#include "engine/layers/filters.h"

#include <algorithm>
#include <limits>

#include "engine/base/check.h"
#include "engine/base/or_return.h"
#include "engine/wire/protocol.h"

namespace nbdspec::engine {

BlockGrid::BlockGrid(std::uint64_t block_bytes, std::uint64_t size) : block_bytes_(block_bytes), size_(size) {
  NBDSPEC_CHECK(block_bytes_ > 0 && block_bytes_ <= std::numeric_limits<std::uint32_t>::max());
}

std::uint64_t BlockGrid::RoundUp(std::uint64_t offset) const {
  return std::min(size_, RoundDown(offset + block_bytes_ - 1));
}

ByteRange BlockGrid::Widen(ByteRange range) const {
  return {.begin = RoundDown(range.begin), .end = RoundUp(range.end)};
}

ByteRange BlockGrid::Narrow(ByteRange range) const {
  const ByteRange whole = {.begin = RoundUp(range.begin), .end = range.end == size_ ? range.end : RoundDown(range.end)};
  return whole.begin < whole.end ? whole : ByteRange{.begin = range.begin, .end = range.begin};
}

// --- BlockSizeFilter ---

namespace {

ExtentType Both(ExtentType a, ExtentType b) {
  return static_cast<ExtentType>(static_cast<std::uint8_t>(a) & static_cast<std::uint8_t>(b));
}

// The blocks that a write of `data` touches, with the rest of them as `layer` has it. Errors: the layer's.
std::expected<Bytes, std::uint32_t> WholeBlocks(Layer& layer, const BlockGrid& grid, std::uint64_t offset,
                                                ByteView data) {
  const ByteRange range = {.begin = offset, .end = offset + data.size()};
  const ByteRange widened = grid.Widen(range);
  Bytes blocks(widened.length());
  if (widened != range) {
    NBDSPEC_RETURN_IF_ERROR(layer.Read(widened.begin, blocks));
  }
  std::ranges::copy(data, blocks.begin() + static_cast<std::ptrdiff_t>(offset - widened.begin));
  return blocks;
}

// Reads as `extents` says: what is zero is not asked of `read`(offset, into).
template <typename Read>
LayerResult ReadAsExtents(const ExtentMap& extents, std::uint64_t offset, std::span<std::uint8_t> into,
                          const Read& read) {
  LayerResult done;
  extents.ForEach({.begin = offset, .end = offset + into.size()}, [&](Extent extent) {
    const auto here = into.subspan(extent.range.begin - offset, extent.range.length());
    if (IsZero(extent.type)) {
      std::ranges::fill(here, std::uint8_t{0});
    } else {
      done = read(extent.range.begin, here);
    }
    return done.has_value();
  });
  return done;
}

}  // namespace

BlockSizeFilter::BlockSizeFilter(std::unique_ptr<Layer> next_layer, std::uint64_t block_bytes)
    : Filter(std::move(next_layer)), grid_(block_bytes, size()) {}

//   below   |  hole,zero   |  zero   |  hole,zero  |
//   blocks  |--------|--------|--------|--------|--|
//   here    | hole,  |      zero       | hole,     |
//           | zero   |                 | zero      |
LayerResult BlockSizeFilter::Extents(const ExtentsRequest& request, ExtentMap& extents) {
  const ByteRange widened = grid_.Widen(request.range);
  NBDSPEC_ASSIGN_OR_RETURN(answer, AskExtents(next(), {.range = widened}));
  ExtentType shared = ExtentType::kData;  // Of the block that the last extent ended in, so far.
  LayerResult added;
  const auto add = [&](ByteRange range, ExtentType type) {
    if (added && !range.empty()) {
      added = AddExtent(extents, range, type);
    }
  };
  answer.ForEach(widened, [&](Extent extent) {
    const auto [begin, end] = extent.range;
    if (grid_.RoundDown(begin) != begin) {
      shared = Both(shared, extent.type);
      add(grid_.BlockAt(begin), shared);
    }
    add(grid_.Narrow(extent.range), extent.type);
    if (end != size() && grid_.RoundDown(end) != end && grid_.RoundDown(end) >= begin) {
      shared = extent.type;
      add(grid_.BlockAt(end - 1), shared);
    }
    return added.has_value();
  });
  return added;
}

LayerResult BlockSizeFilter::Read(std::uint64_t offset, std::span<std::uint8_t> into) {
  if (into.empty()) {
    return {};
  }
  const ByteRange widened = grid_.Widen({.begin = offset, .end = offset + into.size()});
  Bytes blocks(widened.length());
  const auto read = next().Read(widened.begin, blocks);
  std::ranges::copy(ByteView(blocks).subspan(offset - widened.begin, into.size()), into.begin());
  return read;
}

LayerResult BlockSizeFilter::Write(std::uint64_t offset, ByteView data) {
  if (data.empty()) {
    return {};
  }
  NBDSPEC_ASSIGN_OR_RETURN(blocks, WholeBlocks(next(), grid_, offset, data));
  return next().Write(grid_.RoundDown(offset), blocks);
}

LayerResult BlockSizeFilter::WriteZeroes(ByteRange range, bool may_punch_hole) {
  const ByteRange whole = grid_.Narrow(range);
  auto done = Write(range.begin, Bytes(whole.begin - range.begin));
  if (done && !whole.empty()) {
    done = next().WriteZeroes(whole, may_punch_hole);
  }
  return done ? Write(whole.end, Bytes(range.end - whole.end)) : done;
}

LayerResult BlockSizeFilter::Trim(ByteRange range) {
  const ByteRange whole = grid_.Narrow(range);
  return whole.empty() ? LayerResult{} : next().Trim(whole);
}

// --- CopyOnWriteFilter ---

CopyOnWriteFilter::CopyOnWriteFilter(std::unique_ptr<Layer> next_layer, std::uint64_t block_bytes)
    : Filter(std::move(next_layer)), grid_(block_bytes, size()), zeroed_(size(), ExtentType::kData) {}

// What is below, then what lies over it.
LayerResult CopyOnWriteFilter::Extents(const ExtentsRequest& request, ExtentMap& extents) {
  NBDSPEC_ASSIGN_OR_RETURN(answer, AskExtents(next(), request));
  LayerResult added = CopyExtents(answer, request.range, extents, request.range.begin);
  zeroed_.ForEach(request.range, [&](Extent extent) {
    if (added && extent.type != ExtentType::kData) {
      added = AddExtent(extents, extent.range, extent.type);
    }
    return added.has_value();
  });
  for (auto block = written_.lower_bound(grid_.RoundDown(request.range.begin));
       added && block != written_.end() && block->first < request.range.end; ++block) {
    added = AddExtent(extents, grid_.BlockAt(block->first), ExtentType::kData);
  }
  return added;
}

LayerResult CopyOnWriteFilter::Read(std::uint64_t offset, std::span<std::uint8_t> into) {
  return ReadAsExtents(zeroed_, offset, into, [this](std::uint64_t at, auto here) { return ReadUnzeroed(at, here); });
}

// Runs from below, and written blocks, by turns.
LayerResult CopyOnWriteFilter::ReadUnzeroed(std::uint64_t offset, std::span<std::uint8_t> into) {
  while (!into.empty()) {
    const auto block = written_.lower_bound(grid_.RoundDown(offset));
    std::uint64_t length = into.size();
    if (block != written_.end() && block->first <= offset) {
      const ByteView contents = ByteView(block->second).subspan(offset - block->first);
      length = std::min<std::uint64_t>(length, contents.size());
      std::ranges::copy(contents.first(length), into.begin());
    } else {
      length = block == written_.end() ? length : std::min(length, block->first - offset);
      NBDSPEC_RETURN_IF_ERROR(next().Read(offset, into.first(length)));
    }
    offset += length;
    into = into.subspan(length);
  }
  return {};
}

LayerResult CopyOnWriteFilter::Write(std::uint64_t offset, ByteView data) {
  if (data.empty()) {
    return {};
  }
  NBDSPEC_ASSIGN_OR_RETURN(blocks, WholeBlocks(*this, grid_, offset, data));
  const ByteRange written = grid_.Widen({.begin = offset, .end = offset + data.size()});
  NBDSPEC_RETURN_IF_ERROR(AddExtent(zeroed_, written, ExtentType::kData));
  for (std::uint64_t at = written.begin; at < written.end; at = grid_.BlockAt(at).end) {
    const ByteView here = ByteView(blocks).subspan(at - written.begin, grid_.BlockAt(at).length());
    written_[at] = Bytes(here.begin(), here.end());
  }
  return {};
}

LayerResult CopyOnWriteFilter::WriteZeroes(ByteRange range, bool may_punch_hole) {
  const ByteRange whole = grid_.Narrow(range);
  auto done = Write(range.begin, Bytes(whole.begin - range.begin));
  if (done) {
    done = ZeroBlocks(whole, may_punch_hole ? ExtentType::kHoleZero : ExtentType::kZero);
  }
  return done ? Write(whole.end, Bytes(range.end - whole.end)) : done;
}

LayerResult CopyOnWriteFilter::Trim(ByteRange range) { return ZeroBlocks(grid_.Narrow(range), ExtentType::kHoleZero); }

LayerResult CopyOnWriteFilter::ZeroBlocks(ByteRange whole, ExtentType type) {
  const auto added = AddExtent(zeroed_, whole, type);
  if (added) {
    written_.erase(written_.lower_bound(whole.begin), written_.lower_bound(whole.end));
  }
  return added;
}

// --- SparseReadFilter ---

LayerResult SparseReadFilter::Read(std::uint64_t offset, std::span<std::uint8_t> into) {
  if (into.empty()) {
    return {};
  }
  NBDSPEC_ASSIGN_OR_RETURN(extents, AskExtents(next(), {.range = {.begin = offset, .end = offset + into.size()}}));
  return ReadAsExtents(extents, offset, into, [this](std::uint64_t at, auto here) { return next().Read(at, here); });
}

// --- TruncateFilter ---

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
    NBDSPEC_ASSIGN_OR_RETURN(answer, AskExtents(next(), {.range = below, .req_one = request.req_one}));
    NBDSPEC_RETURN_IF_ERROR(CopyExtents(answer, below, extents, below.begin));
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

// --- WindowFilter ---

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
