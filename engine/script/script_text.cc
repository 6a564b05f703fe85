// SPDX-License-Identifier: BSD-3-Clause
#include <charconv>
#include <cstdio>
#include <limits>
#include <optional>
#include <utility>

#include "engine/script/script.h"

namespace nbdspec::engine {
namespace {

constexpr std::string_view kUnits = "KMGTPE";
constexpr std::string_view kBlanks = " \t\r";

// Wide enough for 16E, which 16E-1 passes through on its way to 2^64-1.
using Wide = unsigned __int128;

constexpr Wide UnitBytes(std::size_t unit_index) { return Wide{1} << (10 * (unit_index + 1)); }

// `bytes` in its largest unit; empty if it is no multiple of one.
std::string PrintInUnits(Wide bytes) {
  for (std::size_t unit = kUnits.size(); unit-- > 0;) {
    if (bytes != 0 && bytes % UnitBytes(unit) == 0) {
      return std::to_string(static_cast<std::uint64_t>(bytes / UnitBytes(unit))) + kUnits[unit];
    }
  }
  return "";
}

// What may stand in an error message of what was read: printable, short.
std::string Shown(std::string_view word) {
  constexpr std::size_t kShownMax = 40;
  std::string shown;
  for (const char c : word.substr(0, kShownMax)) {
    shown += c >= ' ' && c <= '~' ? c : '?';
  }
  return "\"" + shown + (word.size() > kShownMax ? "\"..." : "\"");
}

std::optional<std::uint64_t> ParseDecimal(std::string_view text) {
  std::uint64_t number = 0;
  const auto [stopped, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || stopped != text.data() + text.size()) {
    return std::nullopt;
  }
  return number;
}

// DECIMAL [UNIT] [+DECIMAL | -DECIMAL]; none if it is something else or no 64-bit number.
std::optional<std::uint64_t> ParseNumber(std::string_view text) {
  std::string_view tail;
  bool is_minus = false;
  if (const std::size_t sign = text.find_first_of("+-"); sign != std::string_view::npos) {
    is_minus = text[sign] == '-';
    tail = text.substr(sign + 1);
    text = text.substr(0, sign);
    if (tail.empty()) {
      return std::nullopt;
    }
  }
  Wide unit = 1;
  if (const std::size_t index = text.empty() ? kUnits.npos : kUnits.find(text.back()); index != kUnits.npos) {
    unit = UnitBytes(index);
    text.remove_suffix(1);
  }
  const auto count = ParseDecimal(text);
  const auto difference = tail.empty() ? 0 : ParseDecimal(tail);
  if (!count || !difference) {
    return std::nullopt;
  }
  const Wide base = *count * unit;
  if (is_minus && *difference > base) {
    return std::nullopt;
  }
  const Wide number = is_minus ? base - *difference : base + *difference;
  if (number > std::numeric_limits<std::uint64_t>::max()) {
    return std::nullopt;
  }
  return static_cast<std::uint64_t>(number);
}

std::optional<ExtentType> ParseType(std::string_view text) {
  for (std::uint8_t bits = 0; bits < kExtentTypeCount; ++bits) {
    if (text == Print(static_cast<ExtentType>(bits))) {
      return static_cast<ExtentType>(bits);
    }
  }
  std::uint8_t bits = 0;
  if (!text.starts_with("0x")) {
    return std::nullopt;
  }
  text.remove_prefix(2);
  const auto [stopped, error] = std::from_chars(text.data(), text.data() + text.size(), bits, 16);
  if (error != std::errc() || stopped != text.data() + text.size()) {
    return std::nullopt;
  }
  return static_cast<ExtentType>(bits);
}

// The words of one line. The first mistake is kept; after it, what is returned means nothing.
class Line {
 public:
  Line(std::string_view text, std::size_t number) : text_(text.substr(0, text.find('#'))), number_(number) {
    SkipBlanks();
  }

