// SPDX-License-Identifier: BSD-3-Clause
// Fuzzes what nbdspec reads from the disk: any bytes are a value that prints and reads back, or an error with a line.

#include <cstddef>
#include <cstdint>

#include "fuzz/comparisons/disagreement.h"
#include "fuzz/comparisons/report_input_differential.h"
#include "fuzz/inputs/fresh_inputs.h"
#include "fuzz/inputs/input_mutator.h"

namespace nbdspec::fuzz {

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  AbortOnDisagreement("report_input", {data, size},
                      [](engine::ByteView input) { return FindReportInputDisagreement(input); });
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned seed) {
  return MutateInput({.bytes_max = size_max, .fresh = FreshReportText}, data, size, size_max, seed);
}

}  // namespace nbdspec::fuzz
