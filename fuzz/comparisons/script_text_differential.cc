// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/comparisons/script_text_differential.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "engine/script/script_bytes.h"
#include "fuzz/inputs/fresh_inputs.h"

namespace nbdspec::fuzz {
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
  constexpr __int128 kMax = std::numeric_limits<std::uint64_t>::max();
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
  const bool fits = rest.empty() && number >= 0 && number <= std::numeric_limits<std::uint64_t>::max();
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

}  // namespace

std::optional<TextPlace> PlaceOf(const engine::Trouble& error) {
  TextPlace place;
  std::string_view text = error.sentence;
  const bool has_place = Take("line ", text) && TakeNumber(place.line, text) && Take(", column ", text) &&
                         TakeNumber(place.column, text) && Take(": ", text);
  return has_place ? std::optional(place) : std::nullopt;
}

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

namespace {

std::optional<Disagreement> FindInParsed(std::string_view text, const engine::Script& script,
                                         const ScriptText& subject) {
  const std::string plain = WithNumbersWrittenOut(text);
  if (const auto again = subject.parse(plain); !again || *again != script) {
    return Disagreement{.where = "the text with numbers written out",
                        .expected = engine::Print(script),
                        .saw = again ? subject.print(*again) : again.error().sentence};
  }
  return std::nullopt;
}

// What must hold of every script.
std::optional<Disagreement> FindInPrinted(const engine::Script& script, const ScriptText& subject) {
  const std::string text = subject.print(script);
  const auto parsed = subject.parse(text);
  if (!parsed || *parsed != script) {
    return Disagreement{.where = "what a script's text parses to",
                        .expected = engine::Print(script),
                        .saw = parsed ? engine::Print(*parsed) : text + parsed.error().sentence};
  }
  if (engine::DecodeScript(engine::EncodeScript(script), engine::kNoScriptLimits) != script) {
    return Disagreement{.where = "what a script's bytes decode to", .expected = text, .saw = "another script"};
  }
  return FindInParsed(text, script, subject);
}

std::optional<Disagreement> FindInError(std::string_view text, const engine::Trouble& error,
                                        const ScriptText& subject) {
  const auto place = PlaceOf(error);
  const auto end = place ? EndOfLineAt(text, *place) : std::nullopt;
  if (!end) {
    return Disagreement{.where = "an error", .expected = "a place inside the text", .saw = error.sentence};
  }
  // It is about the first mistake: what comes after its line changes nothing.
  const auto shorter = subject.parse(text.substr(0, *end));
  if (shorter || shorter.error().sentence != error.sentence) {
    return Disagreement{.where = "the text up to the line of its error",
                        .expected = error.sentence,
                        .saw = shorter ? "no error" : shorter.error().sentence};
  }
  return std::nullopt;
}

}  // namespace

std::optional<Disagreement> FindScriptTextDisagreement(engine::ByteView input, const ScriptText& subject) {
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

}  // namespace nbdspec::fuzz
