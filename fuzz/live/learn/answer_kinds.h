// SPDX-License-Identifier: BSD-3-Clause
// What kinds of answers a script had: what stands in for code coverage where a server is not instrumented.
//
// A signature is a number for one kind of answer. Two answers have the same signatures when they are of one kind: which
// messages, which error, how many descriptors (about), which flags in which order, how far they reach of what was
// requested, what was answered before them.

#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/exchange/exchange.h"
#include "engine/script/script.h"

namespace nbdspec::fuzz {

// Signatures are below it, so that no server makes up more: libFuzzer has a counter for each. A power of two, and large
// for that two seldom meet.
inline constexpr std::uint32_t kSignatureLimit = 1 << 16;

// Those of the answers to `script`, of which there is one for each step, or none: sorted, each once.
std::vector<std::uint32_t> SignaturesOf(const engine::Script& script, std::span<const engine::Answer> answers);

}  // namespace nbdspec::fuzz
