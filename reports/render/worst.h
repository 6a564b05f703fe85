// SPDX-License-Identifier: BSD-3-Clause
// How bad an outcome is beside others: the order in which every report shows them. Private to this folder.

#pragma once

#include <algorithm>
#include <array>
#include <string_view>
#include <tuple>

#include "reports/model/run.h"

namespace nbdspec::reports {

// The verdicts that are shown with their evidence, worst first.
inline constexpr std::array kShownVerdicts = {Verdict::kFail, Verdict::kInconclusive, Verdict::kFlaky, Verdict::kWarn};
inline constexpr std::string_view kSanityBefore = "sanity.before";  // Why most was not asked, where it is there.

inline bool IsShown(Verdict verdict) { return std::ranges::find(kShownVerdicts, verdict) != kShownVerdicts.end(); }

// What is less is worse: what is wrong with all of a run, then the verdict, the end of a server, the harm, the level.
// What a list expects is as good as what is not shown.
inline auto OrderOf(const Outcome& outcome) {
  const bool has_server_ended = outcome.binds == spec::Role::kServer && !outcome.evidence.ended.empty();
  const auto verdict = IsExpected(outcome) ? kShownVerdicts.end() : std::ranges::find(kShownVerdicts, outcome.verdict);
  const bool is_shown = verdict != kShownVerdicts.end();
  return std::tuple(outcome.id != kSanityBefore, verdict - kShownVerdicts.begin(), !is_shown || !has_server_ended,
                    is_shown ? -static_cast<int>(outcome.harm) : 0, is_shown ? outcome.level : spec::Level::kMust);
}

}  // namespace nbdspec::reports
