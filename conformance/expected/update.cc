// SPDX-License-Identifier: BSD-3-Clause
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "conformance/expected/expected.h"
#include "conformance/expected/list_lines.h"
#include "engine/base/or_return.h"
#include "engine/base/quoted.h"

namespace nbdspec::conformance {

using reports::Outcome;
using reports::Overlay;

namespace {

constexpr std::size_t kSawBytesMax = 160;

constexpr char kNewList[] = "# What is expected to fail. `nbdspec expected --help` says how to read and write this.";

// A list while it is brought up to date. Lines are numbered from 0 here.
class Updater {
 public:
  Updater(ExpectedList list, std::vector<std::string> lines, const reports::Run& run)
      : list_(std::move(list)), lines_(std::move(lines)), run_(run) {}

  UpdatedList Update() {
    for (const ExpectedEntry& entry : list_.entries) {
      if (IsOfTarget(entry, list_.name, run_)) {
        UpdateEntry(entry);
      }
    }
    TakeOutOrphans();
    AddNew();
    std::string text;
    bool was_blank = true;  // Of two blank lines, one may be left of what was taken out.
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      const bool is_blank = KindOf(lines_[i]) == LineKind::kBlank;
      if (!taken_out_.contains(i) && !(is_blank && was_blank)) {
        text += lines_[i] + "\n";
        was_blank = is_blank;
      }
    }
    const bool needs_reasons =
        std::ranges::any_of(SplitLines(text), [](const std::string& line) { return line == Indented(kSayWhy); });
    return {.text = std::move(text), .changes = std::move(changes_), .needs_reasons = needs_reasons};
  }

 private:
  static std::string Indented(std::string_view text) { return "    " + std::string(text); }

  void UpdateEntry(const ExpectedEntry& entry) {
    std::string& line = lines_[entry.line - 1];
    if (!WhyStale(entry, run_).empty()) {
      changes_.push_back("- " + line);
      taken_out_.insert(entry.line - 1);
      return;
    }
    const auto outcome = std::ranges::find(run_.outcomes, entry.id, &Outcome::id);  // None for a glob.
    if (outcome == run_.outcomes.end() || !IsFailure(outcome->verdict)) {
      return;
    }
    const std::string_view word = WordFor(*outcome);
    if (std::ranges::find(entry.verdicts, word) == entry.verdicts.end()) {
      const bool differs_at_times = entry.verdicts.size() > 1;
      const std::string before = fmt::format("{}", fmt::join(entry.verdicts, "|"));
      const std::string now = differs_at_times ? fmt::format("{}|{}", word, before) : std::string(word);
      line.replace(line.rfind(before), before.size(), now);
      changes_.push_back("~ " + line);
    }
    covered_.insert(entry.id);
  }

  // The lines below entries of which none is left.
  void TakeOutOrphans() {
    bool is_gone = false;  // All entries of the group.
    bool is_open = false;  // More entries of it may come.
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      const LineKind kind = KindOf(lines_[i]);
      if (kind == LineKind::kEntry) {
        is_gone = taken_out_.contains(i) && (is_gone || !is_open);
        is_open = true;
      } else if (kind == LineKind::kSection) {
        is_gone = is_open = false;
      } else if (lines_[i].starts_with(' ') || lines_[i].starts_with('\t')) {  // A reason, or a comment on it.
        is_open = false;
        if (is_gone) {
          taken_out_.insert(i);
        }
      }
    }
  }

  // Whether the list has this outcome, or the run expected it for another one.
  bool IsCovered(const Outcome& outcome) const {
    const reports::Expectation& expectation = outcome.expectation;
    const bool is_anothers =
        expectation.overlay == Overlay::kExpected && !expectation.place.starts_with(list_.name + ":");
    return is_anothers || covered_.contains(outcome.id) ||
           std::ranges::any_of(list_.entries, [&](const ExpectedEntry& entry) {
             return IsOfTarget(entry, list_.name, run_) && IsOfCheck(entry, outcome.id) &&
                    std::ranges::find(entry.verdicts, WordFor(outcome)) != entry.verdicts.end();
           });
  }

  void AddNew() {
    std::vector<std::string> added;
    for (const Outcome& outcome : run_.outcomes) {
      if (!IsFailure(outcome.verdict) || IsCovered(outcome)) {
        continue;
      }
      const std::string line = fmt::format("{}  {}", outcome.id, WordFor(outcome));
      added.insert(added.end(), {"", line});
      if (!outcome.evidence.saw.empty()) {
        added.push_back(Indented("# saw " + engine::Quoted(outcome.evidence.saw, kSawBytesMax)));
      }
      added.push_back(Indented(kSayWhy));
      changes_.push_back("+ " + line);
    }
    if (added.empty()) {
      return;
    }
    std::size_t at = EndOfSection().value_or(lines_.size());
    if (!EndOfSection() && !run_.server.program.empty()) {
      const std::string_view words = run_.server.words;
      const bool is_name = words.starts_with(run_.server.program);  // And no command.
      const std::string_view name = is_name ? words.substr(0, words.find('@')) : run_.server.program;
      added.insert(added.begin(), {"", fmt::format("[{}]", name)});
    }
    lines_.insert(lines_.begin() + static_cast<std::ptrdiff_t>(at), added.begin(), added.end());
    // What was taken out stands before or after.
    std::set<std::size_t> moved;
    for (const std::size_t index : taken_out_) {
      moved.insert(index < at ? index : index + added.size());
    }
    taken_out_ = std::move(moved);
  }

  // Behind the last line of the last section of this target, and of this one before others; nothing when it has none.
  [[nodiscard]] std::optional<std::size_t> EndOfSection() const {
    const ExpectedEntry* last = nullptr;
    for (const ExpectedEntry& entry : list_.entries) {
      last = IsOfTarget(entry, list_.name, run_) ? &entry : last;
    }
    const bool is_of_any = run_.server.program.empty();
    if (last == nullptr && !is_of_any) {
      return {};
    }
    std::size_t end = last == nullptr ? 0 : last->line;
    std::size_t behind = end;
    for (; end < lines_.size() && KindOf(lines_[end]) != LineKind::kSection; ++end) {
      behind = KindOf(lines_[end]) == LineKind::kBlank ? behind : end + 1;
    }
    return behind;
  }

  ExpectedList list_;
  std::vector<std::string> lines_;
  const reports::Run& run_;
  std::set<std::size_t> taken_out_;
  std::set<std::string> covered_;  // Ids whose entry has the right verdict now.
  std::vector<std::string> changes_;
};

}  // namespace

std::expected<UpdatedList, engine::Trouble> UpdateExpected(std::string_view name, std::string_view text,
                                                           const reports::Run& run,
                                                           std::span<const std::string_view> ids) {
  std::vector<std::string> lines = SplitLines(text.empty() ? kNewList : text);
  NBDSPEC_ASSIGN_OR_RETURN(list, ParseLines(name, lines, ids, /*may_say_why=*/true));
  return Updater(std::move(list), std::move(lines), run).Update();
}

}  // namespace nbdspec::conformance
