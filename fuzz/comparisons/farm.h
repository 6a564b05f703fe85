// SPDX-License-Identifier: BSD-3-Clause
// What a fuzzing farm wants of a target besides its program; tools/oss_fuzz/pack asks for it.

#pragma once

#include <optional>
#include <string_view>

#include "fuzz/comparisons/fuzz_target.h"

namespace nbdspec::fuzz {

// Does what a word of a command line asks, and returns the exit status; none if the word asks for nothing here.
//   --options     prints the target's options, as libFuzzer's words
//   --seeds=DIR   writes inputs of the target's form to files in DIR, for engines that do not have its mutator
std::optional<int> AnswerFarm(const FuzzTarget& target, std::string_view word);

}  // namespace nbdspec::fuzz
