// SPDX-License-Identifier: BSD-3-Clause
#include "command/selection.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>
#include <iterator>
#include <numeric>

#include "conformance/peer/target.h"
#include "engine/base/or_return.h"
#include "engine/base/quoted.h"

namespace nbdspec::command {

namespace {

std::size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

std::vector<std::string_view> IdsOfChecks() {
  std::vector<std::string_view> ids;
  std::ranges::transform(conformance::AllChecks(), std::back_inserter(ids), &conformance::Check::id);
  return ids;
}

engine::Trouble MatchesNothing(std::string_view word, std::span<const std::string_view> ids) {
  if (word.contains("://") || conformance::IsServerName(word)) {
    return {
        fmt::format("{} is a target: name it first, before the words that select checks", engine::Quoted(word, 200))};
  }
  return {
      fmt::format("no check and no known target is called {}{} `nbdspec list` shows every check, "
                  "`nbdspec check --help` the targets.",
                  engine::Quoted(word), DidYouMean(word, ids))};
}

// Whether `pattern` (an id, a beginning or a glob) selects `id`.
bool Selects(std::string_view pattern, std::string_view id) {
  if (pattern.find_first_of("*?") == std::string_view::npos) {
    return id.starts_with(pattern);
  }
  return ::fnmatch(std::string(pattern).c_str(), std::string(id).c_str(), FNM_NOESCAPE) == 0;
}

struct Choice {
  bool is_selected = false;
  const std::string* excluded_by = nullptr;  // The word that took it away.
};

// Of each of `all`. Errors: a word that matches nothing.
std::expected<std::vector<Choice>, engine::Trouble> ChoicesOf(std::span<const std::string_view> all,
                                                              std::span<const std::string> words) {
  const bool only_takes_away =
      std::ranges::all_of(words, [](const std::string& word) { return word.starts_with("!"); });
  std::vector<Choice> choices(all.size(), {.is_selected = only_takes_away});
  for (const std::string& word : words) {
    const bool takes_away = word.starts_with("!");
    const std::string_view pattern = std::string_view(word).substr(takes_away ? 1 : 0);
    const bool is_id = std::ranges::find(all, pattern) != all.end();
    bool matches_any = false;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (is_id ? all[i] == pattern : !pattern.empty() && Selects(pattern, all[i])) {
        matches_any = true;
        const std::string* const first = choices[i].is_selected ? &word : choices[i].excluded_by;
        choices[i] = {.is_selected = !takes_away, .excluded_by = takes_away ? first : nullptr};
      }
    }
    if (!matches_any) {
      return std::unexpected(MatchesNothing(pattern, all));
    }
  }
  return choices;
}

}  // namespace

std::string DidYouMean(std::string_view word, std::span<const std::string_view> ids) {
  constexpr std::size_t kPartsMax = 5;
  const std::string_view cut = word.substr(0, 200);  // A word can be of any length; ids are short.
  std::vector<std::string_view> parts;               // Whole ids, of which the word is a part.
  std::ranges::copy_if(ids, std::back_inserter(parts),
                       [&](std::string_view id) { return id.find(word) != std::string_view::npos; });
  if (!parts.empty() && parts.size() <= kPartsMax) {
    return fmt::format("; did you mean {}?", fmt::join(parts, ", or "));
  }
  std::string_view nearest;
  std::size_t least = cut.size() / 2 + 1;  // Further away it is no typing error.
  for (const std::string_view id : ids) {
    const std::size_t distance = EditDistance(cut, id);
    if (distance < least) {
      least = distance;
      nearest = id;
    }
  }
  return nearest.empty() ? "." : fmt::format("; did you mean {}?", nearest);
}

std::expected<std::vector<std::size_t>, engine::Trouble> SelectFrom(std::span<const std::string_view> ids,
                                                                    std::span<const std::string> words) {
  const auto choices = ChoicesOf(ids, words);
  if (!choices) {
    return std::unexpected(choices.error());
  }
  std::vector<std::size_t> selected;
  for (std::size_t i = 0; i < choices->size(); ++i) {
    if ((*choices)[i].is_selected) {
      selected.push_back(i);
    }
  }
  if (selected.empty()) {
    return std::unexpected(engine::Trouble{"nothing is left to run: the words that begin with ! take away all checks"});
  }
  return selected;
}

std::expected<std::vector<conformance::Check>, engine::Trouble> SelectChecks(std::span<const std::string> words) {
  NBDSPEC_ASSIGN_OR_RETURN(indices, SelectFrom(IdsOfChecks(), words));
  std::vector<conformance::Check> selected;
  for (const std::size_t index : indices) {
    selected.push_back(conformance::AllChecks()[index]);
  }
  return selected;
}

std::vector<Excluded> ExcludedChecks(std::span<const std::string> words) {
  const auto choices = ChoicesOf(IdsOfChecks(), words);
  std::vector<Excluded> excluded;
  for (std::size_t i = 0; choices && i < choices->size(); ++i) {
    if (const std::string* const word = (*choices)[i].excluded_by; word != nullptr) {
      excluded.push_back({.check = conformance::AllChecks()[i], .word = *word});
    }
  }
  return excluded;
}

}  // namespace nbdspec::command
