// SPDX-License-Identifier: BSD-3-Clause
#include "engine/layers/copy_on_write_filter.h"

#include <algorithm>
#include <limits>

#include "engine/base/check.h"

namespace nbdspec::engine {

CopyOnWriteFilter::CopyOnWriteFilter(std::unique_ptr<Layer> next_layer, std::uint64_t block_bytes)
    : Filter(std::move(next_layer)), block_bytes_(block_bytes), zeroed_(next().size(), ExtentType::kData) {
  NBDSPEC_CHECK(block_bytes_ > 0 && block_bytes_ <= std::numeric_limits<std::uint32_t>::max());
}

ByteRange CopyOnWriteFilter::BlockAt(std::uint64_t offset) const {
  const std::uint64_t begin = offset - offset % block_bytes_;
  return {.begin = begin, .end = std::min(size(), begin + block_bytes_)};
}

ByteRange CopyOnWriteFilter::WholeBlocks(ByteRange range) const {
  const std::uint64_t begin = range.begin % block_bytes_ == 0 ? range.begin : BlockAt(range.begin).end;
  const std::uint64_t end = range.end == size() ? range.end : BlockAt(range.end).begin;
  return begin < end ? ByteRange{.begin = begin, .end = end} : ByteRange{.begin = range.begin, .end = range.begin};
}

// What is below, then what lies over it.
LayerResult CopyOnWriteFilter::Extents(const ExtentsRequest& request, ExtentMap& extents) {
  const auto answer = AskExtents(next(), request);
  if (!answer) {
    return std::unexpected(answer.error());
  }
  LayerResult added = CopyExtents(*answer, request.range, extents, request.range.begin);
  zeroed_.ForEach(request.range, [&](Extent extent) {
    if (added && extent.type != ExtentType::kData) {
      added = AddExtent(extents, extent.range, extent.type);
    }
    return added.has_value();
  });
  for (auto block = written_.lower_bound(BlockAt(request.range.begin).begin);
       added && block != written_.end() && block->first < request.range.end; ++block) {
    added = AddExtent(extents, BlockAt(block->first), ExtentType::kData);
  }
  return added;
}

LayerResult CopyOnWriteFilter::Read(std::uint64_t offset, std::span<std::uint8_t> into) {
  LayerResult read;
  zeroed_.ForEach({.begin = offset, .end = offset + into.size()}, [&](Extent extent) {
    const auto here = into.subspan(extent.range.begin - offset, extent.range.length());
    if (IsZero(extent.type)) {
      std::ranges::fill(here, std::uint8_t{0});
    } else {
      read = ReadUnzeroed(extent.range.begin, here);
    }
    return read.has_value();
  });
  return read;
}

// Runs from below, and written blocks, by turns.
LayerResult CopyOnWriteFilter::ReadUnzeroed(std::uint64_t offset, std::span<std::uint8_t> into) {
  while (!into.empty()) {
    const auto block = written_.lower_bound(BlockAt(offset).begin);
    std::uint64_t length = into.size();
    if (block != written_.end() && block->first <= offset) {
      const ByteView contents = ByteView(block->second).subspan(offset - block->first);
      length = std::min<std::uint64_t>(length, contents.size());
      std::ranges::copy(contents.first(length), into.begin());
    } else {
      length = block == written_.end() ? length : std::min(length, block->first - offset);
      if (auto read = next().Read(offset, into.first(length)); !read) {
        return read;
      }
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
  const std::uint64_t end = offset + data.size();
  std::map<std::uint64_t, Bytes> changed;
  for (ByteRange block = BlockAt(offset); block.begin < end; block = BlockAt(block.begin + block_bytes_)) {
    const ByteRange here = Intersect(block, {.begin = offset, .end = end});
    Bytes contents(block.length());
    if (here != block) {
      if (auto read = Read(block.begin, contents); !read) {
        return read;
      }
    }
    std::ranges::copy(data.subspan(here.begin - offset, here.length()),
                      contents.begin() + static_cast<std::ptrdiff_t>(here.begin - block.begin));
    changed[block.begin] = std::move(contents);
  }
  const ByteRange blocks = {.begin = BlockAt(offset).begin, .end = BlockAt(end - 1).end};
  if (auto added = AddExtent(zeroed_, blocks, ExtentType::kData); !added) {
    return added;
  }
  for (auto& [begin, contents] : changed) {
    written_[begin] = std::move(contents);
  }
  return {};
}

LayerResult CopyOnWriteFilter::WriteZeroes(ByteRange range, bool may_punch_hole) {
  const ByteRange whole = WholeBlocks(range);
  auto done = Write(range.begin, Bytes(whole.begin - range.begin));
  if (done) {
    done = ZeroBlocks(whole, may_punch_hole ? ExtentType::kHoleZero : ExtentType::kZero);
  }
  return done ? Write(whole.end, Bytes(range.end - whole.end)) : done;
}

LayerResult CopyOnWriteFilter::Trim(ByteRange range) { return ZeroBlocks(WholeBlocks(range), ExtentType::kHoleZero); }

LayerResult CopyOnWriteFilter::ZeroBlocks(ByteRange whole, ExtentType type) {
  const auto added = AddExtent(zeroed_, whole, type);
  if (added) {
    written_.erase(written_.lower_bound(whole.begin), written_.lower_bound(whole.end));
  }
  return added;
}

}  // namespace nbdspec::engine
