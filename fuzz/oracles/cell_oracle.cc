// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/oracles/cell_oracle.h"

#include <algorithm>

namespace nbdspec::fuzz {

using engine::ErrorCode;
using engine::Extent;
using engine::ExtentType;

void CellOracle::Begin(std::uint64_t size, ExtentType initial) {
  size_ = size;
  initial_ = initial;
  begins_.assign(1, 0);
  types_.assign(1, initial);
}

std::size_t CellOracle::CellFrom(std::uint64_t offset) {
  const auto at = std::ranges::lower_bound(begins_, offset);
  const auto cell = at - begins_.begin();
  if (offset < size_ && (at == begins_.end() || *at != offset)) {
    begins_.insert(at, offset);
    types_.insert(types_.begin() + cell, types_[static_cast<std::size_t>(cell) - 1]);
  }
  return static_cast<std::size_t>(cell);
}

std::expected<void, ErrorCode> CellOracle::Add(std::uint64_t offset, std::uint64_t length, ExtentType type) {
  if (static_cast<int>(type) > 3) {
    return std::unexpected(ErrorCode::kInvalidType);
  }
  if (offset + length < offset) {  // It wrapped.
    return std::unexpected(ErrorCode::kOutOfRange);
  }
  if (offset < size_) {
    const std::size_t begin = CellFrom(offset);
    const std::size_t end = CellFrom(std::min(offset + length, size_));
    std::fill(types_.begin() + static_cast<std::ptrdiff_t>(begin), types_.begin() + static_cast<std::ptrdiff_t>(end),
              type);
  }
  return {};
}

std::span<const Extent> CellOracle::Extents(engine::ByteRange bounds) {
  const std::uint64_t end = std::min(bounds.end, size_);
  extents_.clear();
  if (bounds.begin >= end) {
    return {};
  }
  auto cell = static_cast<std::size_t>(std::ranges::upper_bound(begins_, bounds.begin) - begins_.begin()) - 1;
  while (cell < begins_.size() && begins_[cell] < end) {
    // The run of cells of one type.
    const std::size_t first = cell;
    do {
      ++cell;
    } while (cell < types_.size() && types_[cell] == types_[first]);
    extents_.push_back({.range = {.begin = begins_[first], .end = cell < begins_.size() ? begins_[cell] : end},
                        .type = types_[first]});
  }
  extents_.front().range.begin = bounds.begin;
  extents_.back().range.end = end;
  return extents_;
}

}  // namespace nbdspec::fuzz
