// SPDX-License-Identifier: BSD-3-Clause
// Shrinks a script for reasons whose smallest script is known, or that oracles of the map decide: what is left must
// still fail, be as small as the test can verify, and be the same each time.

#pragma once

#include <functional>
#include <optional>

#include "engine/script/script.h"
#include "engine/script/script_bytes.h"
#include "fuzz/comparisons/fuzz_target.h"

namespace nbdspec::fuzz {

inline constexpr engine::ScriptLimits kShrinkLimits = {
    .steps_max = 24, .kinds = engine::kNoScriptLimits.kinds, .connections_max = engine::kConnectionsMax};

// engine::Shrink, or a wrong one.
using ShrinkScript = std::function<engine::Script(
    engine::Script script, const std::function<bool(const engine::Script&)>& fails, int tries_max)>;

// The first thing wrong with what `script` shrinks to.
std::optional<Disagreement> FindScriptShrinkDisagreement(const engine::Script& script, const ShrinkScript& shrink);

FuzzTarget ScriptShrinkTarget();

}  // namespace nbdspec::fuzz
