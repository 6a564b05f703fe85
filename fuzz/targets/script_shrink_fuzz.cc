// SPDX-License-Identifier: BSD-3-Clause
// Fuzzes shrinking: whatever the script, what is left of it fails for the same reason and is small.

#include <cstddef>
#include <cstdint>

#include "engine/script/script_bytes.h"
#include "engine/script/shrink.h"
#include "fuzz/comparisons/disagreement.h"
#include "fuzz/comparisons/script_shrink_differential.h"
#include "fuzz/inputs/script_mutator.h"

namespace nbdspec::fuzz {
namespace {

ScriptInputs inputs(kShrinkLimits);

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  AbortOnDisagreement(
      "script_shrink", engine::ReadScript({data, size}, kShrinkLimits),
      [](const engine::Script& script) { return FindScriptShrinkDisagreement(script, engine::Shrink); });
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned seed) {
  return inputs.Mutate(data, size, size_max, seed);
}

extern "C" std::size_t LLVMFuzzerCustomCrossOver(const std::uint8_t* one, std::size_t one_size,
                                                 const std::uint8_t* other, std::size_t other_size, std::uint8_t* out,
                                                 std::size_t size_max, unsigned seed) {
  return inputs.Cross({one, one_size}, {other, other_size}, {out, size_max}, seed);
}

}  // namespace nbdspec::fuzz
