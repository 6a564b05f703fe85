// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/oracles/cell_oracle.h"

#include <algorithm>

#include "engine/base/check.h"

namespace nbdspec::fuzz {

using engine::ErrorCode;
using engine::Extent;
using engine::ExtentType;

void CellOracle::Begin(const engine::Script& script) {
  size_ = script.size;
  initial_ = script.initial;
  places_.clear();
  AddPlace(0);
  for (const engine::Step& step : script.steps) {
    if (const auto* add = std::get_if<engine::AddStep>(&step)) {
      AddPlace(add->offset);
      AddPlace(add->offset + add->length);
    }
  }
  types_.assign(places_.size(), initial_);
  extents_.resize(places_.size());
  places_.push_back(size_);
}

void CellOracle::AddPlace(std::uint64_t place) {
  const auto at = std::ranges::lower_bound(places_, place);
  if (place < size_ && (at == places_.end() || *at != place)) {
    places_.insert(at, place);
  }
}

std::size_t CellOracle::CellAt(std::uint64_t offset) const {
  return static_cast<std::size_t>(std::ranges::upper_bound(places_, offset) - places_.begin()) - 1;
}

std::expected<void, ErrorCode> CellOracle::Add(std::uint64_t offset, std::uint64_t length, ExtentType type) {
  if (static_cast<int>(type) > 3) {
    return std::unexpected(ErrorCode::kInvalidType);
  }
  if (offset + length < offset) {  // It wrapped.
    return std::unexpected(ErrorCode::kOutOfRange);
  }
  if (offset >= size_) {
    return {};
  }
  const std::size_t begin = CellAt(offset);
  const std::size_t end = CellAt(std::min(offset + length, size_));
  NBDSPEC_CHECK(places_[begin] == offset && places_[end] == std::min(offset + length, size_));
  std::fill(types_.begin() + static_cast<std::ptrdiff_t>(begin), types_.begin() + static_cast<std::ptrdiff_t>(end),
            type);
  return {};
}

void CellOracle::Clear() { std::ranges::fill(types_, initial_); }

std::span<const Extent> CellOracle::Extents(engine::ByteRange bounds) {
  const std::uint64_t end = std::min(bounds.end, size_);
  if (bounds.begin >= end) {
    return {};
  }
  std::size_t count = 0;
  for (std::size_t cell = CellAt(bounds.begin); places_[cell] < end; ++count) {
    // The run of cells of one type.
    const std::size_t first = cell;
    do {
      ++cell;
    } while (cell < types_.size() && types_[cell] == types_[first]);
    extents_[count] = {.range = {.begin = places_[first], .end = places_[cell]}, .type = types_[first]};
  }
  extents_[0].range.begin = bounds.begin;
  extents_[count - 1].range.end = end;
  return {extents_.data(), count};
}

}  // namespace nbdspec::fuzz
