// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <utility>

#include "engine/script/script.h"
#include "engine/script/script_words.h"

namespace nbdspec::engine {
namespace {

constexpr std::string_view kBlanks = " \t\r";

// A word of the input for an error message: printable, short.
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

// 0x and hexadecimal digits; none if it is something else or too large for Number.
template <typename Number>
std::optional<Number> ParseBits(std::string_view text) {
  Number bits = 0;
  if (!text.starts_with("0x")) {
    return std::nullopt;
  }
  text.remove_prefix(2);
  const auto [stopped, error] = std::from_chars(text.data(), text.data() + text.size(), bits, 16);
  if (error != std::errc() || stopped != text.data() + text.size()) {
    return std::nullopt;
  }
  return bits;
}

std::optional<ExtentType> ParseType(std::string_view text) {
  for (std::uint8_t bits = 0; bits < kExtentTypeCount; ++bits) {
    if (text == Print(static_cast<ExtentType>(bits))) {
      return static_cast<ExtentType>(bits);
    }
  }
  const auto bits = ParseBits<std::uint8_t>(text);
  return bits ? std::optional(static_cast<ExtentType>(*bits)) : std::nullopt;
}

template <typename Words>
const auto* FindWord(const Words& words, std::string_view name) {
  const auto found = std::ranges::find(words, name, [](const auto& word) { return word.name; });
  return found == words.end() ? nullptr : &*found;
}

std::optional<std::uint32_t> ParseOption(std::string_view text) {
  if (const auto* word = FindWord(kOptionWords, text)) {
    return word->number;
  }
  return ParseBits<std::uint32_t>(text);
}

// What PrintName prints, and any other byte that stands for itself.
std::optional<std::string> ParseName(std::string_view text) {
  std::string name;
  if (text == kEmptyName) {
    return name;
  }
  while (!text.empty()) {
    if (IsPlainInNames(text.front())) {
      name += text.front();
      text.remove_prefix(1);
      continue;
    }
    constexpr std::size_t kEscapeBytes = 4;
    std::uint8_t byte = 0;
    const std::string_view escape = text.substr(0, kEscapeBytes);
    if (escape.size() < kEscapeBytes || !escape.starts_with("\\x") ||
        std::from_chars(escape.data() + 2, escape.data() + kEscapeBytes, byte, 16).ptr !=
            escape.data() + kEscapeBytes) {
      return std::nullopt;
    }
    name += static_cast<char>(byte);
    text.remove_prefix(kEscapeBytes);
  }
  return name;
}

// The words of one line. The first mistake is kept; after it, what is returned means nothing.
class Line {
 public:
  Line(std::string_view text, std::size_t number) : text_(text.substr(0, text.find('#'))), number_(number) {
    SkipBlanks();
  }

  [[nodiscard]] bool AtEnd() const { return at_ == text_.size(); }
  [[nodiscard]] const std::optional<Trouble>& trouble() const { return trouble_; }

  [[nodiscard]] bool NextIsNumber() const { return !AtEnd() && text_[at_] >= '0' && text_[at_] <= '9'; }

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

  // A number from `min` to `max`.
  std::uint64_t NumberFrom(std::uint64_t min, std::uint64_t max, std::string_view wanted) {
    const std::uint64_t number = Number(wanted);
    if (number < min || number > max) {
      Mistake("expected " + std::string(wanted));
    }
    return number;
  }

  std::string Name(std::string_view word) {
    const auto name = ParseName(word.starts_with('@') ? word.substr(1) : word);
    if (!name || word == "@") {
      Expected("a name; \\x20 for a blank, \"\" for an empty one", word);
    }
    return name.value_or("");
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
    const std::uint64_t stop_at = line.NumberFrom(1, 255, "which call to refuse, 1 to 255");
    step.stop_at = static_cast<std::uint8_t>(stop_at);
  }
  return step;
}

// The bits that `word`, the next of a request, stands for.
std::uint16_t ParseFlags(std::string_view word, Line& line) {
  if (const auto* flag = FindWord(kFlagWords, word)) {
    return flag->number;
  }
  constexpr std::string_view kWanted = "bits such as 0x80";
  if (word != "flags") {
    line.Expected("pattern, fua, no-hole, df, req-one, fast, flags, on, or the end of the line", word);
    return 0;
  }
  const std::string_view digits = line.Word(kWanted);
  const auto bits = ParseBits<std::uint16_t>(digits);
  if (!bits) {
    line.Expected(kWanted, digits);
  }
  return bits.value_or(0);
}

Step ParseRequest(Command command, Line& line) {
  RequestStep step{.command = command};
  if (command != Command::kFlush || line.NextIsNumber()) {
    step.offset = line.Number(kOffset);
    const std::uint64_t length = line.Length();
    if (length > std::numeric_limits<std::uint32_t>::max()) {
      line.Mistake("the length of a request is at most 4G-1");
    }
    step.length = static_cast<std::uint32_t>(length);
  }
  while (!line.AtEnd()) {
    const std::string_view word = line.Word("");
    if (word == "pattern") {
      step.pattern = static_cast<std::uint8_t>(line.NumberFrom(0, 255, "a pattern, 0 to 255"));
    } else if (word == "on") {
      step.connection = static_cast<std::uint8_t>(line.NumberFrom(1, kConnectionsMax, "a connection, 1 to 8"));
    } else {
      step.flags |= ParseFlags(word, line);
    }
  }
  return step;
}

Step ParseOptionStep(Line& line) {
  constexpr std::string_view kWanted = "an option, such as go or set-meta-context, or a number such as 0x63";
  OptionStep step;
  const std::string_view option_word = line.Word(kWanted);
  const auto option = ParseOption(option_word);
  if (!option) {
    line.Expected(kWanted, option_word);
  }
  step.option = option.value_or(0);
  for (bool is_first = true; !line.AtEnd(); is_first = false) {
    const std::string_view word = line.Word("");
    if (word.starts_with('@') && !is_first) {
      line.Mistake("the export's name comes before the queries");
    }
    std::string name = line.Name(word);
    if (word.starts_with('@')) {
      step.export_name = std::move(name);
    } else {
      step.names.push_back(std::move(name));
    }
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
  if (verb == "clear") {
    return ClearStep{};
  }
  if (verb == "foreach") {
    return ParseForEach(line);
  }
  if (verb == "lookup") {
    return LookupStep{.offset = line.Number(kOffset)};
  }
  if (const auto* command = FindWord(kCommandWords, verb)) {
    return ParseRequest(command->number, line);
  }
  if (verb == "option") {
    return ParseOptionStep(line);
  }
  if (verb != "wait") {
    line.Expected("a step, such as add, lookup, read, status, wait or option", verb);
  }
  return WaitStep{};
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

}  // namespace

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
