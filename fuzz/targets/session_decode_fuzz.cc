// SPDX-License-Identifier: BSD-3-Clause
// Fuzzes our own raw session with what a hostile server may say: whole or in pieces, it is what a naive reader makes
// of it.

#include <cstddef>
#include <cstdint>

#include "fuzz/comparisons/disagreement.h"
#include "fuzz/comparisons/session_decode_differential.h"
#include "fuzz/inputs/fresh_inputs.h"
#include "fuzz/inputs/input_mutator.h"

namespace nbdspec::fuzz {

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  AbortOnDisagreement("session_decode", {data, size},
                      [](engine::ByteView input) { return FindSessionDecodeDisagreement(input); });
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned seed) {
  return MutateInput({.bytes_max = size_max, .fresh = FreshSessionDecodeInput}, data, size, size_max, seed);
}

}  // namespace nbdspec::fuzz
