// SPDX-License-Identifier: BSD-3-Clause
#include "engine/oracle/oracles.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/or_return.h"

namespace nbdspec::engine {

namespace {

std::expected<void, ErrorCode> CheckAdd(std::uint64_t offset, std::uint64_t length, ExtentType type) {
  if (static_cast<int>(type) > 3) {
    return std::unexpected(ErrorCode::kInvalidType);
  }
  if (offset + length < offset) {  // It wrapped.
    return std::unexpected(ErrorCode::kOutOfRange);
  }
  return {};
}

}  // namespace

BitmapOracle::BitmapOracle(std::uint64_t size, ExtentType initial) : initial_(initial) {
  NBDSPEC_CHECK(size <= kSizeMax);
  cells_.assign(size, initial);
}

std::expected<void, ErrorCode> BitmapOracle::Add(std::uint64_t offset, std::uint64_t length, ExtentType type) {
  NBDSPEC_RETURN_IF_ERROR(CheckAdd(offset, length, type));
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

void LastWriterOracle::Begin(std::uint64_t size, ExtentType initial) {
  size_ = size;
  initial_ = initial;
  cells_.assign(1, {.begin = 0, .type = initial});
}

std::size_t LastWriterOracle::CellFrom(std::uint64_t offset) {
  if (offset == size_) {
    return cells_.size();
  }
  const std::size_t cell = CellAt(offset);
  if (cells_[cell].begin == offset) {
    return cell;
  }
  cells_.insert(cells_.begin() + static_cast<std::ptrdiff_t>(cell) + 1, {.begin = offset, .type = cells_[cell].type});
  return cell + 1;
}

std::size_t LastWriterOracle::CellAt(std::uint64_t offset) const {
  const auto past = std::ranges::upper_bound(cells_, offset, {}, &Cell::begin);
  return static_cast<std::size_t>(past - cells_.begin()) - 1;
}

std::expected<void, ErrorCode> LastWriterOracle::Add(std::uint64_t offset, std::uint64_t length, ExtentType type) {
  NBDSPEC_RETURN_IF_ERROR(CheckAdd(offset, length, type));
  if (offset < size_) {
    const std::size_t begin = CellFrom(offset);
    const std::size_t end = CellFrom(std::min(offset + length, size_));
    for (std::size_t cell = begin; cell < end; ++cell) {
      cells_[cell].type = type;
    }
  }
  return {};
}

std::span<const Extent> LastWriterOracle::Extents(ByteRange bounds) const {
  const std::uint64_t end = std::min(bounds.end, size_);
  if (bounds.begin >= end) {
    return {};
  }
  extents_.resize(std::max(extents_.size(), cells_.size()));
  std::size_t cell = bounds.begin == 0 ? 0 : CellAt(bounds.begin);
  Extent extent = {.range = bounds, .type = cells_[cell].type};
  std::size_t count = 0;
  // An extent is written at each cell, which the next one overwrites unless it begins another extent: where extents end
  // is as good as random, and a processor that guesses it wrong loses more time than the rest takes.
  for (++cell; cell < cells_.size() && cells_[cell].begin < end; ++cell) {
    const auto [begin, type] = cells_[cell];
    extent.range.end = begin;
    extents_[count] = extent;
    const bool ends = type != extent.type;
    count += ends ? 1 : 0;
    extent.range.begin = ends ? begin : extent.range.begin;
    extent.type = type;
  }
  extent.range.end = end;
  extents_[count] = extent;
  return {extents_.data(), count + 1};
}

ExtentType LastWriterOracle::TypeAt(std::uint64_t offset) const {
  NBDSPEC_CHECK(offset < size_);
  return cells_[CellAt(offset)].type;
}

}  // namespace nbdspec::engine
