// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/comparisons/script_differential.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string_view>
#include <variant>

#include "engine/oracle/oracles.h"
#include "fuzz/inputs/fresh_inputs.h"

namespace nbdspec::fuzz {

// --- The text form ---

namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Takes `word` from the front of `text`, if it is there.
bool Take(std::string_view word, std::string_view& text) {
  const bool is_there = text.starts_with(word);
  text.remove_prefix(is_there ? word.size() : 0);
  return is_there;
}

bool TakeNumber(std::size_t& number, std::string_view& text) {
  const auto [stopped, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  text.remove_prefix(static_cast<std::size_t>(stopped - text.data()));
  return error == std::errc();
}

// Takes digits; wrong, but in no danger, once they pass 64 bits.
__int128 TakeDigits(std::string_view& text) {
  constexpr __int128 kMax = UINT64_MAX;
  __int128 number = 0;
  for (; !text.empty() && IsDigit(text.front()); text.remove_prefix(1)) {
    number = std::min(number * 10 + (text.front() - '0'), kMax + 1);
  }
  return number;
}

// The word, or what it says in plain digits if it is a number of 64 bits, a + before it or not.
std::string WrittenOut(std::string_view word) {
  std::string_view rest = word;
  const std::string sign(Take("+", rest) ? "+" : "");
  if (rest.empty() || !IsDigit(rest.front())) {
    return std::string(word);
  }
  __int128 number = TakeDigits(rest);
  __int128 unit = 1;
  for (const std::string_view name : {"K", "M", "G", "T", "P", "E"}) {
    unit *= 1024;
    if (Take(name, rest)) {
      number *= unit;
      break;
    }
  }
  const bool is_minus = rest.starts_with('-');
  if (rest.size() > 1 && (Take("+", rest) || Take("-", rest))) {
    number += is_minus ? -TakeDigits(rest) : TakeDigits(rest);
  }
  const bool fits = rest.empty() && number >= 0 && number <= UINT64_MAX;
  return fits ? sign + std::to_string(static_cast<std::uint64_t>(number)) : std::string(word);
}

std::string LineWithNumbersWrittenOut(std::string_view line) {
  constexpr std::string_view kBlanks = " \t\r";
  std::string plain;
  while (!line.empty()) {
    const std::size_t word_end = std::min(line.find_first_of(kBlanks), line.size());
    plain += word_end == 0 ? "" : WrittenOut(line.substr(0, word_end)) + " ";
    line.remove_prefix(std::min(word_end + 1, line.size()));
    if (plain == "option ") {
      return plain + std::string(line);
    }
  }
  return plain;
}

// The end of that line of `text`, without its line end; none if it has no such line, or it no such column.
std::optional<std::size_t> EndOfLineAt(std::string_view text, TextPlace place) {
  std::size_t begin = 0;
  for (std::size_t line = 1; line < place.line; ++line) {
    begin = text.find('\n', begin);
    if (begin == std::string_view::npos) {
      return std::nullopt;
    }
    ++begin;
  }
  const std::size_t end = std::min(text.find('\n', begin), text.size());
  // A mistake may be that the line ends.
  const bool is_inside = place.line >= 1 && place.column >= 1 && place.column <= end - begin + 1;
  return is_inside ? std::optional(end) : std::nullopt;
}

// `text` with its numbers written out: 4K+1 becomes 4097. Lines of options, which have names, stay, and comments go.
// Naive on purpose.
std::string WithNumbersWrittenOut(std::string_view text) {
  std::string plain;
  while (!text.empty()) {
    const std::size_t line_end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, line_end);
    plain += LineWithNumbersWrittenOut(line.substr(0, line.find('#'))) + "\n";
    text.remove_prefix(std::min(line_end + 1, text.size()));
  }
  return plain;
}

Found FindInParsed(std::string_view text, const engine::Script& script, const ScriptText& subject) {
  return ComparePrinted("the text with numbers written out", script, subject.parse(WithNumbersWrittenOut(text)),
                        subject.print);
}

// What must hold of every script.
Found FindInPrinted(const engine::Script& script, const ScriptText& subject) {
  const std::string text = subject.print(script);
  const auto print = [](const engine::Script& each) { return engine::Print(each); };
  if (auto found = ComparePrinted("what a script's text parses to", script, subject.parse(text), print)) {
    return found;
  }
  const auto decoded = engine::DecodeScript(engine::EncodeScript(script), engine::kNoScriptLimits);
  const auto found = Compare("what a script's bytes decode to", script, decoded);
  return found ? found : FindInParsed(text, script, subject);
}

Found FindInError(std::string_view text, const engine::Trouble& error, const ScriptText& subject) {
  const auto place = PlaceOf(error);
  const auto end = place ? EndOfLineAt(text, *place) : std::nullopt;
  if (!end) {
    return Compare("an error", "a place inside the text", error.sentence);
  }
  // It is about the first mistake: what comes after its line changes nothing.
  const auto shorter = subject.parse(text.substr(0, *end));
  return Compare("the text up to the line of its error", error.sentence,
                 shorter ? "no error" : shorter.error().sentence);
}

}  // namespace

