// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/comparisons/report_input_differential.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <ranges>
#include <set>
#include <string_view>
#include <vector>

#include "engine/script/script.h"
#include "engine/spec/catalogue.h"
#include "fuzz/inputs/fresh_inputs.h"

namespace nbdspec::fuzz {
namespace {

using spec::Requirement;
using Json = nlohmann::json;
using Lines = std::vector<std::string_view>;

// The pieces of `text` between separators: one more than there are separators.
Lines Split(std::string_view text, char separator) {
  Lines pieces;
  for (const auto piece : std::views::split(text, separator)) {
    pieces.emplace_back(piece);
  }
  return pieces.empty() ? Lines{text} : pieces;
}

// Without what follows the last end of line, when that is nothing.
Lines LinesOf(std::string_view text) {
  Lines lines = Split(text, '\n');
  if (lines.back().empty()) {
    lines.pop_back();
  }
  return lines;
}

// The number after "line " in `sentence`; 0 where there is none.
std::size_t LineIn(const std::string& sentence) {
  const std::size_t at = sentence.find("line ");
  return at == std::string::npos ? 0 : std::strtoul(sentence.c_str() + at + 5, nullptr, 10);
}

// --- Requirements, read naively ---

bool IsOneOf(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::ranges::count(words, word) > 0;
}

bool IsRow(const Lines& cells) {
  const auto is_of_id = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-'; };
  const auto is_trimmed = [](std::string_view cell) {
    return cell.empty() || (cell.front() != ' ' && cell.back() != ' ');
  };
  return cells.size() >= 8 && cells.size() <= 10 && std::ranges::all_of(cells, is_trimmed) && !cells[0].empty() &&
         std::ranges::all_of(cells[0], is_of_id) && !cells[1].empty() &&
         IsOneOf(cells[2], {"MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY"}) &&
         IsOneOf(cells[3], {"server", "client"}) &&
         IsOneOf(cells[4], {"general", "handshake", "options", "tls", "metadata", "block-size", "transmission",
                            "structured-replies", "extended-headers"}) &&
         !cells[5].empty() && IsOneOf(cells[6], {"yes", "partial", "no"}) && !cells[7].empty() &&
         (cells.size() < 10 || IsOneOf(cells[9], {"", "style", "interoperability", "denial", "security", "data"}));
}

struct NaiveCatalogue {
  Lines rows;
  std::size_t bad_line = 0;  // From 1; 0 when none is.
};

NaiveCatalogue ReadNaively(std::string_view text) {
  constexpr std::string_view kNames = "id\tsection\tlevel\trole\tphase\tstatement\tobservable\thow";
  NaiveCatalogue read;
  bool has_names = false;
  std::set<std::string_view> ids;
  const Lines lines = LinesOf(text);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (!lines[i].empty() && lines[i][0] == '#') {
      continue;
    }
    const Lines cells = Split(lines[i], '\t');
    const bool is_names = lines[i] == kNames || lines[i] == std::string(kNames) + "\tuntested" ||
                          lines[i] == std::string(kNames) + "\tuntested\tharm";
    if (has_names ? !IsRow(cells) || !ids.insert(cells[0]).second : !is_names) {
      read.bad_line = i + 1;
      return read;
    }
    if (has_names) {
      read.rows.push_back(lines[i]);
    }
    has_names = true;
  }
  return read;
}

// The line of a row in the catalogue, and its tags, which stand in its eighth column.
std::string Print(const Requirement& row) {
  std::string text;
  for (const std::string_view cell : {row.id, row.section, Word(row.level), Word(row.role), Word(row.phase),
                                      row.statement, Word(row.observable), row.how, row.untested, Word(row.harm)}) {
    text += std::string(cell) + "\t";
  }
  return text + (row.ambiguous ? "[ambiguous]" : "") + (row.derived ? "[derived]" : "") +
         (row.historic ? "[historic-deviation]" : "");
}

std::string Print(std::string_view line) {
  const Lines cells = Split(line, '\t');
  std::string text = std::string(line) + std::string(11 - cells.size(), '\t');
  for (const char* tag : {"[ambiguous]", "[derived]", "[historic-deviation]"}) {
    text += cells[7].find(tag) != std::string_view::npos ? tag : "";
  }
  return text;
}

Found FindInCatalogue(std::string_view text, const ReportReaders& readers) {
  const NaiveCatalogue expected = ReadNaively(text);
  const auto catalogue = readers.parse_catalogue(text);
  const auto rows = [](std::size_t count) { return fmt::format("{} rows", count); };
  const auto error = [](std::size_t line) { return fmt::format("an error in line {}", line); };  // 0: in none.
  const bool is_right = expected.bad_line == 0 && !expected.rows.empty();
  auto found = Compare("the catalogue", is_right ? rows(expected.rows.size()) : error(expected.bad_line),
                       catalogue ? rows(catalogue->all().size()) : error(LineIn(catalogue.error().sentence)));
  if (found || !catalogue) {
    return found ? found : FindInLine("an error", catalogue.error().sentence);
  }
  for (std::size_t i = 0; i < expected.rows.size() && !found; ++i) {
    const Requirement& row = catalogue->all()[i];
    const bool is_found = catalogue->Find(row.id) == &row;
    found = Compare("a row", Print(expected.rows[i]), Print(row) + (is_found ? "" : ", which Find does not find"));
  }
  return found;
}

// --- Cases for nbdkit ---

std::size_t CountWordsOfStack(std::string_view text) {
  std::size_t count = 0;
  for (const std::string_view line : LinesOf(text)) {
    constexpr std::string_view kStack = "# stack:";
    if (line.substr(0, kStack.size()) == kStack) {
      count += static_cast<std::size_t>(std::ranges::count(line.substr(kStack.size()), ' '));
    }
  }
  return count;
}

// The rest of the last line that begins with `key`, or `otherwise`.
std::string LastLineAfter(std::string_view key, std::string_view text, std::string_view otherwise) {
  std::string_view rest = otherwise;
  for (const std::string_view line : LinesOf(text)) {
    rest = line.substr(0, key.size()) == key ? line.substr(key.size()) : rest;
  }
  return std::string(rest);
}

Found FindInCase(std::string_view text, const ReportReaders& readers) {
  const auto read = readers.parse_case(text);
  const auto script = engine::ParseScript(text);
  if (!read) {
    const std::string& sentence = read.error().sentence;
    const std::size_t line = LineIn(sentence);
    const bool is_of_script = !script && sentence != script.error().sentence;
    if (line == 0 || line > LinesOf(text).size() + 1 || is_of_script) {
      return Under("the case's error", Differ(script ? "a line of the text" : script.error().sentence, sentence));
    }
    return FindInLine("an error", sentence);
  }
  const std::size_t words = CountWordsOfStack(text);
  const std::string reach = LastLineAfter("# reach: ", text, NbdkitCase{}.reach);
  const std::string deviates = LastLineAfter("# deviates: ", text, "");
  if (!script || *script != read->script || read->stack.size() != words || read->reach != reach ||
      read->deviates != deviates) {
    const auto is = fmt::format("its script, {} layers, reach {}, deviates {}", words, reach, deviates);
    return Under("the case", Differ(script ? is : "an error", readers.print_case(*read)));
  }
  const auto again = readers.parse_case(readers.print_case(*read));
  auto found = ComparePrinted("the case, printed and read", *read, again, readers.print_case);
  // What it says must also be usable: nothing in it may make its truth abort. One that is misread may.
  if (!found) {
    (void)TruthOf(*read);
  }
  return found;
}

// --- What a finding is ---

constexpr std::size_t kConnectionsMax = 64;
constexpr std::size_t kSightingsMax = 10000;

// The member `name`, or null.
Json In(const Json& json, const std::string& name) { return json.is_object() ? json.value(name, Json()) : Json(); }

bool IsAbout(const Json& text) {
  const Json kind = In(text, "kind");
  const Json state = In(text, "state");
  const Json files = In(text, "files");
  const auto is_file = [](const auto& file) {
    return file.key().find('/') == std::string::npos && file.value().is_object();
  };
  const auto listed = files.items();
  return kind.is_string() && state.is_string() &&
         IsOneOf(kind.get<std::string>(), {"wrong-data", "false-claim", "broken-rule", "wrong-success", "wrong-error",
                                           "disconnect", "crash", "hang"}) &&
         IsOneOf(state.get<std::string>(), {"observed", "reproduced", "not-reproduced"}) && files.is_object() &&
         files.size() <= 2 * kConnectionsMax + 4 && std::all_of(listed.begin(), listed.end(), is_file);
}

// Whether `printed` says what `text` does: each member that is there with the right type, and nothing for another.
bool SaysTheSame(const Json& printed, const Json& text, std::size_t listed_max = kConnectionsMax) {
  if (printed.is_string()) {
    return printed == (text.is_string() ? text : Json(""));
  }
  if (printed.is_boolean()) {
    return printed == (text.is_boolean() ? text : Json(false));
  }
  if (printed.is_number_unsigned()) {
    return printed == (text.is_number_unsigned() ? text : Json(0U));
  }
  if (printed.is_array()) {
    bool is_same = printed.size() == (text.is_array() ? std::min(text.size(), listed_max) : 0);
    for (std::size_t i = 0; is_same && i < printed.size(); ++i) {
      is_same = SaysTheSame(printed[i], text[i]);
    }
    return is_same;
  }
  const auto members = printed.items();
  return printed.is_object() && std::all_of(members.begin(), members.end(), [&text](const auto& member) {
           return SaysTheSame(member.value(), In(text, member.key()),
                              member.key() == "seen_by" ? kSightingsMax : kConnectionsMax);
         });
}

Found FindInAbout(std::string_view text, const ReportReaders& readers) {
  const Json naive = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto read = readers.parse_about(text);
  if (read.has_value() != IsAbout(naive)) {
    return Under("whether it is the about.json of a finding",
                 Differ(read ? "an error" : "a value", read ? readers.print_about(*read) : read.error().sentence));
  }
  if (!read) {
    return FindInLine("an error", read.error().sentence);
  }
  const std::string printed = readers.print_about(*read);
  const Json shown = Json::parse(printed, nullptr, /*allow_exceptions=*/false);
  if (!SaysTheSame(shown, naive) || In(shown, "files").size() != In(naive, "files").size()) {
    return Under("about.json", Differ(std::string(text), printed));
  }
  return ComparePrinted("about.json, printed and read", *read, readers.parse_about(printed), readers.print_about);
}

}  // namespace

Found FindReportInputDisagreement(engine::ByteView input, const ReportReaders& readers) {
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  if (text.starts_with('{')) {
    return FindInAbout(text, readers);
  }
  return text.starts_with(engine::kScriptHeader) ? FindInCase(text, readers) : FindInCatalogue(text, readers);
}

FuzzTarget ReportInputTarget() {
  return {.name = "report_input",
          .subject = "the other files that nbdspec reads: requirements, cases for nbdkit, findings",
          .against = "naive readers; printing and reading again",
          .inputs = {.fresh = FreshReportText},
          .find_in_bytes = [](engine::ByteView input) { return FindReportInputDisagreement(input); },
          .dictionary = "report_input.dict"};
}

}  // namespace nbdspec::fuzz
