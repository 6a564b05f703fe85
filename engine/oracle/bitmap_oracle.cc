// SPDX-License-Identifier: BSD-3-Clause
#include "engine/oracle/bitmap_oracle.h"

#include "engine/base/check.h"

namespace nbdspec::engine {

BitmapOracle::BitmapOracle(std::uint64_t size, ExtentType initial) : initial_(initial) {
  NBDSPEC_CHECK(size <= kSizeMax);
  cells_.assign(size, initial);
}

std::expected<void, ErrorCode> BitmapOracle::Add(std::uint64_t offset, std::uint64_t length, ExtentType type) {
  if (static_cast<int>(type) > 3) {
    return std::unexpected(ErrorCode::kInvalidType);
  }
  if (offset + length < offset) {  // It wrapped.
    return std::unexpected(ErrorCode::kOutOfRange);
  }
  for (std::uint64_t byte = offset; byte < offset + length && byte < size(); ++byte) {
    cells_[byte] = type;
  }
  return {};
}

void BitmapOracle::Clear() {
  for (ExtentType& cell : cells_) {
    cell = initial_;
  }
}

std::vector<Extent> BitmapOracle::Extents(ByteRange bounds) const {
  std::vector<Extent> extents;
  for (std::uint64_t byte = bounds.begin; byte < bounds.end && byte < size(); ++byte) {
    if (extents.empty() || extents.back().type != cells_[byte]) {
      extents.push_back({.range = {.begin = byte, .end = byte}, .type = cells_[byte]});
    }
    extents.back().range.end = byte + 1;
  }
  return extents;
}

ExtentType BitmapOracle::TypeAt(std::uint64_t offset) const {
  NBDSPEC_CHECK(offset < size());
  return cells_[offset];
}

}  // namespace nbdspec::engine
