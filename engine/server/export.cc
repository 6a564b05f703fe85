// SPDX-License-Identifier: BSD-3-Clause
#include "engine/server/export.h"

#include <algorithm>

#include "engine/base/check.h"

namespace nbdspec::engine {

Disk::Disk(std::uint64_t size) : extents_(size, ExtentType::kHoleZero) {
  NBDSPEC_CHECK(size <= kDiskBytesMax);
  contents_.resize(size);
}

ByteView Disk::Read(ByteRange range) const {
  NBDSPEC_CHECK(extents_.range().Contains(range));
  return ByteView(contents_).subspan(range.begin, range.length());
}

std::expected<void, ErrorCode> Disk::Write(std::uint64_t offset, ByteView data) {
  NBDSPEC_CHECK(offset <= size() && data.size() <= size() - offset);
  const auto added = extents_.Add(offset, data.size(), ExtentType::kData);
  if (added) {
    std::ranges::copy(data, contents_.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  return added;
}

std::expected<void, ErrorCode> Disk::WriteZeroes(ByteRange range, bool may_punch_hole) {
  NBDSPEC_CHECK(extents_.range().Contains(range));
  const auto added =
      extents_.Add(range.begin, range.length(), may_punch_hole ? ExtentType::kHoleZero : ExtentType::kZero);
  if (added) {
    std::fill_n(contents_.begin() + static_cast<std::ptrdiff_t>(range.begin), range.length(), std::uint8_t{0});
  }
  return added;
}

std::expected<void, ErrorCode> Disk::Trim(ByteRange range) { return WriteZeroes(range, true); }

}  // namespace nbdspec::engine
