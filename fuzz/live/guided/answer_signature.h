// SPDX-License-Identifier: BSD-3-Clause
// What kind of answer was that? Numbers that stand in for code coverage where a server is not instrumented.
//
// Two answers have the same signatures when they are of one kind: which messages, which error, how many descriptors
// (about), which flags in which order, how far they reach of what was asked, what was answered before them.

#pragma once

#include <cstdint>
#include <vector>

#include "engine/script/script.h"
#include "fuzz/live/run/live_server.h"

namespace nbdspec::fuzz {

// Signatures are below it: libFuzzer has a counter for each. A power of two, and large for that two seldom meet.
inline constexpr std::uint32_t kSignatureLimit = 1 << 16;

// Those of the answers to `script`, sorted, each once. `result` has answers (LiveOptions::keep_answers).
std::vector<std::uint32_t> SignaturesOf(const engine::Script& script, const RunResult& result);

}  // namespace nbdspec::fuzz
