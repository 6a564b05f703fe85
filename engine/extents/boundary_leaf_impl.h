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
typename BoundaryLeaf<Shape>::Tail BoundaryLeaf<Shape>::MakeTail(std::uint64_t size) const {
  if (is_wide_ || count_ < 2 || count_ == kNarrowMax) {
    return {};
  }
  constexpr unsigned kShiftMax = 30;  // So that `reach` does not overflow. Above it, any end fits.
  const std::uint64_t reach = std::uint64_t{Narrow::kPad} << std::min<unsigned>(shift_, kShiftMax);
  Tail tail = {.begin = KeyAt(count_ - 1U),
               .limit = shift_ > kShiftMax || size - base_ <= reach ? size : base_ + reach,
               .base = base_,
               .unaligned = (std::uint64_t{1} << shift_) - 1,
               .shift = shift_,
               .after = StateAt(count_ - 1U),
               .before = StateAt(count_ - 2U)};
  for (unsigned state = 0; state < 4; ++state) {
    for (unsigned bit = 0; bit < 2; ++bit) {
      const unsigned old_run = tail.after >> bit & 1U;
      const unsigned new_run = state >> bit & 1U;
      tail.flips[state][bit] = static_cast<std::uint8_t>((old_run ^ new_run) | old_run << 1);
    }
  }
  return tail;
}

template <typename Shape>
bool BoundaryLeaf<Shape>::DecodeRuns(std::uint64_t limit, Runs& runs) const {
  const std::uint64_t last_length = limit - KeyAt(count_ - 1U);
  if (is_wide_ || last_length > UINT32_MAX) {
    return false;
  }
  if (std::uint64_t{narrow_[count_ - 1U]} << shift_ >
      UINT32_MAX) {  // All runs together; then each of them is looked at.
    std::uint32_t bits = 0;
    for (unsigned i = 0; i + 1 < count_; ++i) {
      bits |= narrow_[i + 1] - narrow_[i];
    }
    if (std::uint64_t{bits} << shift_ > UINT32_MAX) {
      return false;
    }
  }
  for (unsigned i = 0; i + 1 < Narrow::kSlots; ++i) {
    runs.lengths[i] = (narrow_[i + 1] - narrow_[i]) << shift_;
  }
  runs.lengths[count_ - 1U] = static_cast<std::uint32_t>(last_length);
  // Four bits of a plane become four numbers.
  static constexpr auto kSpread = [] {
    std::array<std::array<std::uint32_t, 4>, 16> spread{};
    for (unsigned bits_of_four = 0; bits_of_four < 16; ++bits_of_four) {
      for (unsigned i = 0; i < 4; ++i) {
        spread[bits_of_four][i] = bits_of_four >> i & 1;
      }
    }
    return spread;
  }();
  for (unsigned i = 0; i < Narrow::kSlots; i += 4) {
    const std::array<std::uint32_t, 4>& low = kSpread[planes_[0] >> i & 15];
    const std::array<std::uint32_t, 4>& high = kSpread[planes_[1] >> i & 15];
    for (unsigned j = 0; j < 4; ++j) {
      runs.states[i + j] = low[j] | high[j] << 1;
    }
  }
  return true;
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
  NBDSPEC_CHECK(((planes_[0] | planes_[1]) & ~BitsBelow(count_)) == 0);
  const std::uint64_t changes = (planes_[0] ^ planes_[0] >> 1) | (planes_[1] ^ planes_[1] >> 1);
  NBDSPEC_CHECK((~changes & BitsBelow(count_ - 1U)) == 0);  // Neighbours differ.
  if (is_wide_) {
    NBDSPEC_CHECK(wide_[0] == base_);
    NBDSPEC_CHECK(Wide::AreRight(wide_, wide_pivots_, count_));
  } else {
    NBDSPEC_CHECK(shift_ < 63);
    NBDSPEC_CHECK(narrow_[0] == 0);
    NBDSPEC_CHECK(Narrow::AreRight(narrow_, narrow_pivots_, count_));
    NBDSPEC_CHECK(narrow_[count_ - 1U] <= (~std::uint64_t{0} - base_) >> shift_);  // No key wraps.
  }
}

}  // namespace nbdspec::engine
