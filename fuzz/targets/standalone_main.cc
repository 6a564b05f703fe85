// SPDX-License-Identifier: BSD-3-Clause
// The main of a fuzz target of live servers that is not linked with libFuzzer: random inputs.
//
//   TARGET [--runs=N] [--seed=S] [--max_len=N]
//
// Every second input is made by the target's own mutator. A finding aborts.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "engine/base/bytes.h"
#include "fuzz/inputs/input_mutator.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned seed);

int main(int argc, char** argv) {
  std::uint64_t runs = 0;
  std::uint64_t seed = 1;
  std::uint64_t max_len = 512;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const auto take = [&argument](std::string_view name, std::uint64_t& number) {
      const bool is_it = argument.starts_with(name);
      number = is_it ? std::strtoull(argument.c_str() + name.size(), nullptr, 10) : number;
      return is_it;
    };
    if (!take("--runs=", runs) && !take("--seed=", seed) && !take("--max_len=", max_len)) {
      std::fprintf(stderr, "%s: no such option\n", argv[i]);
      return 2;
    }
  }
  nbdspec::fuzz::LikelyInputs inputs({.bytes_max = max_len}, seed);
  for (std::uint64_t run = 1; run <= runs; ++run) {
    nbdspec::engine::Bytes input = inputs.Next();
    if (run % 2 == 0) {
      const std::size_t size = input.size();
      input.resize(std::max<std::size_t>(max_len, 1));
      input.resize(LLVMFuzzerCustomMutator(input.data(), size, max_len, static_cast<unsigned>(run)));
    }
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  return 0;
}
