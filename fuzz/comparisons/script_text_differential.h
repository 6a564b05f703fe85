// SPDX-License-Identifier: BSD-3-Clause
// The text form of scripts against itself: what parses prints, and parses from that to the same value; an error names
// a place in the text; and a number means the same however it is written.
//
// The printer and parser are a template parameter so that canary tests can pass wrong ones. Bytes are tried twice: as
// text, and as the bytes form of a script, which has everything that text can say.

#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "engine/script/script.h"
#include "engine/script/script_bytes.h"
#include "fuzz/comparisons/disagreement.h"

namespace nbdspec::fuzz {

struct EngineScriptText {
  static std::string Print(const engine::Script& script) { return engine::Print(script); }
  static std::expected<engine::Script, engine::Trouble> Parse(std::string_view text) {
    return engine::ParseScript(text);
  }
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

template <typename Text>
std::optional<Disagreement> FindInParsed(std::string_view text, const engine::Script& script) {
  const std::string plain = WithNumbersWrittenOut(text);
  if (const auto again = Text::Parse(plain); !again || *again != script) {
    return Disagreement{.where = "the text with numbers written out",
                        .expected = engine::Print(script),
                        .saw = again ? Text::Print(*again) : again.error().sentence};
  }
  return std::nullopt;
}

// What must hold of every script.
template <typename Text>
std::optional<Disagreement> FindInPrinted(const engine::Script& script) {
  const std::string text = Text::Print(script);
  const auto parsed = Text::Parse(text);
  if (!parsed || *parsed != script) {
    return Disagreement{.where = "what a script's text parses to",
                        .expected = engine::Print(script),
                        .saw = parsed ? engine::Print(*parsed) : text + parsed.error().sentence};
  }
  if (engine::DecodeScript(engine::EncodeScript(script), engine::kNoScriptLimits) != script) {
    return Disagreement{.where = "what a script's bytes decode to", .expected = text, .saw = "another script"};
  }
  return FindInParsed<Text>(text, script);
}

template <typename Text>
std::optional<Disagreement> FindInError(std::string_view text, const engine::Trouble& error) {
  const auto place = PlaceOf(error);
  const auto end = place ? EndOfLineAt(text, *place) : std::nullopt;
  if (!end) {
    return Disagreement{.where = "an error", .expected = "a place inside the text", .saw = error.sentence};
  }
  // It is about the first mistake: what comes after its line changes nothing.
  const auto shorter = Text::Parse(text.substr(0, *end));
  if (shorter || shorter.error().sentence != error.sentence) {
    return Disagreement{.where = "the text up to the line of its error",
                        .expected = error.sentence,
                        .saw = shorter ? "no error" : shorter.error().sentence};
  }
  return std::nullopt;
}

template <typename Text = EngineScriptText>
std::optional<Disagreement> FindScriptTextDisagreement(engine::ByteView input) {
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  const auto parsed = Text::Parse(text);
  auto found = parsed ? FindInParsed<Text>(text, *parsed) : FindInError<Text>(text, parsed.error());
  if (!found && parsed) {
    found = FindInPrinted<Text>(*parsed);
  }
  return found ? found : FindInPrinted<Text>(engine::DecodeScript(input, engine::kNoScriptLimits));
}

}  // namespace nbdspec::fuzz
