// SPDX-License-Identifier: BSD-3-Clause
// Parses the text form of scripts. What prints it is in script_print.cc.

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "engine/base/or_return.h"
#include "engine/script/script.h"
#include "engine/script/script_words.h"

namespace nbdspec::engine {
namespace {

// Anybody may have written a script: what it takes in memory is bounded. Fuzzing keeps a tenth of these.
constexpr std::size_t kTextBytesMax = std::size_t{16} << 20;
constexpr std::size_t kStepsMax = 200'000;
constexpr std::size_t kNamesMax = 50'000;  // Of all options.

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

// All of `text` as a number; none if it is something else or too large.
template <typename Number>
std::optional<Number> ParseDigits(std::string_view text, int base) {
  Number number = 0;
  const auto [stopped, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  const bool is_number = error == std::errc() && stopped == text.data() + text.size();
  return is_number ? std::optional(number) : std::nullopt;
}

// DECIMAL [UNIT] [+DECIMAL | -DECIMAL]; none if it is something else or no 64-bit number.
std::optional<std::uint64_t> ParseNumber(std::string_view text) {
  const std::size_t sign = std::min(text.find_first_of("+-"), text.size());
  const std::string_view tail = text.substr(sign);
  text = text.substr(0, sign);
  Wide unit = 1;
  if (const std::size_t index = text.empty() ? kUnits.npos : kUnits.find(text.back()); index != kUnits.npos) {
    unit = UnitBytes(index);
    text.remove_suffix(1);
  }
  const auto count = ParseDigits<std::uint64_t>(text, 10);
  const auto difference = tail.empty() ? 0 : ParseDigits<std::uint64_t>(tail.substr(1), 10);
  if (!count || !difference) {
    return std::nullopt;
  }
  const Wide base = *count * unit;
  const bool is_minus = tail.starts_with('-');
  const Wide number = is_minus ? base - *difference : base + *difference;
  if ((is_minus && *difference > base) || number > UINT64_MAX) {
    return std::nullopt;
  }
  return static_cast<std::uint64_t>(number);
}

std::optional<std::uint64_t> ParseLength(std::string_view text) {
  return text.starts_with('+') ? ParseNumber(text.substr(1)) : std::nullopt;
}

// 0x and hexadecimal digits.
template <typename Number>
std::optional<Number> ParseBits(std::string_view text) {
  return text.starts_with("0x") ? ParseDigits<Number>(text.substr(2), 16) : std::nullopt;
}

std::optional<ExtentType> ParseType(std::string_view text) {
  if (const auto type = NumberOf(kTypeWords, text)) {
    return type;
  }
  return ParseBits<std::uint8_t>(text).transform([](std::uint8_t bits) { return static_cast<ExtentType>(bits); });
}

std::optional<std::uint32_t> ParseOption(std::string_view text) {
  const auto option = NumberOf(kOptionWords, text);
  return option ? option : ParseBits<std::uint32_t>(text);
}

// What PrintName prints, and any other byte that stands for itself.
std::optional<std::string> ParseName(std::string_view text) {
  std::string name;
  if (text == kEmptyName) {
    return name;
  }
  while (!text.empty()) {
    constexpr std::size_t kEscapeBytes = 4;
    const bool is_plain = IsPlainInNames(text.front());
    const bool is_escape = text.starts_with("\\x") && text.size() >= kEscapeBytes;
    const auto byte = is_escape ? ParseDigits<std::uint8_t>(text.substr(2, 2), 16) : std::nullopt;
    if (!is_plain && !byte) {
      return std::nullopt;
    }
    name += is_plain ? text.front() : static_cast<char>(*byte);
    text.remove_prefix(is_plain ? 1 : kEscapeBytes);
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
  [[nodiscard]] const std::expected<void, Trouble>& result() const { return result_; }

  [[nodiscard]] bool NextIsNumber() const { return !AtEnd() && text_[at_] >= '0' && text_[at_] <= '9'; }

  // Whether the next word is `word`, which is taken then.
  bool Takes(std::string_view word) {
    const bool is_next = text_.substr(at_, text_.find_first_of(kBlanks, at_) - at_) == word;
    if (is_next) {
      (void)Word(word);
    }
    return is_next;
  }

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

  // What `parse` reads in the next word.
  template <typename Value>
  Value Parse(std::optional<Value> (*parse)(std::string_view), std::string_view wanted) {
    const std::string_view word = Word(wanted);
    const auto value = parse(word);
    if (!value) {
      Expected(wanted, word);
    }
    return value.value_or(Value());
  }

  std::uint64_t Offset() { return Parse(ParseNumber, "an offset, such as 4096, 8K or 4G-1"); }
  std::uint64_t Length() { return Parse(ParseLength, "+ and a length, such as +8K"); }
  ExtentType Type() { return Parse(ParseType, "data, hole, zero, hole,zero or bits such as 0x84"); }

  // A number from `min` to `max`, which is at most 255.
  std::uint8_t SmallNumber(std::uint64_t min, std::uint64_t max, std::string_view wanted) {
    const std::uint64_t number = Parse(ParseNumber, wanted);
    if (number < min || number > max) {
      Mistake("expected " + std::string(wanted));
    }
    return static_cast<std::uint8_t>(number);
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
    if (result_) {
      result_ = std::unexpected(
          Trouble{"line " + std::to_string(number_) + ", column " + std::to_string(word_at_ + 1) + ": " + what});
    }
  }

 private:
  void SkipBlanks() { at_ = std::min(text_.find_first_not_of(kBlanks, at_), text_.size()); }

  std::string_view text_;
  std::size_t number_;
  std::size_t at_ = 0;
  std::size_t word_at_ = 0;
  std::expected<void, Trouble> result_;
};

ForEachStep ParseForEach(Line& line) {
  const auto bounds = ByteRange::From({.offset = line.Offset(), .length = line.Length()});
  if (!bounds) {
    line.Mistake("bounds must end below 16E");
  }
  ForEachStep step = {.bounds = bounds.value_or(ByteRange{})};
  if (!line.AtEnd()) {
    if (const std::string_view word = line.Word("stop"); word != "stop") {
      line.Expected("stop, or the end of the line", word);
    }
    step.stop_at = line.SmallNumber(1, 255, "which call to refuse, 1 to 255");
  }
  return step;
}

std::optional<NamedContexts> ParseContexts(std::string_view text) { return NumberOf(kContextsWords, text); }

RequestStep ParseRequest(Command command, Line& line) {
  RequestStep step{.command = command};
  if (command != Command::kFlush || line.NextIsNumber()) {
    step.offset = line.Offset();
    step.length = line.Length();
  }
  while (!line.AtEnd()) {
    const std::string_view word = line.Word("");
    if (word == "pattern") {
      step.pattern = line.SmallNumber(0, 255, "a pattern, 0 to 255");
    } else if (word == "on") {
      step.connection = line.SmallNumber(1, kConnectionsMax, "a connection, 1 to 8");
    } else if (word == "contexts") {
      step.contexts = line.Parse(ParseContexts, "all, none, one, twice, unknown or ragged");
    } else if (word == "unannounced") {
      step.is_unannounced = true;
    } else if (word == "flags") {
      step.flags |= line.Parse(ParseBits<std::uint16_t>, "bits such as 0x80");
    } else if (const auto flag = NumberOf(kFlagWords, word)) {
      step.flags |= *flag;
    } else {
      line.Expected(
          "pattern, fua, no-hole, df, req-one, fast, payload, contexts, unannounced, flags, on, or the end of the line",
          word);
    }
  }
  return step;
}

std::optional<PowerCut::Keeps> ParseKeeps(std::string_view text) { return NumberOf(kKeepsWords, text); }

CutStep ParseCut(Line& line) {
  CutStep step;
  step.cut.keeps = line.Parse(ParseKeeps, "nothing, everything, all-but, only or some");
  while (!line.AtEnd()) {
    const std::string_view word = line.Word("");
    if (word == "one") {
      step.cut.one = line.Parse(ParseNumber, "which change, from 0");
    } else if (word == "seed") {
      step.cut.seed = line.Parse(ParseNumber, "a seed");
    } else if (word == "torn") {
      step.cut.tears = true;
    } else {
      line.Expected("one, seed, torn, or the end of the line", word);
    }
  }
  return step;
}

SendStep ParseSend(Line& line) {
  SendStep step;
  if (line.NextIsNumber()) {
    const std::uint64_t bytes = line.Parse(ParseNumber, "a number of bytes");
    if (bytes == 0 || bytes > UINT32_MAX) {
      line.Mistake("a write has 1 to 4G-1 bytes");
    }
    step.bytes = static_cast<std::uint32_t>(bytes);
  }
  if (!line.AtEnd()) {
    if (const std::string_view word = line.Word("on"); word != "on") {
      line.Expected("a number of bytes, on, or the end of the line", word);
    }
    step.connection = line.SmallNumber(1, kConnectionsMax, "a connection, 1 to 8");
  }
  return step;
}

std::optional<Visit> ParseVisitWord(std::string_view text) { return NumberOf(kVisitWords, text); }

VisitStep ParseVisit(Line& line) {
  constexpr std::string_view kWanted = "how many visitors, 1 to 1000";
  VisitStep step;
  const std::uint64_t count = line.Parse(ParseNumber, kWanted);
  if (count == 0 || count > kVisitorsMax) {
    line.Mistake("expected " + std::string(kWanted));
  }
  step.count = static_cast<std::uint16_t>(count);
  if (!line.AtEnd()) {
    step.visit = line.Parse(ParseVisitWord, "entered, greeted, silent, or the end of the line");
  }
  return step;
}

OptionStep ParseOptionStep(Line& line) {
  OptionStep step;
  step.is_glued = line.Takes("glued");
  if (line.Takes("split")) {
    step.split = line.SmallNumber(1, 255, "how many bytes come by themselves, 1 to 255");
  }
  step.option = line.Parse(ParseOption, "an option, such as go or set-meta-context, or a number such as 0x63");
  for (bool is_first = true; !line.AtEnd(); is_first = false) {
    const std::string_view word = line.Word("");
    const bool is_export = word.starts_with('@');
    if (is_export && !is_first) {
      line.Mistake("the export's name comes before the queries");
    }
    auto name = ParseName(word.substr(is_export ? 1 : 0));
    if (step.names.size() >= kNamesMax) {
      line.Mistake("a script has at most " + std::to_string(kNamesMax) + " queries");
      return step;
    }
    if (!name || word == "@") {
      line.Expected("a name; \\x20 for a blank, \"\" for an empty one", word);
    } else if (is_export) {
      step.export_name = *std::move(name);
    } else {
      step.names.push_back(*std::move(name));
    }
  }
  return step;
}

// The step on the line, after its first word.
Step ParseStep(std::string_view verb, Line& line) {
  if (verb == "add") {
    return AddStep{.offset = line.Offset(), .length = line.Length(), .type = line.Type()};
  }
  if (verb == "clear") {
    return ClearStep{};
  }
  if (verb == "foreach") {
    return ParseForEach(line);
  }
  if (verb == "lookup") {
    return LookupStep{.offset = line.Offset()};
  }
  if (const auto command = NumberOf(kCommandWords, verb)) {
    return ParseRequest(*command, line);
  }
  if (verb == "option") {
    return ParseOptionStep(line);
  }
  if (verb == "cut") {
    return ParseCut(line);
  }
  if (verb == "leave") {
    return LeaveStep{};
  }
  if (verb == "send") {
    return ParseSend(line);
  }
  if (verb == "visit") {
    return ParseVisit(line);
  }
  if (verb != "wait") {
    line.Expected("a step, such as add, lookup, read, status, wait, leave, send, visit, cut or option", verb);
  }
  return WaitStep{};
}

// Whether there is room for what `script` has: its last step is `line`.
void CheckRoom(const Script& script, std::size_t& name_count, Line& line) {
  if (script.steps.size() > kStepsMax) {
    line.Mistake("a script has at most " + std::to_string(kStepsMax) + " steps");
  }
  const auto* const option = script.steps.empty() ? nullptr : std::get_if<OptionStep>(&script.steps.back());
  name_count += option == nullptr ? 0 : option->names.size();
  if (name_count > kNamesMax) {
    line.Mistake("a script has at most " + std::to_string(kNamesMax) + " queries");
  }
}

// `lines_before` are those that said something.
void ParseLine(Line& line, std::size_t lines_before, Script& script) {
  const std::string_view verb = line.Word("a step");
  if (lines_before == 0) {
    if (verb != "size") {
      line.Expected("size, which comes first", verb);
    }
    script.size = line.Parse(ParseNumber, "a size, such as 64, 8K or 8E-1");
    if (script.size > kExportBytesMax) {
      line.Mistake("the size is at most 8E-1");
    }
  } else if (verb == "initial") {
    if (lines_before > 1) {
      line.Mistake("initial comes once, before the steps");
    }
    script.initial = line.Type();
    if (!IsExtentType(static_cast<std::uint8_t>(script.initial))) {
      line.Mistake("the initial type is data, hole, zero or hole,zero");
    }
  } else {
    script.steps.push_back(ParseStep(verb, line));
  }
  line.End();
}

}  // namespace

std::expected<Script, Trouble> ParseScript(std::string_view text) {
  if (text.size() > kTextBytesMax) {
    return std::unexpected(
        Trouble{"line 1, column 1: a script has at most " + std::to_string(kTextBytesMax) + " bytes"});
  }
  Script script;
  std::size_t lines_before = 0;
  std::size_t name_count = 0;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t line_end = std::min(text.find('\n'), text.size());
    Line line(text.substr(0, line_end), number);
    text.remove_prefix(std::min(line_end + 1, text.size()));
    if (!line.AtEnd()) {
      ParseLine(line, lines_before++, script);
      CheckRoom(script, name_count, line);
      NBDSPEC_RETURN_IF_ERROR(line.result());
    }
  }
  if (lines_before == 0) {
    return std::unexpected(Trouble{"line 1, column 1: expected a line such as \"size 64\", but the script is empty"});
  }
  return script;
}

}  // namespace nbdspec::engine
