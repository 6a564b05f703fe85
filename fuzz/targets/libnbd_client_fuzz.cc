// SPDX-License-Identifier: BSD-3-Clause
// Fuzzes the real libnbd: what it reports must be what was said to it, however unusual, as long as it is legal.

#include <cstddef>
#include <cstdint>
#include <memory>

#include "engine/script/script_bytes.h"
#include "engine/server/interposer.h"
#include "fuzz/comparisons/disagreement.h"
#include "fuzz/exchange/answer_counters.h"
#include "fuzz/inputs/script_mutator.h"
#include "fuzz/libnbd/libnbd_client_differential.h"

namespace nbdspec::fuzz {
namespace {

ScriptInputs inputs(kLibnbdLimits);

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  AbortOnDisagreement("libnbd_client", engine::ReadScript({data, size}, kLibnbdLimits),
                      [](const engine::Script& script) {
                        return FindLibnbdClientDisagreement(script, {.make_liar = [](engine::Interposer& recorder) {
                                                              return std::make_unique<AnswerCounters>(&recorder);
                                                            }});
                      });
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
