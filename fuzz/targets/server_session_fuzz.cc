// SPDX-License-Identifier: BSD-3-Clause
// Fuzzes the reference server: whatever a client says, every answer is one the specification permits.

#include <cstddef>
#include <cstdint>

#include "fuzz/comparisons/disagreement.h"
#include "fuzz/comparisons/server_session_differential.h"
#include "fuzz/inputs/fresh_inputs.h"
#include "fuzz/inputs/input_mutator.h"

namespace nbdspec::fuzz {

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  AbortOnDisagreement("server_session", {data, size},
                      [](engine::ByteView input) { return FindServerSessionDisagreement(input); });
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned seed) {
  return MutateInput({.bytes_max = size_max, .fresh = FreshSessionInput}, data, size, size_max, seed);
}

}  // namespace nbdspec::fuzz
