// SPDX-License-Identifier: BSD-3-Clause
// What libFuzzer sees of a map's state, besides coverage: the code of a map is soon covered, its states are not.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace nbdspec::fuzz {

// Extents; then events and levels of a tree. Volatile, or the stores would be optimised away.
inline constexpr std::size_t kExtentCounters = 128;
inline constexpr std::size_t kEventCounters = 32;
inline constexpr std::size_t kHeightCounters = 8;

extern volatile std::uint8_t state_counters[kExtentCounters + kEventCounters + kHeightCounters];
inline bool counts_states = true;

inline void CountState(std::size_t from, std::size_t count, std::uint64_t value) {
  if (counts_states) {
    state_counters[from + std::min<std::uint64_t>(value, count - 1)] = 1;
  }
}

}  // namespace nbdspec::fuzz
