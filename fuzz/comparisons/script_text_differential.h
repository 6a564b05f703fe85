// SPDX-License-Identifier: BSD-3-Clause
// The text form of scripts against itself: what parses prints, and parses from that to the same value; an error names
// a place in the text; and a number means the same however it is written.
//
// Bytes are tried twice: as text, and as the bytes form of a script, which has everything that text can say.

#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "engine/script/script.h"
#include "fuzz/comparisons/fuzz_target.h"

namespace nbdspec::fuzz {

// What is under test. Canary tests replace a member by one with a planted bug.
struct ScriptText {
  std::function<std::string(const engine::Script&)> print = [](const engine::Script& script) {
    return engine::Print(script);
  };
  std::function<std::expected<engine::Script, engine::Trouble>(std::string_view)> parse = engine::ParseScript;
};

// Where an error says it is; none if it does not begin with "line N, column N: ".
struct TextPlace {
  std::size_t line = 0;
  std::size_t column = 0;
};
std::optional<TextPlace> PlaceOf(const engine::Trouble& error);

// The end of that line of `text`, without its line end; none if it has no such line, or it no such column.
std::optional<std::size_t> EndOfLineAt(std::string_view text, TextPlace place);

// `text` with its numbers written out: 4K+1 becomes 4097. Lines of options, which have names, stay, and comments go.
// Naive on purpose.
std::string WithNumbersWrittenOut(std::string_view text);

// The first thing wrong with what the subject makes of `input`.
std::optional<Disagreement> FindScriptTextDisagreement(engine::ByteView input, const ScriptText& subject = {});

FuzzTarget ScriptTextTarget();

}  // namespace nbdspec::fuzz
