// SPDX-License-Identifier: BSD-3-Clause
// Fuzzes replies to BLOCK_STATUS: built from a truth they break no rule, and any reply is judged as a naive judge does.

#include <cstddef>
#include <cstdint>

#include "fuzz/comparisons/block_status_differential.h"
#include "fuzz/comparisons/disagreement.h"
#include "fuzz/inputs/input_mutator.h"

namespace nbdspec::fuzz {

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  AbortOnDisagreement("block_status_reply", {data, size},
                      [](engine::ByteView input) { return FindBlockStatusDisagreement(input); });
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned seed) {
  return MutateInput({.bytes_max = size_max}, data, size, size_max, seed);
}

}  // namespace nbdspec::fuzz
