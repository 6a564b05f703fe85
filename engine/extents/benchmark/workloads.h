// SPDX-License-Identifier: BSD-3-Clause
// What is done to every subject: the same steps from the same numbers, made as they are needed, so that no subject
// has to share the caches with a list of them.

#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/base/mix.h"
#include "engine/extents/extent.h"

namespace nbdspec::engine::speed {

inline constexpr std::uint64_t kSpace = std::uint64_t{1} << 40;
inline constexpr std::uint64_t kBlock = 4096;

// SplitMix64: one multiplication chain for each number, none between numbers.
class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : state_(seed) {}
  std::uint64_t Next() {
    state_ += kMixStep;
    return Mixed(state_);
  }
  // Below `limit`, which is at most 2^63.
  std::uint64_t Below(std::uint64_t limit) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<std::uint64_t>((Wide{Next()} * limit) >> 64);
  }

 private:
  std::uint64_t state_;
};

// Dense: contiguous extents from 0 on, of 1 to 16 blocks, data and hole+zero in turn.
class DenseExtents {
 public:
  Extent Next() {
    const std::uint64_t begin = end_;
    end_ += (((index_ * 0x9e3779b97f4a7c15) >> 60) + 1) * kBlock;
    const bool even = (index_++ & 1) == 0;
    return {.range = {.begin = begin, .end = end_}, .type = even ? ExtentType::kData : ExtentType::kHoleZero};
  }

 private:
  std::uint64_t index_ = 1;
  std::uint64_t end_ = 0;
};

// Sparse: overwriting adds of the four types anywhere in the space, of 1 to 256 blocks, log-uniform: their geometric
// mean is 16 blocks (64 KiB).
class RandomAdds {
 public:
  RandomAdds() {
    for (std::size_t i = 0; i < lengths_.size(); ++i) {
      const double exponent = (static_cast<double>(i) + 0.5) * 8 / static_cast<double>(lengths_.size());
      lengths_[i] = static_cast<std::uint64_t>(std::lround(std::exp2(exponent))) * kBlock;
    }
  }
  Extent Next() {
    const std::uint64_t number = numbers_.Next();
    const std::uint64_t begin = (number >> 36) * kBlock;  // 28 bits: all of the blocks.
    const std::uint64_t end = begin + lengths_[number & 0xff];
    return {.range = {.begin = begin, .end = end < kSpace ? end : kSpace},
            .type = static_cast<ExtentType>((number >> 8) & 3)};
  }

 private:
  std::array<std::uint64_t, 256> lengths_;
  Numbers numbers_{1};
};

// What a fuzzer does: a new small space each time, few adds, every byte counts. Many scripts, so that no branch
// predictor learns them.
inline constexpr std::uint64_t kFuzzSpace = 4096;
inline constexpr std::size_t kFuzzAdds = 64;
using FuzzScript = std::array<Extent, kFuzzAdds>;

inline std::vector<FuzzScript> FuzzScripts() {
  Numbers numbers(2);
  std::vector<FuzzScript> scripts(2048);
  for (FuzzScript& script : scripts) {
    for (Extent& add : script) {
      const std::uint64_t begin = numbers.Below(kFuzzSpace);
      const std::uint64_t end = begin + 1 + numbers.Below(256);
      add.range = {.begin = begin, .end = end < kFuzzSpace ? end : kFuzzSpace};
      add.type = static_cast<ExtentType>(numbers.Below(kExtentTypeCount));
    }
  }
  return scripts;
}

}  // namespace nbdspec::engine::speed
