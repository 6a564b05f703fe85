// SPDX-License-Identifier: BSD-3-Clause
#include "reports/model/comparison.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <tuple>

namespace nbdspec::reports {
namespace {

bool IsBad(const Outcome* outcome) {
  return outcome != nullptr && IsFailure(outcome->verdict) && !IsExpected(*outcome);
}

bool IsAsked(const Outcome* outcome) {
  return outcome != nullptr && outcome->verdict != Verdict::kNotApplicable && outcome->verdict != Verdict::kSkip;
}

bool Warns(const Outcome* outcome) {
  return outcome != nullptr &&
         (outcome->verdict == Verdict::kWarn || (IsFailure(outcome->verdict) && IsExpected(*outcome)));
}

// What a person would call another finding. What was sent has cookies, which differ without a reason.
auto FindingOf(const Outcome& outcome) { return std::tie(outcome.verdict, outcome.requirement, outcome.evidence.saw); }

// At least one is there.
std::optional<Change> ChangeOf(const Outcome* before, const Outcome* after) {
  if (after == nullptr) {
    return Change::kGoneCheck;
  }
  if ((IsBad(before) && IsBad(after)) || (Warns(before) && Warns(after))) {
    return FindingOf(*before) == FindingOf(*after) ? std::optional<Change>() : Change::kChanged;
  }
  if (IsBad(after)) {
    return Change::kNewFailure;
  }
  if (Warns(after) && !IsBad(before)) {
    return Change::kNewWarning;
  }
  if (before == nullptr) {
    return Change::kNewCheck;
  }
  if (IsAsked(before) != IsAsked(after)) {
    return IsAsked(after) ? Change::kNowAsked : Change::kNoLongerAsked;
  }
  const bool is_mended = IsBad(before) || Warns(before);  // What is not is the same: it passes, or is not asked.
  return is_mended ? std::optional(Change::kMended) : std::nullopt;
}

using OutcomesById = std::map<std::string_view, const Outcome*>;

OutcomesById ById(const Run& run) {
  OutcomesById outcomes;
  for (const Outcome& outcome : run.outcomes) {
    outcomes[outcome.id] = &outcome;
  }
  return outcomes;
}

const Outcome* Find(const OutcomesById& outcomes, std::string_view id) {
  const auto found = outcomes.find(id);
  return found == outcomes.end() ? nullptr : found->second;
}

}  // namespace

std::size_t Comparison::count(Change change) const {
  return static_cast<std::size_t>(std::ranges::count(differences, change, &Difference::change));
}

Comparison Compare(const Run& before, const Run& after) {
  const OutcomesById befores = ById(before);
  const OutcomesById afters = ById(after);
  Comparison comparison{.before = &before, .after = &after};
  const auto add = [&](const Outcome* old_one, const Outcome* new_one) {
    if (const auto change = ChangeOf(old_one, new_one)) {
      comparison.differences.push_back({.change = *change, .before = old_one, .after = new_one});
    }
  };
  for (const Outcome& outcome : after.outcomes) {
    if (Find(afters, outcome.id) == &outcome) {
      add(Find(befores, outcome.id), &outcome);
    }
  }
  for (const Outcome& outcome : before.outcomes) {
    if (Find(befores, outcome.id) == &outcome && !afters.contains(outcome.id)) {
      add(&outcome, nullptr);
    }
  }
  const bool may_lack_some = !after.trouble.empty() && after.trouble != before.trouble;
  comparison.exit = comparison.count(Change::kNewFailure) > 0 ? ExitCode::kFailure
                    : may_lack_some                           ? ExitCode::kTargetUnusable
                                                              : ExitCode::kSuccess;
  return comparison;
}

}  // namespace nbdspec::reports
