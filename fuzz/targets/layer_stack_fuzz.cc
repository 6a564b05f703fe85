// SPDX-License-Identifier: BSD-3-Clause
// Fuzzes stacks of layers: whatever is stacked, extents and reads are those of the naive stack after every call.

#include <cstddef>
#include <cstdint>

#include "fuzz/comparisons/disagreement.h"
#include "fuzz/comparisons/layer_stack_differential.h"
#include "fuzz/inputs/input_mutator.h"

namespace nbdspec::fuzz {

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  AbortOnDisagreement("layer_stack", {data, size},
                      [](engine::ByteView input) { return FindLayerStackDisagreement(input); });
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned seed) {
  return MutateInput({.bytes_max = size_max}, data, size, size_max, seed);
}

}  // namespace nbdspec::fuzz