std::optional<TextPlace> PlaceOf(const engine::Trouble& error) {
  TextPlace place;
  std::string_view text = error.sentence;
  const bool has_place = Take("line ", text) && TakeNumber(place.line, text) && Take(", column ", text) &&
                         TakeNumber(place.column, text) && Take(": ", text);
  return has_place ? std::optional(place) : std::nullopt;
}

Found FindScriptTextDisagreement(engine::ByteView input, const ScriptText& subject) {
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  const auto parsed = subject.parse(text);
  auto found = parsed ? FindInParsed(text, *parsed, subject) : FindInError(text, parsed.error(), subject);
  if (!found && parsed) {
    found = FindInPrinted(*parsed, subject);
  }
  return found ? found : FindInPrinted(engine::DecodeScript(input, engine::kNoScriptLimits), subject);
}

FuzzTarget ScriptTextTarget() {
  return {.name = "script_text",
          .subject = "the text form of scripts",
          .against = "printing and parsing again",
          .inputs = {.fresh = FreshScriptText},
          .find_in_bytes = [](engine::ByteView input) { return FindScriptTextDisagreement(input); },
          .dictionary = "script.dict"};
}

// --- Shrinking ---

namespace {

using engine::Script;
using engine::Step;
using Fails = std::function<bool(const Script&)>;

constexpr int kTriesMax = 5000;
constexpr int kMapTriesMax = 300;  // An oracle takes its time.
constexpr std::uint64_t kBitmapBytesMax = 512;

// The smallest step that does what `step` does.
struct SmallestStep {
  Step operator()(const engine::RequestStep& step) const { return engine::RequestStep{.command = step.command}; }
  Step operator()(const engine::OptionStep& step) const { return engine::OptionStep{.option = step.option}; }
  template <typename Other>
  Step operator()(const Other&) const {
    return Other{};
  }
};

Step Smallest(const Step& step) { return std::visit(SmallestStep{}, step); }

// The last end of an Add; one that wraps has none.
std::uint64_t LastEnd(const Script& script) {
  std::uint64_t last = 0;
  for (const Step& step : script.steps) {
    if (const auto* add = std::get_if<engine::AddStep>(&step); add != nullptr && add->length <= ~add->offset) {
      last = std::max(last, add->offset + add->length);
    }
  }
  return last;
}

template <typename Oracle>
std::size_t ExtentCountBy(const Script& script) {
  Oracle oracle(script.size, script.initial);
  for (const Step& step : script.steps) {
    if (const auto* add = std::get_if<engine::AddStep>(&step)) {
      (void)oracle.Add(add->offset, add->length, add->type);  // What it refuses changes nothing.
    } else if (std::holds_alternative<engine::ClearStep>(step)) {
      oracle.Clear();
    }
  }
  return oracle.Extents({.begin = 0, .end = script.size}).size();
}

// Shrinks `script`, which fails, and sees to what must hold whatever the reason. If it did not run out of tries, what
// `find_in_small` finds in the result is wrong as well.
Found FindInShrunk(const Script& script, const Fails& fails, int tries_max, const ShrinkScript& shrink,
                   const FindScriptDisagreement& find_in_small) {
  constexpr std::string_view kWhere = "what it shrinks to";
  int tries = 0;
  const Fails counted = [&](const Script& candidate) {
    ++tries;
    return fails(candidate);
  };
  const Script small = shrink(script, counted, tries_max);
  if (tries > tries_max) {
    return Compare("the most tries", tries_max, tries);
  }
  if (!fails(small)) {
    return Compare(kWhere, "a script that still fails", engine::Print(small));
  }
  if (small.steps.size() > script.steps.size()) {
    return Compare(kWhere, "no more steps than before", engine::Print(small));
  }
  auto found = Compare("what it shrinks to the second time", small, shrink(script, fails, tries_max));
  return found || tries == tries_max ? found : Under(std::string(kWhere), find_in_small(small));
}

// It fails as long as some step does what the last one does: everything else goes.
Found FindByKind(const Script& script, const ShrinkScript& shrink) {
  const Step kept = Smallest(script.steps.back());
  const Fails fails = [&](const Script& candidate) { return std::ranges::count(candidate.steps, kept, Smallest) > 0; };
  return FindInShrunk(script, fails, kTriesMax, shrink,
                      [&](const Script& small) { return Compare("", Script{.size = 0, .steps = {kept}}, small); });
}

// It fails as long as an Add ends as far away: one is left, which ends there or, because its begin and length may each
// be rounded up to be read more easily, later, but not by much.
Found FindByLastEnd(const Script& script, const ShrinkScript& shrink) {
  const std::uint64_t end = LastEnd(script);
  if (end == 0) {
    return std::nullopt;
  }
  const Fails fails = [&](const Script& candidate) { return LastEnd(candidate) >= end; };
  return FindInShrunk(script, fails, kTriesMax, shrink, [&](const Script& small) {
    const bool is_right = small.steps.size() == 1 && LastEnd(small) <= 4 * __int128{end};
    return is_right ? Found() : Compare("", "one step that ends at the last end or a bit later", engine::Print(small));
  });
}

// It fails as long as it leaves as many extents. The oracles agree on how many those are.
Found FindByExtentCount(const Script& script, const ShrinkScript& shrink) {
  const std::size_t count = ExtentCountBy<engine::LastWriterOracle>(script);
  if (script.size <= kBitmapBytesMax) {
    if (auto found = Compare("the extents, by the oracles", ExtentCountBy<engine::BitmapOracle>(script), count)) {
      return found;
    }
  }
  const Fails fails = [&](const Script& candidate) {
    return ExtentCountBy<engine::LastWriterOracle>(candidate) >= count;
  };
  return FindInShrunk(script, fails, kMapTriesMax, shrink, [](const Script&) { return Found(); });
}

}  // namespace

Found FindScriptShrinkDisagreement(const Script& script, const ShrinkScript& shrink) {
  auto found = script.steps.empty() ? std::nullopt : FindByKind(script, shrink);
  found = found ? found : FindByLastEnd(script, shrink);
  return found ? found : FindByExtentCount(script, shrink);
}

FuzzTarget ScriptShrinkTarget() {
  return {.name = "script_shrink",
          .subject = "making scripts smaller",
          .against = "what must be left of them, where that is known",
          .inputs = ScriptKind(kShrinkLimits),
          .find_in_script =
              [](const engine::Script& script) { return FindScriptShrinkDisagreement(script, engine::Shrink); },
          .test_runs = 500,
          .check_runs = 10'000};
}

}  // namespace nbdspec::fuzz
