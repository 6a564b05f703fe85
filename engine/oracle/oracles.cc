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

LastWriterOracle::LastWriterOracle(std::uint64_t size, ExtentType initial) : size_(size), initial_(initial) {}

std::expected<void, ErrorCode> LastWriterOracle::Add(std::uint64_t offset, std::uint64_t length, ExtentType type) {
  NBDSPEC_RETURN_IF_ERROR(CheckAdd(offset, length, type));
  written_.push_back({.offset = offset, .length = length, .type = type});
  return {};
}

void LastWriterOracle::Clear() { written_.clear(); }

ExtentType LastWriterOracle::TypeAt(std::uint64_t offset) const {
  NBDSPEC_CHECK(offset < size_);
  for (auto last = written_.rbegin(); last != written_.rend(); ++last) {
    if (offset >= last->offset && offset - last->offset < last->length) {
      return last->type;
    }
  }
  return initial_;
}

std::vector<Extent> LastWriterOracle::Extents(ByteRange bounds) const {
  if (bounds.end > size_) {
    bounds.end = size_;
  }
  std::vector<std::uint64_t> places = {bounds.begin};
  places.reserve(1 + 2 * written_.size());
  for (const Written& written : written_) {
    places.push_back(written.offset);
    places.push_back(written.offset + written.length);
  }
  std::ranges::sort(places);
  std::vector<Extent> extents;
  for (const std::uint64_t place : places) {
    if (place < bounds.begin || place >= bounds.end) {
      continue;
    }
    if (const ExtentType type = TypeAt(place); extents.empty() || extents.back().type != type) {
      if (!extents.empty()) {
        extents.back().range.end = place;
      }
      extents.push_back({.range = {.begin = place, .end = bounds.end}, .type = type});
    }
  }
  return extents;
}

}  // namespace nbdspec::engine
