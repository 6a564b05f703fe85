// SPDX-License-Identifier: BSD-3-Clause
// The target's mutator as afl-fuzz loads it (AFL_CUSTOM_MUTATOR_LIBRARY), a shared library for each target: AFL++'s
// driver of libFuzzer targets does not call LLVMFuzzerCustomMutator. The functions are of AFL++'s custom mutators.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/base/bytes.h"
#include "fuzz/comparisons/fuzz_target.h"
#include "fuzz/inputs/input_mutator.h"
#include "fuzz/inputs/random.h"

namespace nbdspec::fuzz {

FuzzTarget ThisTarget();  // Defined in a file that cc_fuzz_target writes.

namespace {

struct AflMutator {
  std::size_t bytes_max;
  bool crosses;
  InputMutator mutator;
  Random random;
  engine::Bytes out = {};
};

}  // namespace

extern "C" void* afl_custom_init(void* /*afl*/, unsigned seed) {
  const FuzzTarget target = ThisTarget();
  return new AflMutator{.bytes_max = target.inputs.bytes_max,
                        .crosses = target.inputs.script.has_value(),
                        .mutator = InputMutator(target.inputs),
                        .random = Random(seed)};
}

extern "C" void afl_custom_deinit(void* data) { delete static_cast<AflMutator*>(data); }

// Makes an input of `input`, or at times of it and `other`, in `*out`, which stays ours. Returns its size.
extern "C" std::size_t afl_custom_fuzz(void* data, const std::uint8_t* input, std::size_t size, std::uint8_t** out,
                                       const std::uint8_t* other, std::size_t other_size, std::size_t size_max) {
  AflMutator& state = *static_cast<AflMutator*>(data);
  const std::size_t most = std::min(size_max, state.bytes_max);
  const auto seed = static_cast<unsigned>(state.random());
  state.out.resize(std::max<std::size_t>(most, 1));
  *out = state.out.data();
  // As often as libFuzzer does.
  if (state.crosses && other != nullptr && state.random.OneIn(2)) {
    const std::span<std::uint8_t> room = std::span(state.out).first(most);
    if (const std::size_t crossed = state.mutator.Cross({input, size}, {other, other_size}, room, seed); crossed > 0) {
      return crossed;
    }
  }
  const std::size_t kept = std::min(size, most);
  std::copy_n(input, kept, *out);
  return state.mutator.Mutate(*out, kept, most, seed);
}

}  // namespace nbdspec::fuzz

// What is compiled for AFL++ calls these, and afl-fuzz, which looks for no bugs in itself, does not have them.
extern "C" __attribute__((weak)) void __sanitizer_cov_trace_pc_guard(std::uint32_t* /*guard*/) {}
extern "C" __attribute__((weak)) void __sanitizer_cov_trace_pc_guard_init(std::uint32_t* /*begin*/,
                                                                          std::uint32_t* /*end*/) {}
