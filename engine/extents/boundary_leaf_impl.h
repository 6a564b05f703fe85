// SPDX-License-Identifier: BSD-3-Clause
// What BoundaryLeaf does rarely: choosing an encoding, and checking itself.

#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/base/check.h"
#include "engine/extents/boundary_leaf.h"

namespace nbdspec::engine {

template <typename Shape>
int BoundaryLeaf<Shape>::NarrowShift(std::span<const Boundary> boundaries) {
  std::uint64_t bits = 0;
  for (const Boundary& boundary : boundaries) {
    bits |= boundary.key - boundaries.front().key;
  }
  if (bits == 0) {
    return 0;
  }
  const std::uint64_t span = boundaries.back().key - boundaries.front().key;
  const int width = static_cast<int>(std::bit_width(span));
  int least = std::max(0, width - 32);
  least += span >> least >= Narrow::kPad ? 1 : 0;
  const int most = std::countr_zero(bits);
  constexpr int kBitsWithRoom = 30;  // The last leaf may grow to four times its span.
  return least > most ? -1 : std::clamp(width - kBitsWithRoom, least, most);
}

template <typename Shape>
void BoundaryLeaf<Shape>::Encode(std::span<const Boundary> boundaries) {
  const int shift = boundaries.size() <= kNarrowMax ? NarrowShift(boundaries) : -1;
  base_ = boundaries.front().key;
  count_ = static_cast<std::uint8_t>(boundaries.size());
  is_wide_ = shift < 0;
  shift_ = static_cast<std::uint8_t>(std::max(shift, 0));
  planes_ = {};
  for (std::size_t i = 0; i < boundaries.size(); ++i) {
    SetState(static_cast<unsigned>(i), boundaries[i].state);
  }
  if (is_wide_) {
    wide_ = Wide::PadKeys();
    for (std::size_t i = 0; i < boundaries.size(); ++i) {
      wide_[i] = boundaries[i].key;
    }
    wide_pivots_ = {};
    Wide::SetPivots(wide_, wide_pivots_);
  } else {
    narrow_ = Narrow::PadKeys();
    for (std::size_t i = 0; i < boundaries.size(); ++i) {
      narrow_[i] = static_cast<std::uint32_t>((boundaries[i].key - base_) >> shift_);
    }
    narrow_pivots_ = {};
    Narrow::SetPivots(narrow_, narrow_pivots_);
  }
}

template <typename Shape>
void BoundaryLeaf<Shape>::Erase(unsigned from, unsigned to) {
  std::array<Boundary, kNarrowMax> all;
  const std::size_t count = Decode(all);
  std::copy(all.begin() + to, all.begin() + static_cast<std::ptrdiff_t>(count), all.begin() + from);
  Encode(std::span(all).first(count - (to - from)));
}

template <typename Shape>
void BoundaryLeaf<Shape>::CheckInvariants() const {
  NBDSPEC_CHECK(count_ >= 1 && count_ <= capacity());
  NBDSPEC_CHECK(KeyAt(0) == base_);
  for (unsigned i = 1; i < count_; ++i) {
    NBDSPEC_CHECK(KeyAt(i - 1) < KeyAt(i));
    NBDSPEC_CHECK(StateAt(i - 1) != StateAt(i));
  }
  NBDSPEC_CHECK(((planes_[0] | planes_[1]) & ~BitsBelow(count_)) == 0);
  const auto check_keys = [this]<typename Encoding>(Encoding, const auto& keys, const auto& pivots) {
    for (unsigned i = count_; i < Encoding::kSlots; ++i) {
      NBDSPEC_CHECK(keys[i] == Encoding::kPad);
    }
    typename Encoding::Pivots right;
    Encoding::SetPivots(keys, right);
    NBDSPEC_CHECK(pivots == right);
  };
  if (is_wide_) {
    check_keys(Wide{}, wide_, wide_pivots_);
  } else {
    NBDSPEC_CHECK(shift_ < 63);
    check_keys(Narrow{}, narrow_, narrow_pivots_);
  }
}

}  // namespace nbdspec::engine
