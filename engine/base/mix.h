// SPDX-License-Identifier: BSD-3-Clause
// Numbers that look random, the same on every machine.

#pragma once

#include <cstdint>

namespace nbdspec::engine {

// What apart neighbours are to be before Mixed.
inline constexpr std::uint64_t kMixStep = 0x9e3779b97f4a7c15;

// A number of which every bit depends on every bit of `number`: the finalizer of SplitMix64.
constexpr std::uint64_t Mixed(std::uint64_t number) {
  number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9;
  number = (number ^ (number >> 27)) * 0x94d049bb133111eb;
  return number ^ (number >> 31);
}

// The seed of what comes as `number`th with `seed`: neighbours share nothing.
constexpr std::uint64_t SeedAt(std::uint64_t seed, std::uint64_t number) {
  return Mixed(seed + (number + 1) * kMixStep);
}

}  // namespace nbdspec::engine
