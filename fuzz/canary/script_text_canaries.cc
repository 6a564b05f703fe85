// SPDX-License-Identifier: BSD-3-Clause
// The planted bugs of the target script_text: printers and parsers of scripts that are wrong in one way each.

#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "engine/script/script.h"
#include "fuzz/canary/canary.h"
#include "fuzz/comparisons/script_differential.h"

namespace nbdspec::fuzz {
namespace {

using engine::Script;
using Parsed = std::expected<Script, engine::Trouble>;

std::string Replaced(std::string text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

template <typename Kind, typename Change>
Script Changed(Script script, const Change& change) {
  for (engine::Step& step : script.steps) {
    if (auto* kind = std::get_if<Kind>(&step)) {
      change(*kind);
    }
  }
  return script;
}

// `parsed`; an error with its place moved.
Parsed Moved(const Parsed& parsed, std::size_t lines, std::size_t columns) {
  if (parsed) {
    return parsed;
  }
  const engine::Trouble& error = parsed.error();
  const TextPlace place = PlaceOf(error).value_or(TextPlace{});
  return std::unexpected(engine::Trouble{"line " + std::to_string(place.line + lines) + ", column " +
                                         std::to_string(place.column + columns) +
                                         error.sentence.substr(error.sentence.find(": "))});
}

// A printer of scripts in which `change` has changed each step of a kind.
template <typename Kind, typename Change>
ScriptText PrintsChanged(const Change& change) {
  return {.print = [change](const Script& script) { return engine::Print(Changed<Kind>(script, change)); }};
}

ScriptText Parses(const decltype(ScriptText::parse)& parse) { return {.parse = parse}; }

ScriptText PrintsReplaced(std::string_view from, std::string_view to) {
  return {.print = [from, to](const Script& script) { return Replaced(engine::Print(script), from, to); }};
}

ScriptText ParsesReplaced(std::string_view from, std::string_view to) {
  return Parses([=](std::string_view text) { return engine::ParseScript(Replaced(std::string(text), from, to)); });
}

// Errors have their place moved.
ScriptText MovesErrors(std::size_t lines, std::size_t columns) {
  return Parses([=](std::string_view text) { return Moved(engine::ParseScript(text), lines, columns); });
}

std::vector<WrongSubject<ScriptText>> WrongTexts() {
  using engine::Command;
  using engine::RequestStep;
  return {
      {"PrintForgetsTheConnection", Family::kLost, 100,
       PrintsChanged<RequestStep>([](auto& step) { step.connection = 1; })},
      {"PrintForgetsUnknownFlags", Family::kBits, 100,
       PrintsChanged<RequestStep>([](auto& step) { step.flags &= 0x1f; })},
      {"PrintCutsLengthsTo32Bits", Family::kWidth, 100,
       PrintsChanged<engine::AddStep>([](auto& step) { step.length &= 0xffffffff; })},
      {"PrintOfAnIllegalFlushHasNoRange", Family::kRule, 450, PrintsChanged<RequestStep>([](auto& step) {
         step.offset = step.command == Command::kFlush ? 0 : step.offset;
         step.length = step.command == Command::kFlush ? 0 : step.length;
       })},
      {"PrintDoesNotEscapeBlanks", Family::kRule, 200, PrintsReplaced("\\x20", " ")},
      {"PrintSaysEmptyNamesAsNothing", Family::kLost, 300, PrintsReplaced(" \"\"", "")},
      {"ParseTakesKiloFor1000", Family::kRule, 100, ParsesReplaced("K", "000")},
      {"ParseIgnoresALastLineWithoutEnd", Family::kLost, 100,
       Parses([](std::string_view text) { return engine::ParseScript(text.substr(0, text.rfind('\n'))); })},
      {"ParseForgetsWhichCallToRefuse", Family::kError, 2000, Parses([](std::string_view text) {
         auto parsed = engine::ParseScript(text);
         return parsed ? Changed<engine::ForEachStep>(*std::move(parsed), [](auto& step) { step.stop_at &= 0x7f; })
                       : parsed;
       })},
      // The same wrong number out and in: no round trip shows it.
      {"TeraIs1000GigaBothWays",
       Family::kRule,
       650,
       {.print = PrintsReplaced("000G", "T").print, .parse = ParsesReplaced("T", "000G").parse}},
      {"ErrorIsOneLineLate", Family::kEdge, 100, MovesErrors(1, 0)},
      {"ErrorAtTheEndIsOneColumnLate", Family::kEdge, 8000, MovesErrors(0, 1)},
      {"ErrorIsTheLastOne", Family::kError, 50'000, Parses([](std::string_view text) {
         auto parsed = engine::ParseScript(text);
         return parsed ? parsed : engine::ParseScript(std::string(text) + "\nsize\n");
       })},
  };
}

}  // namespace

CanaryTarget ScriptTextCanaries() {
  return CanariesFor(ScriptTextTarget(), CanariesOf(WrongTexts(), FindScriptTextDisagreement));
}

}  // namespace nbdspec::fuzz
