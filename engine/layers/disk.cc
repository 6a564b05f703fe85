// SPDX-License-Identifier: BSD-3-Clause
#include "engine/layers/disk.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"

namespace nbdspec::engine {

namespace {

// No zero, and no power of two as its period. What repeats is copied: a fuzzer makes many disks.
void FillWithData(std::uint64_t offset, std::span<std::uint8_t> out) {
  constexpr std::size_t kPeriod = 251;
  for (std::size_t i = 0; i < std::min(out.size(), kPeriod); ++i) {
    out[i] = static_cast<std::uint8_t>((offset + i) % kPeriod + 1);
  }
  for (std::size_t filled = kPeriod; filled < out.size(); filled *= 2) {
    std::copy_n(out.begin(), std::min(filled, out.size() - filled), out.begin() + static_cast<std::ptrdiff_t>(filled));
  }
}

}  // namespace

Disk::Disk(std::uint64_t size) : extents_(size, ExtentType::kHoleZero) {
  NBDSPEC_CHECK(size <= kDiskBytesMax);
  contents_.resize(size);
}

Disk::Disk(ExtentMap extents) : extents_(std::move(extents)) {
  NBDSPEC_CHECK(size() <= kDiskBytesMax);
  contents_.resize(size());
  extents_.ForEach(extents_.range(), [this](Extent extent) {
    if (!IsZero(extent.type)) {
      FillWithData(extent.range.begin, std::span(contents_).subspan(extent.range.begin, extent.range.length()));
    }
    return true;
  });
}

ByteView Disk::Read(ByteRange range) const {
  NBDSPEC_CHECK(extents_.range().Contains(range));
  return ByteView(contents_).subspan(range.begin, range.length());
}

LayerResult Disk::Extents(const ExtentsRequest& request, ExtentMap& extents) {
  return CopyExtents(extents_, request.range, extents, request.range.begin);
}

LayerResult Disk::Read(std::uint64_t offset, std::span<std::uint8_t> into) {
  NBDSPEC_CHECK(offset <= size() && into.size() <= size() - offset);
  std::ranges::copy(Read({.begin = offset, .end = offset + into.size()}), into.begin());
  return {};
}

LayerResult Disk::Write(std::uint64_t offset, ByteView data) {
  NBDSPEC_CHECK(offset <= size() && data.size() <= size() - offset);
  const auto added = AddExtent(extents_, {.begin = offset, .end = offset + data.size()}, ExtentType::kData);
  if (added) {
    std::ranges::copy(data, contents_.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  return added;
}

LayerResult Disk::WriteZeroes(ByteRange range, bool may_punch_hole) {
  NBDSPEC_CHECK(extents_.range().Contains(range));
  const auto added = AddExtent(extents_, range, may_punch_hole ? ExtentType::kHoleZero : ExtentType::kZero);
  if (added) {
    std::fill_n(contents_.begin() + static_cast<std::ptrdiff_t>(range.begin), range.length(), std::uint8_t{0});
  }
  return added;
}

LayerResult Disk::Trim(ByteRange range) { return WriteZeroes(range, true); }

}  // namespace nbdspec::engine
