// SPDX-License-Identifier: BSD-3-Clause
// Random inputs that are the same for the same seed everywhere: the little fuzzer that is always there.
//
// It has no coverage feedback and is no rival to libFuzzer. It lets plain `bazel test` try some inputs.

#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "engine/base/bytes.h"

namespace nbdspec::fuzz {

class RandomInputs {
 public:
  struct Options {
    std::uint64_t seed = 1;
    std::size_t bytes_max = 512;
    std::vector<engine::Bytes> start = {};  // Inputs to mutate; may be empty.
  };

  explicit RandomInputs(Options options);

  // The next input, at most bytes_max long: a fresh random one, or a mutated start input.
  engine::Bytes Next();

 private:
  std::size_t Below(std::size_t limit);  // Uniform enough in [0, limit); 0 when limit is 0.
  std::uint8_t InterestingByte();
  engine::Bytes Fresh();
  void Mutate(engine::Bytes& input);

  Options options_;
  std::mt19937_64 random_;
};

}  // namespace nbdspec::fuzz
