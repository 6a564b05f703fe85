// SPDX-License-Identifier: BSD-3-Clause
// Fuzzes whole exchanges with the reference server: every answer, pipelined or not, is what the model of the export and
// the rules of block status permit.

#include <cstddef>
#include <cstdint>
#include <memory>

#include "engine/script/script_bytes.h"
#include "engine/server/export.h"
#include "fuzz/comparisons/disagreement.h"
#include "fuzz/exchange/answer_counters.h"
#include "fuzz/exchange/block_status_exchange.h"
#include "fuzz/inputs/script_mutator.h"

namespace nbdspec::fuzz {
namespace {

ScriptInputs inputs(kExchangeLimits);

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  AbortOnDisagreement("block_status_exchange", engine::ReadScript({data, size}, kExchangeLimits),
                      [](const engine::Script& script) {
                        return FindBlockStatusExchangeDisagreement(
                            script, [](engine::Export&, std::uint8_t) { return std::make_unique<AnswerCounters>(); });
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
