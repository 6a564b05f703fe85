// SPDX-License-Identifier: BSD-3-Clause
#include "engine/spec/catalogue.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/quoted.h"

namespace nbdspec::spec {
namespace {

constexpr std::string_view kColumns = "id\tsection\tlevel\trole\tphase\tstatement\tobservable\thow\tuntested\tharm";
constexpr std::size_t kColumnCount = 10;
constexpr std::size_t kColumnsLeast = 8;  // The last two may be missing.

// In the order of the enumerators.
constexpr std::array<std::string_view, 5> kLevels = {"MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY"};
constexpr std::array<std::string_view, 2> kRoles = {"server", "client"};
constexpr std::array<std::string_view, 9> kPhases = {"general",      "handshake",          "options",
                                                     "tls",          "metadata",           "block-size",
                                                     "transmission", "structured-replies", "extended-headers"};
constexpr std::array<std::string_view, 3> kObservables = {"yes", "partial", "no"};
constexpr std::array<std::string_view, kHarmCount> kHarms = {"",       "style",    "interoperability",
                                                             "denial", "security", "data"};
constexpr std::array<std::string_view, kHarmCount> kMeanings = {
    "",
    "style: everybody goes on working; somebody learns less, or works slower",
    "interoperability: somebody who follows the rules may misunderstand, or not be served",
    "denial of service: a client can hang, end or be cut off, or the server can end for everyone",
    "security: others can see, change or do what they should not",
    "data: bytes can be lost, or read as what they are not"};

// The enumerator that is spelled `word`.
template <typename Enum>
std::optional<Enum> FromWord(std::span<const std::string_view> words, std::string_view word) {
  const auto found = std::ranges::find(words, word);
  return found == words.end() ? std::nullopt : std::optional(static_cast<Enum>(found - words.begin()));
}

// Cuts the text up to `separator` off the front of `rest`.
std::string_view Cut(std::string_view& rest, char separator) {
  const std::size_t at = std::min(rest.find(separator), rest.size());
  const std::string_view piece = rest.substr(0, at);
  rest.remove_prefix(std::min(at + 1, rest.size()));
  return piece;
}

bool IsId(std::string_view text) {
  return !text.empty() && text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789.-") == std::string_view::npos;
}

// The row, or what is wrong with it.
std::expected<Requirement, std::string> ParseRow(std::string_view line) {
  const auto tabs = static_cast<std::size_t>(std::ranges::count(line, '\t'));
  if (tabs + 1 > kColumnCount || tabs + 1 < kColumnsLeast) {
    return std::unexpected("has " + std::to_string(tabs + 1) + " columns instead of 8 to 10");
  }
  std::array<std::string_view, kColumnCount> cells;
  for (std::string_view& cell : cells) {
    cell = Cut(line, '\t');
    if (cell.starts_with(' ') || cell.ends_with(' ')) {
      return std::unexpected("has a space at an end of " + engine::Quoted(cell));
    }
  }
  const auto& [id, section, level, role, phase, statement, observable, how, untested, harm] = cells;
  if (!IsId(id)) {
    return std::unexpected("has the id " + engine::Quoted(id) + ", which is not made of a-z 0-9 . -");
  }
  if (section.empty() || statement.empty() || how.empty()) {
    return std::unexpected("lacks its section, statement or how");
  }
  const auto level_value = FromWord<Level>(kLevels, level);
  const auto role_value = FromWord<Role>(kRoles, role);
  const auto phase_value = FromWord<Phase>(kPhases, phase);
  const auto observable_value = FromWord<Observable>(kObservables, observable);
  const auto harm_value = FromWord<Harm>(kHarms, harm);
  if (!level_value || !role_value || !phase_value || !observable_value || !harm_value) {
    return std::unexpected("has an unknown level, role, phase, observable or harm");
  }
  return Requirement{.id = id,
                     .section = section,
                     .level = *level_value,
                     .role = *role_value,
                     .phase = *phase_value,
                     .statement = statement,
                     .observable = *observable_value,
                     .how = how,
                     .untested = untested,
                     .harm = *harm_value,
                     .ambiguous = how.contains("[ambiguous]"),
                     .derived = how.contains("[derived]"),
                     .historic = how.contains("[historic-deviation]")};
}

}  // namespace

std::string_view Word(Level level) { return kLevels.at(static_cast<std::size_t>(level)); }
std::string_view Word(Role role) { return kRoles.at(static_cast<std::size_t>(role)); }
std::string_view Word(Phase phase) { return kPhases.at(static_cast<std::size_t>(phase)); }
std::string_view Word(Harm harm) { return kHarms.at(static_cast<std::size_t>(harm)); }
std::string_view Meaning(Harm harm) { return kMeanings.at(static_cast<std::size_t>(harm)); }
std::string_view Word(Observable observable) { return kObservables.at(static_cast<std::size_t>(observable)); }

std::expected<Catalogue, engine::Trouble> Catalogue::Parse(std::string_view text) {
  Catalogue catalogue;
  bool columns_named = false;
  for (std::size_t line_number = 1; !text.empty(); ++line_number) {
    const std::string_view line = Cut(text, '\n');
    const auto trouble = [&](const std::string& what) {
      return std::unexpected(engine::Trouble{"requirements, line " + std::to_string(line_number) + ": " + what});
    };
    if (line.starts_with('#')) {
      continue;
    }
    if (!columns_named) {
      const bool is_begin = line == kColumns || kColumns.starts_with(std::string(line) + "\t");
      if (!is_begin || !line.contains("\thow")) {
        return trouble("expected the names of the columns");
      }
      columns_named = true;
      continue;
    }
    const auto row = ParseRow(line);
    if (!row) {
      return trouble(row.error());
    }
    if (!catalogue.index_of_id_.emplace(row->id, catalogue.rows_.size()).second) {
      return trouble("repeats the id " + engine::Quoted(row->id));
    }
    catalogue.rows_.push_back(*row);
  }
  if (catalogue.rows_.empty()) {
    return std::unexpected(engine::Trouble{"requirements: no rows"});
  }
  return catalogue;
}

const Requirement* Catalogue::Find(std::string_view id) const {
  const auto found = index_of_id_.find(id);
  return found == index_of_id_.end() ? nullptr : &rows_[found->second];
}

const Catalogue& TheCatalogue() {
  static const Catalogue catalogue = [] {
    auto parsed = Catalogue::Parse(CatalogueText());
    if (!parsed) {
      engine::CheckFailed(parsed.error().sentence);
    }
    return *std::move(parsed);
  }();
  return catalogue;
}

Severity SeverityOf(const Requirement& requirement, Role accused) {
  if (requirement.role != accused) {
    return Severity::kNone;
  }
  const bool is_must = requirement.level == Level::kMust || requirement.level == Level::kMustNot;
  return is_must && !requirement.ambiguous ? Severity::kFailure : Severity::kWarning;
}

const Requirement& RequirementOf(std::string_view id) {
  const Requirement* found = TheCatalogue().Find(id.substr(0, id.find('/')));
  NBDSPEC_CHECK(found != nullptr);
  return *found;
}

std::string LinkTo(const Requirement& requirement) {
  constexpr std::string_view kBranchMark = "[ext-branch] ";
  constexpr std::string_view kUriMark = "uri.md: ";
  std::string_view heading = requirement.section;
  if (heading == "nbdkit extents proposal") {
    return "";
  }
  std::string link = "https://github.com/NetworkBlockDevice/nbd/blob/";
  if (heading.starts_with(kBranchMark)) {
    link += "extension-ext-header";
    heading.remove_prefix(kBranchMark.size());
  } else {
    link += kSpecRevision.substr(0, 12);
  }
  const bool is_uri = heading.starts_with(kUriMark);
  link += is_uri ? "/doc/uri.md#" : "/doc/proto.md#";
  heading.remove_prefix(is_uri ? kUriMark.size() : 0);
  // Behind " > " stands an item of a list, which has no anchor. The anchors are GitHub's.
  for (const char c : heading.substr(0, heading.find(" > "))) {
    const bool is_upper = 'A' <= c && c <= 'Z';
    const bool is_kept = is_upper || ('a' <= c && c <= 'z') || ('0' <= c && c <= '9') || c == '-' || c == ' ';
    link += !is_kept ? "" : std::string(1, is_upper ? static_cast<char>(c - 'A' + 'a') : c == ' ' ? '-' : c);
  }
  return link;
}

Severity ServerSeverityOf(std::string_view id) { return SeverityOf(RequirementOf(id), Role::kServer); }

}  // namespace nbdspec::spec
