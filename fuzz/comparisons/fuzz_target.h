// SPDX-License-Identifier: BSD-3-Clause
// FuzzTarget: all there is to say about one fuzz target, as a row. The libFuzzer programs, the replay of the corpus,
// the canaries, tools/check and the table in docs/howto/add_a_fuzz_target.md are made of these rows.
//
// The row of the target wire_decode is what WireDecodeTarget() returns, beside its comparison, and is listed in
// fuzz/targets.bzl. A row is not a constant there, for a program links its own target only: one replaces
// operator new, another needs libnbd, and libFuzzer looks at every counter that is linked.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/bytes.h"
#include "fuzz/inputs/input_mutator.h"
#include "fuzz/oracles/disagreement.h"

namespace nbdspec::fuzz {

struct FuzzTarget {
  std::string_view name;     // Its folder in corpus/seeds and corpus/regressions; its program is NAME_fuzz.
  std::string_view subject;  // For the documentation: what it looks for bugs in,
  std::string_view against;  // and what that is compared with.
  InputKind inputs;          // Scripts, or bytes of a form.
  // The comparison: the one for scripts where the inputs are scripts.
  FindScriptDisagreement find_in_script = {};
  FindBytesDisagreement find_in_bytes = {};
  std::string_view dictionary = {};   // A file in fuzz/targets.
  std::uint64_t test_runs = 2000;     // Random inputs after the corpus, in `bazel test`.
  std::uint64_t check_runs = 30'000;  // Inputs of libFuzzer in tools/check.
};

Found Find(const FuzzTarget& target, engine::ByteView input);

// As the shell's printf takes them: an octal escape for each byte.
std::string AsPrintfTakesThem(engine::ByteView input);

// Returns if there is no disagreement about `input`. Otherwise prints it, the script (shrunk, if it `shrinks`) or the
// input, and the lines that keep and replay it, and aborts: libFuzzer ignores what LLVMFuzzerTestOneInput returns.
void AbortOnDisagreement(const FuzzTarget& target, engine::ByteView input, bool shrinks = true);

}  // namespace nbdspec::fuzz
