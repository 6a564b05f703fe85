// SPDX-License-Identifier: BSD-3-Clause
// The text form of scripts. What prints the words that stand for numbers, and what parses them, share one table.

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <iterator>
#include <optional>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/or_return.h"
#include "engine/script/script.h"

namespace nbdspec::engine {
namespace {

template <typename Number>
struct NamedNumber {
  std::string_view name;
  Number number;
};

constexpr NamedNumber<ExtentType> kTypeWords[] = {{"data", ExtentType::kData},
                                                  {"hole", ExtentType::kHole},
                                                  {"zero", ExtentType::kZero},
                                                  {"hole,zero", ExtentType::kHoleZero}};

constexpr NamedNumber<Command> kCommandWords[] = {
    {"read", Command::kRead},   {"write", Command::kWrite}, {"zero", Command::kZero},    {"trim", Command::kTrim},
    {"cache", Command::kCache}, {"flush", Command::kFlush}, {"status", Command::kStatus}};

constexpr NamedNumber<std::uint16_t> kFlagWords[] = {
    {"fua", CommandFlag::kFua},        {"no-hole", CommandFlag::kNoHole}, {"df", CommandFlag::kDf},
    {"req-one", CommandFlag::kReqOne}, {"fast", CommandFlag::kFastZero},  {"payload", CommandFlag::kPayloadLen}};

constexpr NamedNumber<NamedContexts> kContextsWords[] = {
    {"all", NamedContexts::kAll},     {"none", NamedContexts::kNone},       {"one", NamedContexts::kOne},
    {"twice", NamedContexts::kTwice}, {"unknown", NamedContexts::kUnknown}, {"ragged", NamedContexts::kRagged}};

constexpr NamedNumber<std::uint32_t> kOptionWords[] = {{"export-name", OptionType::kExportName},
                                                       {"abort", OptionType::kAbort},
                                                       {"list", OptionType::kList},
                                                       {"peek-export", OptionType::kPeekExport},
                                                       {"starttls", OptionType::kStarttls},
                                                       {"info", OptionType::kInfo},
                                                       {"go", OptionType::kGo},
                                                       {"structured-reply", OptionType::kStructuredReply},
                                                       {"list-meta-context", OptionType::kListMetaContext},
                                                       {"set-meta-context", OptionType::kSetMetaContext},
                                                       {"extended-headers", OptionType::kExtendedHeaders}};

constexpr NamedNumber<PowerCut::Keeps> kKeepsWords[] = {{"nothing", PowerCut::Keeps::kNothing},
                                                        {"everything", PowerCut::Keeps::kEverything},
                                                        {"all-but", PowerCut::Keeps::kAllButOne},
                                                        {"only", PowerCut::Keeps::kOnlyOne},
                                                        {"some", PowerCut::Keeps::kSome}};

template <typename Words, typename Number>
std::optional<std::string_view> NameOf(const Words& words, Number number) {
  const auto found = std::ranges::find(words, number, [](const auto& word) { return word.number; });
  return found == std::end(words) ? std::nullopt : std::optional(found->name);
}

template <typename Number, std::size_t kCount>
std::optional<Number> NumberOf(const NamedNumber<Number> (&words)[kCount], std::string_view name) {
  const auto found = std::ranges::find(words, name, [](const auto& word) { return word.name; });
  return found == std::end(words) ? std::nullopt : std::optional(found->number);
}

constexpr std::string_view kUnits = "KMGTPE";

// Anybody may have written a script: what it takes in memory is bounded. Fuzzing keeps a tenth of these.
constexpr std::size_t kTextBytesMax = std::size_t{16} << 20;
constexpr std::size_t kStepsMax = 200'000;
constexpr std::size_t kNamesMax = 50'000;  // Of all options.

// Wide enough for 16E, which 16E-1 passes through on its way to 2^64-1.
using Wide = unsigned __int128;

constexpr Wide UnitBytes(std::size_t unit_index) { return Wide{1} << (10 * (unit_index + 1)); }

// Whether a byte of a name stands for itself. The others are written \xNN: blanks end a word, # begins a comment,
// " and @ have a meaning at the begin of a word.
constexpr bool IsPlainInNames(char c) { return c > ' ' && c <= '~' && c != '#' && c != '\\' && c != '"' && c != '@'; }

// How a name of no bytes is written.
constexpr std::string_view kEmptyName = "\"\"";

// --- Printing ---

// `bytes` in its largest unit; empty if it is no multiple of one.
std::string PrintInUnits(Wide bytes) {
  for (std::size_t unit = kUnits.size(); unit-- > 0;) {
    if (bytes != 0 && bytes % UnitBytes(unit) == 0) {
      return std::to_string(static_cast<std::uint64_t>(bytes / UnitBytes(unit))) + kUnits[unit];
    }
  }
  return "";
}

std::string PrintHex(const char* prefix, std::uint32_t bits) {
  char text[16];
  std::snprintf(text, sizeof text, "%s%02x", prefix, static_cast<unsigned>(bits));
  return text;
}

std::string PrintName(std::string_view name) {
  std::string text(name.empty() ? kEmptyName : "");
  for (const char c : name) {
    text += IsPlainInNames(c) ? std::string(1, c) : PrintHex("\\x", static_cast<std::uint8_t>(c));
  }
  return text;
}

std::string PrintFlags(std::uint16_t flags) {
  std::string text;
  for (const auto& word : kFlagWords) {
    if ((flags & word.number) != 0) {
      text += " " + std::string(word.name);
      flags = static_cast<std::uint16_t>(flags & ~word.number);
    }
  }
  return flags == 0 ? text : text + " flags " + PrintHex("0x", flags);
}

struct StepPrinter {
  const Step& step;

