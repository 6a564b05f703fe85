// SPDX-License-Identifier: BSD-3-Clause
// The planted bugs of the target script_text: printers and parsers of scripts that are wrong in one way each.

#include <algorithm>
#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "engine/script/script.h"
#include "fuzz/canary/canary.h"
#include "fuzz/canary/registry.h"
#include "fuzz/comparisons/script_text_differential.h"
#include "fuzz/inputs/fresh_inputs.h"

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

// The bugs: each is the engine's but for one function.

struct PrintForgetsTheConnection : EngineScriptText {
  static std::string Print(const Script& script) {
    return engine::Print(Changed<engine::RequestStep>(script, [](auto& step) { step.connection = 1; }));
  }
};

struct PrintForgetsUnknownFlags : EngineScriptText {
  static std::string Print(const Script& script) {
    return engine::Print(Changed<engine::RequestStep>(script, [](auto& step) { step.flags &= 0x1f; }));
  }
};

struct PrintCutsLengthsTo32Bits : EngineScriptText {
  static std::string Print(const Script& script) {
    return engine::Print(Changed<engine::AddStep>(script, [](auto& step) { step.length &= 0xffffffff; }));
  }
};

struct PrintOfAnIllegalFlushHasNoRange : EngineScriptText {
  static std::string Print(const Script& script) {
    return engine::Print(Changed<engine::RequestStep>(script, [](auto& step) {
      step.offset = step.command == engine::Command::kFlush ? 0 : step.offset;
      step.length = step.command == engine::Command::kFlush ? 0 : step.length;
    }));
  }
};

struct PrintDoesNotEscapeBlanks : EngineScriptText {
  static std::string Print(const Script& script) { return Replaced(engine::Print(script), "\\x20", " "); }
};

struct PrintSaysEmptyNamesAsNothing : EngineScriptText {
  static std::string Print(const Script& script) { return Replaced(engine::Print(script), " \"\"", ""); }
};

struct ParseTakesKiloFor1000 : EngineScriptText {
  static Parsed Parse(std::string_view text) { return engine::ParseScript(Replaced(std::string(text), "K", "000")); }
};

struct ParseIgnoresALastLineWithoutEnd : EngineScriptText {
  static Parsed Parse(std::string_view text) { return engine::ParseScript(text.substr(0, text.rfind('\n'))); }
};

struct ParseForgetsWhichCallToRefuse : EngineScriptText {
  static Parsed Parse(std::string_view text) {
    auto parsed = engine::ParseScript(text);
    return parsed ? Changed<engine::ForEachStep>(*std::move(parsed), [](auto& step) { step.stop_at &= 0x7f; }) : parsed;
  }
};

// The same wrong number out and in: no round trip shows it.
struct TeraIs1000GigaBothWays : EngineScriptText {
  static std::string Print(const Script& script) { return Replaced(engine::Print(script), "000G", "T"); }
  static Parsed Parse(std::string_view text) { return engine::ParseScript(Replaced(std::string(text), "T", "000G")); }
};

struct ErrorIsOneLineLate : EngineScriptText {
  static Parsed Parse(std::string_view text) { return Moved(engine::ParseScript(text), 1, 0); }
};

struct ErrorAtTheEndIsOneColumnLate : EngineScriptText {
  static Parsed Parse(std::string_view text) { return Moved(engine::ParseScript(text), 0, 1); }
};

struct ErrorIsTheLastOne : EngineScriptText {
  static Parsed Parse(std::string_view text) {
    const auto parsed = engine::ParseScript(text);
    return parsed ? parsed : engine::ParseScript(std::string(text) + "\nsize\n");
  }
};

template <typename Text>
FindBytesDisagreement With() {
  return [](engine::ByteView input) { return FindScriptTextDisagreement<Text>(input); };
}

}  // namespace

CanaryTarget ScriptTextCanaries() {
  return {
      .name = "script_text",
      .inputs = {.bytes_max = 512, .fresh = FreshScriptText},
      .right = {[](engine::ByteView input) { return FindScriptTextDisagreement(input); }},
      .canaries =
          {
              {"PrintForgetsTheConnection", Family::kLost, 100, With<PrintForgetsTheConnection>()},
              {"PrintForgetsUnknownFlags", Family::kBits, 100, With<PrintForgetsUnknownFlags>()},
              {"PrintCutsLengthsTo32Bits", Family::kWidth, 100, With<PrintCutsLengthsTo32Bits>()},
              {"PrintOfAnIllegalFlushHasNoRange", Family::kRule, 450, With<PrintOfAnIllegalFlushHasNoRange>()},
              {"PrintDoesNotEscapeBlanks", Family::kRule, 200, With<PrintDoesNotEscapeBlanks>()},
              {"PrintSaysEmptyNamesAsNothing", Family::kLost, 300, With<PrintSaysEmptyNamesAsNothing>()},
              {"ParseTakesKiloFor1000", Family::kRule, 100, With<ParseTakesKiloFor1000>()},
              {"ParseIgnoresALastLineWithoutEnd", Family::kLost, 100, With<ParseIgnoresALastLineWithoutEnd>()},
              {"ParseForgetsWhichCallToRefuse", Family::kError, 2000, With<ParseForgetsWhichCallToRefuse>()},
              {"TeraIs1000GigaBothWays", Family::kRule, 650, With<TeraIs1000GigaBothWays>()},
              {"ErrorIsOneLineLate", Family::kEdge, 100, With<ErrorIsOneLineLate>()},
              {"ErrorAtTheEndIsOneColumnLate", Family::kEdge, 8000, With<ErrorAtTheEndIsOneColumnLate>()},
              {"ErrorIsTheLastOne", Family::kError, 50'000, With<ErrorIsTheLastOne>()},
          },
  };
}

}  // namespace nbdspec::fuzz
