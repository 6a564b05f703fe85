// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/expected/expected.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "conformance/expected/list_lines.h"
#include "engine/base/or_return.h"
#include "engine/base/quoted.h"

namespace nbdspec::conformance {

using engine::Quoted;
using engine::Trouble;
using reports::Overlay;
using reports::Verdict;

namespace {

constexpr std::string_view kCrash = "crash";
constexpr auto kExpectable = std::to_array<std::string_view>({"fail", kCrash, "inconclusive", "flaky", "warn"});
constexpr auto kAlternatives = std::to_array<std::string_view>({"pass", "n/a"});
constexpr std::string_view kBlanks = " \t\r";

std::string_view Trimmed(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

std::vector<std::string> Words(std::string_view text) {
  std::istringstream words{std::string(text)};
  return {std::istream_iterator<std::string>(words), {}};
}

bool Has(const auto& words, std::string_view word) { return std::ranges::find(words, word) != std::end(words); }

bool IsGlob(std::string_view id) { return id.find_first_of("*?") != std::string_view::npos; }

bool Matches(const std::string& glob, std::string_view text) {
  return ::fnmatch(glob.c_str(), std::string(text).c_str(), FNM_NOESCAPE) == 0;
}

// Reads a list line by line. Each step returns what is wrong with the line, or an empty string.
class Reader {
 public:
  Reader(std::span<const std::string_view> ids, bool may_say_why) : ids_(ids), may_say_why_(may_say_why) {}

  std::string Take(std::string_view line) {
    ++line_;
    switch (KindOf(line)) {
      case LineKind::kSection:
        return TakeSection(line);
      case LineKind::kEntry:
        return TakeEntry(line);
      case LineKind::kText:
        return TakeText(Trimmed(line));
      default:
        return "";
    }
  }

  // At the end of each group of entries, and of the list.
  std::string Close() {
    for (ExpectedEntry& entry : group_) {
      const bool is_open = entry.reason.empty() || (entry.reason == kSayWhy && !may_say_why_);
      if (is_open) {
        line_ = entry.line;
        return fmt::format("{} has no reason: say why on the lines below it, indented", entry.id);
      }
      entries_.push_back(std::move(entry));
    }
    group_.clear();
    return "";
  }

  [[nodiscard]] std::size_t line() const { return line_; }
  std::vector<ExpectedEntry> TakeEntries() { return std::move(entries_); }

 private:
  std::string TakeSection(std::string_view line) {
    if (std::string wrong = Close(); !wrong.empty()) {
      return wrong;
    }
    const std::size_t end = line.rfind(']');
    const auto words = Words(line.substr(1, end == std::string_view::npos ? 0 : end - 1));
    const std::string_view rest = end == std::string_view::npos ? "" : Trimmed(line.substr(end + 1));
    if (words.empty() || words.size() > 2 || !rest.empty()) {
      return "a target, and if need be a glob of its versions, stand in brackets: [nbdkit] or [nbdkit 1.4*]";
    }
    target_ = words[0];
    version_ = words.size() > 1 ? words[1] : "";
    return "";
  }

  std::string TakeEntry(std::string_view line) {
    if (!group_.empty() && !group_.front().reason.empty()) {
      if (std::string wrong = Close(); !wrong.empty()) {
        return wrong;
      }
    }
    const auto words = Words(line);
    if (words.size() != 2) {
      return "an entry is the id of a check and a verdict: option.abort.ack fail; its reason is indented, below it";
    }
    ExpectedEntry entry = {.line = line_, .target = target_, .version = version_, .id = words[0]};
    entry.check_count = static_cast<std::size_t>(
        std::ranges::count_if(ids_, [&](std::string_view id) { return IsOfCheck(entry, id); }));
    if (entry.check_count == 0) {
      return fmt::format("there is no check {}: `nbdspec list` shows them", Quoted(entry.id));
    }
    const auto is_same = [&](const ExpectedEntry& each) {
      return std::tie(each.target, each.version, each.id) == std::tie(entry.target, entry.version, entry.id);
    };
    for (const auto* const before : {&entries_, &group_}) {
      if (const auto twin = std::ranges::find_if(*before, is_same); twin != before->end()) {
        return fmt::format("{} stands in line {} already", entry.id, twin->line);
      }
    }
    if (std::string wrong = TakeVerdicts(words[1], entry.verdicts); !wrong.empty()) {
      return wrong;
    }
    group_.push_back(std::move(entry));
    return "";
  }

  static std::string TakeVerdicts(const std::string& text, std::vector<std::string>& verdicts) {
    std::istringstream words(text + "|");  // So that an empty last word is read, too.
    bool is_of_use = false;
    for (std::string word; std::getline(words, word, '|');) {
      const bool is_expectable = Has(kExpectable, word);
      if (!is_expectable && !Has(kAlternatives, word)) {
        return fmt::format("{} is no verdict to expect: {}, or several with | between them and {} among them",
                           Quoted(word), fmt::join(kExpectable, ", "), fmt::join(kAlternatives, " or "));
      }
      is_of_use |= is_expectable;
      verdicts.push_back(word);
    }
    return is_of_use ? "" : fmt::format("{} needs no entry: one that fails does", text);
  }

  std::string TakeText(std::string_view text) {
    if (group_.empty()) {
      return "an indented line is the reason of an entry, and there is none above it";
    }
    const bool is_link = text.starts_with("https://") || text.starts_with("http://");
    const bool is_whole_line = text.find_first_of(kBlanks) == std::string_view::npos;
    for (ExpectedEntry& entry : group_) {
      if (is_link && is_whole_line) {
        if (!entry.link.empty()) {
          return "an entry has one link: put others into the reason";
        }
        entry.link = text;
      } else {
        entry.reason += (entry.reason.empty() ? "" : "\n") + std::string(text);
      }
    }
    return "";
  }

  std::span<const std::string_view> ids_;
  bool may_say_why_;
  std::size_t line_ = 0;
  std::string target_;
  std::string version_;
  std::vector<ExpectedEntry> group_;  // Those that wait for their reason, or for more of it.
  std::vector<ExpectedEntry> entries_;
};

std::string PlaceOf(const ExpectedList& list, const ExpectedEntry& entry) {
  return fmt::format("{}:{}", list.name, entry.line);
}

}  // namespace

std::vector<std::string> SplitLines(std::string_view text) {
  std::istringstream stream{std::string(text)};
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) {
    lines.push_back(std::move(line));
  }
  return lines;
}

LineKind KindOf(std::string_view line) {
  const std::string_view text = Trimmed(line);
  if (text.empty()) {
    return LineKind::kBlank;
  }
  if (text.starts_with('#')) {
    return LineKind::kComment;
  }
  if (kBlanks.contains(line.front())) {
    return LineKind::kText;
  }
  return line.starts_with('[') ? LineKind::kSection : LineKind::kEntry;
}

std::expected<ExpectedList, Trouble> ParseLines(std::string_view name, std::span<const std::string> lines,
                                                std::span<const std::string_view> ids, bool may_say_why) {
  Reader reader(ids, may_say_why);
  std::string wrong;
  for (auto line = lines.begin(); line != lines.end() && wrong.empty(); ++line) {
    wrong = reader.Take(*line);
  }
  wrong = wrong.empty() ? reader.Close() : wrong;
  if (!wrong.empty()) {
    return std::unexpected(Trouble{fmt::format("{}:{}: {}.", name, reader.line(), wrong)});
  }
  return ExpectedList{.name = std::string(name), .entries = reader.TakeEntries()};
}

std::expected<ExpectedList, Trouble> ParseExpected(std::string_view name, std::string_view text,
                                                   std::span<const std::string_view> ids) {
  return ParseLines(name, SplitLines(text), ids, /*may_say_why=*/false);
}

// --- What a list makes of a run ---

bool IsOfTarget(const ExpectedEntry& entry, std::string_view name, const reports::Run& run) {
  const std::string_view words = run.server.words;
  const std::string_view program = run.server.program.empty() ? name : std::string_view(run.server.program);
  const auto names = {program, words, words.substr(0, words.find('@')), std::string_view(run.target)};
  return (entry.target.empty() ||
          std::ranges::any_of(names, [&](std::string_view each) { return Matches(entry.target, each); })) &&
         (entry.version.empty() || Matches(entry.version, run.server.version));
}

bool IsOfCheck(const ExpectedEntry& entry, std::string_view id) {
  return IsGlob(entry.id) ? Matches(entry.id, id) : entry.id == id;
}

std::string_view WordFor(const reports::Outcome& outcome) {
  const bool is_crash = outcome.verdict == Verdict::kFail && outcome.evidence.ended.contains("killed by");
  return is_crash ? kCrash : Word(outcome.verdict);
}

std::string WhyStale(const ExpectedEntry& entry, const reports::Run& run) {
  std::size_t asked_count = 0;
  std::string_view seen;
  for (const reports::Outcome& outcome : run.outcomes) {
    if (!IsOfCheck(entry, outcome.id) || outcome.verdict == Verdict::kSkip) {
      continue;
    }
    ++asked_count;
    seen = WordFor(outcome);
    // What fails otherwise is a new failure, and tells that the entry is wrong.
    if (Has(entry.verdicts, seen) || (!IsGlob(entry.id) && IsFailure(outcome.verdict))) {
      return "";
    }
  }
  if (asked_count < entry.check_count) {
    return "";  // Another one may be so.
  }
  const std::string expected = fmt::format("{}", fmt::join(entry.verdicts, " or "));
  return asked_count == 1 ? fmt::format("{} is expected, and it is {}", expected, seen)
                          : fmt::format("{} is expected of one of {} checks, and none is", expected, asked_count);
}

void LayOver(std::span<const ExpectedList> lists, reports::Run& run) {
  for (const ExpectedList& list : lists) {
    for (const ExpectedEntry& entry : list.entries) {
      if (!IsOfTarget(entry, list.name, run)) {
        continue;
      }
      const std::string why_stale = WhyStale(entry, run);
      if (!why_stale.empty()) {
        run.stale.push_back({.place = PlaceOf(list, entry), .id = entry.id, .why = why_stale});
      }
      for (reports::Outcome& outcome : run.outcomes) {
        const bool is_as_expected = Has(entry.verdicts, WordFor(outcome)) && !Has(kAlternatives, Word(outcome.verdict));
        const bool is_marked = is_as_expected || (!why_stale.empty() && !IsGlob(entry.id));
        if (is_marked && IsOfCheck(entry, outcome.id) && outcome.expectation.overlay != Overlay::kExpected) {
          outcome.expectation = {.overlay = is_as_expected ? Overlay::kExpected : Overlay::kStale,
                                 .reason = entry.reason,
                                 .link = entry.link,
                                 .place = PlaceOf(list, entry)};
        }
      }
    }
  }
  const bool decide_outcomes = run.exit == reports::ExitCode::kFailure || run.exit == reports::ExitCode::kSuccess;
  run.exit = decide_outcomes ? ExitFor(run) : run.exit;
}

}  // namespace nbdspec::conformance
