// SPDX-License-Identifier: BSD-3-Clause
// Random: numbers that are the same for the same seed everywhere, cheap to seed anew for every input (splitmix64).

#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "engine/base/mix.h"

namespace nbdspec::fuzz {

class Random {
 public:
  using result_type = std::uint64_t;  // It fits where the standard's generators do.

  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t operator()() {
    state_ += engine::kMixStep;
    return engine::Mixed(state_);
  }
  static constexpr std::uint64_t min() { return 0; }
  static constexpr std::uint64_t max() { return UINT64_MAX; }

  // Uniform enough in [0, limit), limit at least 1; the standard's distributions differ between libraries.
  std::uint64_t Below(std::uint64_t limit) { return (*this)() % limit; }
  bool OneIn(std::uint64_t count) { return Below(count) == 0; }
  void Fill(std::span<std::uint8_t> bytes) {
    std::ranges::generate(bytes, [this] { return static_cast<std::uint8_t>((*this)()); });
  }

 private:
  std::uint64_t state_;
};

// One number for several, in their order.
inline std::uint64_t Mix(std::initializer_list<std::uint64_t> numbers) {
  std::uint64_t mixed = 0;
  for (const std::uint64_t number : numbers) {
    mixed = (mixed ^ number) * 0x9e37'79b9'7f4a'7c15;
    mixed ^= mixed >> 29;
  }
  return mixed;
}

}  // namespace nbdspec::fuzz