  [[nodiscard]] bool AtEnd() const { return at_ == text_.size(); }
  [[nodiscard]] const std::optional<Trouble>& trouble() const { return trouble_; }

  // The next word; `wanted` says what it should be.
  std::string_view Word(std::string_view wanted) {
    word_at_ = at_;
    const std::size_t word_end = std::min(text_.find_first_of(kBlanks, at_), text_.size());
    const std::string_view word = text_.substr(at_, word_end - at_);
    at_ = word_end;
    SkipBlanks();
    if (word.empty()) {
      Mistake("expected " + std::string(wanted) + ", but the line ends here");
    }
    return word;
  }

  std::uint64_t Number(std::string_view wanted) { return ToNumber(Word(wanted), wanted); }

  std::uint64_t Length() {
    constexpr std::string_view kWanted = "+ and a length, such as +8K";
    const std::string_view word = Word(kWanted);
    return ToNumber(word.starts_with('+') ? word.substr(1) : "", kWanted, word);
  }

  ExtentType Type() {
    constexpr std::string_view kWanted = "data, hole, zero, hole,zero or bits such as 0x84";
    const std::string_view word = Word(kWanted);
    const auto type = ParseType(word);
    if (!type) {
      Expected(kWanted, word);
    }
    return type.value_or(ExtentType::kData);
  }

  void End() {
    if (!AtEnd()) {
      Expected("the end of the line", Word(""));
    }
  }

  void Expected(std::string_view wanted, std::string_view word) {
    Mistake("expected " + std::string(wanted) + ", got " + Shown(word));
  }

  // Says that the last word is wrong.
  void Mistake(const std::string& what) {
    if (!trouble_) {
      trouble_ = Trouble{"line " + std::to_string(number_) + ", column " + std::to_string(word_at_ + 1) + ": " + what};
    }
  }

 private:
  void SkipBlanks() { at_ = std::min(text_.find_first_not_of(kBlanks, at_), text_.size()); }

  std::uint64_t ToNumber(std::string_view digits, std::string_view wanted, std::string_view word = {}) {
    const auto number = ParseNumber(digits);
    if (!number) {
      Expected(wanted, word.empty() ? digits : word);
    }
    return number.value_or(0);
  }

