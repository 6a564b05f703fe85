// SPDX-License-Identifier: BSD-3-Clause
// Fuzzes the decoders of both directions: any bytes, whole and in pieces, against each other and the encoder.

#include <cstddef>
#include <cstdint>

#include "fuzz/comparisons/disagreement.h"
#include "fuzz/comparisons/wire_decode_differential.h"
#include "fuzz/inputs/fresh_inputs.h"
#include "fuzz/inputs/input_mutator.h"

namespace nbdspec::fuzz {

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  AbortOnDisagreement("wire_decode", {data, size},
                      [](engine::ByteView input) { return FindWireDecodeDisagreement(input); });
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned seed) {
  return MutateInput({.bytes_max = size_max, .fresh = FreshWireInput}, data, size, size_max, seed);
}

}  // namespace nbdspec::fuzz
