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
  begins_.assign(1, 0);
  types_.assign(1, initial);
}

std::size_t LastWriterOracle::CellFrom(std::uint64_t offset) {
  if (offset == size_) {
    return begins_.size();
  }
  const std::size_t cell = CellAt(offset);
  if (begins_[cell] == offset) {
    return cell;
  }
  begins_.insert(begins_.begin() + static_cast<std::ptrdiff_t>(cell) + 1, offset);
  types_.insert(types_.begin() + static_cast<std::ptrdiff_t>(cell), types_[cell]);
  return cell + 1;
}

std::size_t LastWriterOracle::CellAt(std::uint64_t offset) const {
  return static_cast<std::size_t>(std::ranges::upper_bound(begins_, offset) - begins_.begin()) - 1;
}

std::expected<void, ErrorCode> LastWriterOracle::Add(std::uint64_t offset, std::uint64_t length, ExtentType type) {
  NBDSPEC_RETURN_IF_ERROR(CheckAdd(offset, length, type));
  if (offset < size_) {
    const std::size_t begin = CellFrom(offset);
    const std::size_t end = CellFrom(std::min(offset + length, size_));
    for (std::size_t cell = begin; cell < end; ++cell) {
      types_[cell] = type;
    }
  }
  return {};
}

std::span<const Extent> LastWriterOracle::Extents(ByteRange bounds) const {
  const std::uint64_t end = std::min(bounds.end, size_);
  if (bounds.begin >= end) {
    return {};
  }
  extents_.resize(std::max(extents_.size(), begins_.size()));
  const std::span begins = begins_;
  const std::span types = types_;
  const std::span extents = extents_;
  std::size_t cell = bounds.begin == 0 ? 0 : CellAt(bounds.begin);
  std::uint64_t from = bounds.begin;
  ExtentType type = types[cell];
  std::size_t count = 0;
  for (++cell; cell < begins.size() && begins[cell] < end; ++cell) {
    if (types[cell] != type) {
      extents[count++] = {.range = {.begin = from, .end = begins[cell]}, .type = type};
      from = begins[cell];
      type = types[cell];
    }
  }
  extents[count++] = {.range = {.begin = from, .end = end}, .type = type};
  return extents.first(count);
}

ExtentType LastWriterOracle::TypeAt(std::uint64_t offset) const {
  NBDSPEC_CHECK(offset < size_);
  return types_[CellAt(offset)];
}

}  // namespace nbdspec::engine
