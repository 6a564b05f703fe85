// SPDX-License-Identifier: BSD-3-Clause
// The text form of scripts against itself: what parses prints, and parses from that to the same value; an error names
// a place in the text; and a number means the same however it is written. Bytes are tried twice: as text, and as the
// bytes form of a script, which has everything that text can say.
//
// And scripts shrunk for reasons whose smallest script is known, or that oracles of the map decide: what is left must
// still fail, be as small as the test can verify, and be the same each time.

#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "engine/script/script.h"
#include "engine/script/script_bytes.h"
#include "engine/script/shrink.h"
#include "fuzz/comparisons/fuzz_target.h"

namespace nbdspec::fuzz {

// What is under test. Canary tests replace a member by one with a planted bug.
struct ScriptText {
  std::function<std::string(const engine::Script&)> print = [](const engine::Script& script) {
    return engine::Print(script);
  };
  std::function<decltype(engine::ParseScript)> parse = engine::ParseScript;
};

// Where an error says it is; none if it does not begin with "line N, column N: ".
struct TextPlace {
  std::size_t line = 0;
  std::size_t column = 0;
};
std::optional<TextPlace> PlaceOf(const engine::Trouble& error);

// The first thing wrong with what the subject makes of `input`.
Found FindScriptTextDisagreement(engine::ByteView input, const ScriptText& subject = {});

FuzzTarget ScriptTextTarget();

inline constexpr engine::ScriptLimits kShrinkLimits = {
    .steps_max = 24, .kinds = engine::kNoScriptLimits.kinds, .connections_max = engine::kConnectionsMax};

// engine::Shrink, or a wrong one.
using ShrinkScript = std::function<decltype(engine::Shrink)>;

// The first thing wrong with what `script` shrinks to.
Found FindScriptShrinkDisagreement(const engine::Script& script, const ShrinkScript& shrink);

FuzzTarget ScriptShrinkTarget();

}  // namespace nbdspec::fuzz