  std::string Range() const {
    const auto range = *RangeOf(step);
    return " " + PrintNumber(range.offset) + " +" + PrintNumber(range.length);
  }

  std::string operator()(const AddStep& add) const { return "add" + Range() + " " + Print(add.type); }
  std::string operator()(const ClearStep&) const { return "clear"; }
  std::string operator()(const ForEachStep& all) const {
    return "foreach" + Range() + (all.stop_at == 0 ? "" : " stop " + std::to_string(all.stop_at));
  }
  std::string operator()(const LookupStep& lookup) const { return "lookup " + PrintNumber(lookup.offset); }
  std::string operator()(const RequestStep& request) const {
    const bool has_range = request.command != Command::kFlush || request.offset != 0 || request.length != 0;
    return Print(request.command) + (has_range ? Range() : "") +
           (request.pattern == 0 ? "" : " pattern " + std::to_string(request.pattern)) + PrintFlags(request.flags) +
           (request.contexts == NamedContexts::kAll
                ? ""
                : " contexts " + std::string(*NameOf(kContextsWords, request.contexts))) +
           (request.is_unannounced ? " unannounced" : "") +
           (request.connection == 1 ? "" : " on " + std::to_string(request.connection));
  }
  std::string operator()(const WaitStep&) const { return "wait"; }
  std::string operator()(const LeaveStep&) const { return "leave"; }
  std::string operator()(const CutStep& power) const {
    const PowerCut& cut = power.cut;
    return "cut " + std::string(*NameOf(kKeepsWords, cut.keeps)) +
           (cut.one == 0 ? "" : " one " + PrintNumber(cut.one)) +
           (cut.seed == 0 ? "" : " seed " + PrintNumber(cut.seed)) + (cut.tears ? " torn" : "");
  }
  std::string operator()(const OptionStep& option) const {
    const auto word = NameOf(kOptionWords, option.option);
    std::string text = "option " + (word ? std::string(*word) : PrintHex("0x", option.option));
    text += option.export_name.empty() ? "" : " @" + PrintName(option.export_name);
    for (const std::string& name : option.names) {
      text += " " + PrintName(name);
    }
    return text;
  }
};

// --- Parsing ---

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

OptionStep ParseOptionStep(Line& line) {
  OptionStep step = {
      .option = line.Parse(ParseOption, "an option, such as go or set-meta-context, or a number such as 0x63")};
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
  if (verb != "wait") {
    line.Expected("a step, such as add, lookup, read, status, wait, leave, cut or option", verb);
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

std::string Print(Command command) {
  const auto word = NameOf(kCommandWords, command);
  NBDSPEC_CHECK(word.has_value());
  return std::string(*word);
}

std::string Print(ExtentType type) {
  const auto word = NameOf(kTypeWords, type);
  return word ? std::string(*word) : PrintHex("0x", static_cast<std::uint8_t>(type));
}

std::string Print(Extent extent) {
  return "[" + PrintNumber(extent.range.begin) + ", " + PrintNumber(extent.range.end) + ") " + Print(extent.type);
}

std::string Print(const Step& step) { return std::visit(StepPrinter{step}, step); }

std::string Print(const Script& script) {
  std::string text(kScriptHeader);
  text += "\nsize " + PrintNumber(script.size) + "\ninitial " + Print(script.initial) + "\n";
  for (const Step& step : script.steps) {
    text += Print(step) + "\n";
  }
  return text;
}

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
