// SPDX-License-Identifier: BSD-3-Clause
// Fuzzes the C functions of the extents map: any calls, with memory that runs out, do what extents_c.h says.

#include <cstddef>
#include <cstdint>

#include "fuzz/comparisons/c_api_differential.h"
#include "fuzz/comparisons/disagreement.h"
#include "fuzz/inputs/input_mutator.h"

namespace nbdspec::fuzz {

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  AbortOnDisagreement("c_api", {data, size}, [](engine::ByteView input) { return FindCApiDisagreement(input); });
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned seed) {
  return MutateInput({.bytes_max = size_max}, data, size, size_max, seed);
}

}  // namespace nbdspec::fuzz
