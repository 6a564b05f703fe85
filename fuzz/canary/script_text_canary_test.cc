// SPDX-License-Identifier: BSD-3-Clause
// Every planted bug of a printer or parser of scripts is found by the comparison of the fuzz target script_text, in
// time.

#include <gtest/gtest.h>

#include <algorithm>
#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "engine/script/script.h"
#include "fuzz/canary/canary.h"
#include "fuzz/harness/script_text_differential.h"

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

CanaryRuns Runs(std::uint64_t runs_max) { return {.runs_max = runs_max, .start = SeedsOf("script_text")}; }

template <typename Text>
testing::AssertionResult IsFoundIn(std::uint64_t runs_max) {
  return HasFound(Runs(runs_max), [](engine::ByteView input) { return FindScriptTextDisagreement<Text>(input); });
}

TEST(ScriptTextCanary, TheEngineIsNotAccused) {
  EXPECT_TRUE(HasAccusedNobody(Runs(5000), [](engine::ByteView input) { return FindScriptTextDisagreement(input); }));
}

TEST(ScriptTextCanary, PrinterBugsAreFound) {
  EXPECT_TRUE(IsFoundIn<PrintForgetsTheConnection>(20));
  EXPECT_TRUE(IsFoundIn<PrintForgetsUnknownFlags>(50));
  EXPECT_TRUE(IsFoundIn<PrintCutsLengthsTo32Bits>(20));
  EXPECT_TRUE(IsFoundIn<PrintOfAnIllegalFlushHasNoRange>(700));
  EXPECT_TRUE(IsFoundIn<PrintDoesNotEscapeBlanks>(400));
  EXPECT_TRUE(IsFoundIn<PrintSaysEmptyNamesAsNothing>(150));
}

TEST(ScriptTextCanary, ParserBugsAreFound) {
  EXPECT_TRUE(IsFoundIn<ParseTakesKiloFor1000>(300));
  EXPECT_TRUE(IsFoundIn<ParseIgnoresALastLineWithoutEnd>(50));
  EXPECT_TRUE(IsFoundIn<ParseForgetsWhichCallToRefuse>(3000));
  EXPECT_TRUE(IsFoundIn<TeraIs1000GigaBothWays>(600));
}

TEST(ScriptTextCanary, WrongPlacesOfErrorsAreFound) {
  EXPECT_TRUE(IsFoundIn<ErrorIsOneLineLate>(20));
  EXPECT_TRUE(IsFoundIn<ErrorAtTheEndIsOneColumnLate>(700));
  EXPECT_TRUE(IsFoundIn<ErrorIsTheLastOne>(300));
}

}  // namespace
}  // namespace nbdspec::fuzz