  std::string_view text_;
  std::size_t number_;
  std::size_t at_ = 0;
  std::size_t word_at_ = 0;
  std::optional<Trouble> trouble_;
};

constexpr std::string_view kOffset = "an offset, such as 4096, 8K or 4G-1";

Step ParseForEach(Line& line) {
  ForEachStep step;
  const std::uint64_t offset = line.Number(kOffset);
  const std::uint64_t length = line.Length();
  const auto bounds = ByteRange::From({.offset = offset, .length = length});
  if (!bounds) {
    line.Mistake("bounds must end below 16E");
  }
  step.bounds = bounds.value_or(ByteRange{});
  if (!line.AtEnd()) {
    if (const std::string_view word = line.Word("stop"); word != "stop") {
      line.Expected("stop, or the end of the line", word);
    }
    const std::uint64_t stop_at = line.Number("which call to refuse, 1 to 255");
    if (stop_at < 1 || stop_at > std::numeric_limits<std::uint8_t>::max()) {
      line.Mistake("expected which call to refuse, 1 to 255");
    }
    step.stop_at = static_cast<std::uint8_t>(stop_at);
  }
  return step;
}

// The step on the line, after its first word.
Step ParseStep(std::string_view verb, Line& line) {
  if (verb == "add") {
    AddStep step;
    step.offset = line.Number(kOffset);
    step.length = line.Length();
    step.type = line.Type();
    return step;
  }
  if (verb == "foreach") {
    return ParseForEach(line);
  }
  if (verb == "lookup") {
    return LookupStep{.offset = line.Number(kOffset)};
  }
  if (verb != "clear") {
    line.Expected("add, clear, foreach or lookup", verb);
  }
  return ClearStep{};
}

// What has been read so far.
struct Reading {
  Script script;
  bool has_size = false;
  bool has_initial = false;
};

void ParseLine(Line& line, Reading& reading) {
  const std::string_view verb = line.Word("a step");
  if (!reading.has_size) {
    if (verb != "size") {
      line.Expected("size, which comes first", verb);
    }
    reading.script.size = line.Number("a size, such as 64, 8K or 8E-1");
    if (reading.script.size > kExportBytesMax) {
      line.Mistake("the size is at most 8E-1");
    }
    reading.has_size = true;
  } else if (verb == "initial") {
    if (reading.has_initial || !reading.script.steps.empty()) {
      line.Mistake("initial comes once, before the steps");
    }
    reading.script.initial = line.Type();
    if (!IsExtentType(static_cast<std::uint8_t>(reading.script.initial))) {
      line.Mistake("the initial type is data, hole, zero or hole,zero");
    }
    reading.has_initial = true;
  } else {
    reading.script.steps.push_back(ParseStep(verb, line));
  }
  line.End();
}

struct StepPrinter {
  std::string operator()(const AddStep& step) const {
    return "add " + PrintNumber(step.offset) + " +" + PrintNumber(step.length) + " " + Print(step.type);
  }
  std::string operator()(const ClearStep&) const { return "clear"; }
  std::string operator()(const ForEachStep& step) const {
    return "foreach " + PrintNumber(step.bounds.begin) + " +" + PrintNumber(step.bounds.length()) +
           (step.stop_at == 0 ? "" : " stop " + std::to_string(step.stop_at));
  }
  std::string operator()(const LookupStep& step) const { return "lookup " + PrintNumber(step.offset); }
};

}  // namespace

std::string PrintNumber(std::uint64_t bytes) {
  // Numbers beside a large power of two are clearer as such: 4294967295 is 4G-1.
  constexpr Wide kGiga = UnitBytes(2);
  const Wide wide = bytes;
  if (std::string exact = PrintInUnits(wide); !exact.empty()) {
    return exact;
  }
  if ((wide + 1) % kGiga == 0) {
    return PrintInUnits(wide + 1) + "-1";
  }
  if (wide > 1 && (wide - 1) % kGiga == 0) {
    return PrintInUnits(wide - 1) + "+1";
  }
  return std::to_string(bytes);
}

std::string Print(ExtentType type) {
  switch (type) {
    case ExtentType::kData:
      return "data";
    case ExtentType::kHole:
      return "hole";
    case ExtentType::kZero:
      return "zero";
    case ExtentType::kHoleZero:
      return "hole,zero";
  }
  char bits[8];
  std::snprintf(bits, sizeof bits, "0x%02x", static_cast<unsigned>(type));
  return bits;
}

std::string Print(Extent extent) {
  return "[" + PrintNumber(extent.range.begin) + ", " + PrintNumber(extent.range.end) + ") " + Print(extent.type);
}

std::string Print(const Step& step) { return std::visit(StepPrinter{}, step); }

std::string Print(const Script& script) {
  std::string text(kScriptHeader);
  text += "\nsize " + PrintNumber(script.size) + "\ninitial " + Print(script.initial) + "\n";
  for (const Step& step : script.steps) {
    text += Print(step) + "\n";
  }
  return text;
}

std::expected<Script, Trouble> ParseScript(std::string_view text) {
  Reading reading;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t line_end = text.find('\n');
    Line line(text.substr(0, line_end), number);
    text = line_end == std::string_view::npos ? "" : text.substr(line_end + 1);
    if (line.AtEnd()) {
      continue;
    }
    ParseLine(line, reading);
    if (line.trouble()) {
      return std::unexpected(*line.trouble());
    }
  }
  if (!reading.has_size) {
    return std::unexpected(Trouble{"line 1, column 1: expected a line such as \"size 64\", but the script is empty"});
  }
  return std::move(reading.script);
}

}  // namespace nbdspec::engine
