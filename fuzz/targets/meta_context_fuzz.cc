// SPDX-License-Identifier: BSD-3-Clause
// Fuzzes option haggling: in any order, the contexts that are selected are those that a small model says.

#include <cstddef>
#include <cstdint>

#include "fuzz/comparisons/disagreement.h"
#include "fuzz/comparisons/meta_context_differential.h"
#include "fuzz/inputs/input_mutator.h"

namespace nbdspec::fuzz {

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  AbortOnDisagreement("meta_context", {data, size},
                      [](engine::ByteView input) { return FindMetaContextDisagreement(input); });
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned seed) {
  return MutateInput({.bytes_max = size_max}, data, size, size_max, seed);
}

}  // namespace nbdspec::fuzz
