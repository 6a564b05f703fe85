// SPDX-License-Identifier: BSD-3-Clause
// Fuzzes the text form of scripts: any text is a script, which prints and parses to itself, or an error with a place.

#include <cstddef>
#include <cstdint>

#include "fuzz/comparisons/disagreement.h"
#include "fuzz/comparisons/script_text_differential.h"
#include "fuzz/inputs/fresh_inputs.h"
#include "fuzz/inputs/input_mutator.h"

namespace nbdspec::fuzz {

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  AbortOnDisagreement("script_text", {data, size},
                      [](engine::ByteView input) { return FindScriptTextDisagreement(input); });
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned seed) {
  return MutateInput({.bytes_max = size_max, .fresh = FreshScriptText}, data, size, size_max, seed);
}

}  // namespace nbdspec::fuzz
