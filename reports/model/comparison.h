// SPDX-License-Identifier: BSD-3-Clause
// Comparison: what changed from one run to a later one, check by check.

#pragma once

#include <array>
#include <cstddef>
#include <string_view>
#include <vector>

#include "reports/model/run.h"

namespace nbdspec::reports {

// What became of a check. A check is *bad* when it fails and no list expects that, *warns* when it does or fails as a
// list expects, and is *asked* unless it is n/a or skip.
enum class Change {
  kNewFailure,     // It is bad, and was not, or was not there.
  kNewWarning,     // It warns, and was neither bad nor warned.
  kChanged,        // It is as bad as it was, or warns as it did, and what was seen is something else.
  kMended,         // It was bad and is not, or warned and passes.
  kNoLongerAsked,  // It was asked, and is not.
  kNowAsked,       // It passes, and was not asked.
  kNewCheck,       // It was not there, and is not bad.
  kGoneCheck,      // It is not there any more.
};
inline constexpr int kChangeCount = 8;

// "new failure", "new warning", "changed evidence", "mended", "no longer asked", "now asked", "new check", "gone
// check".
inline std::string_view Word(Change change) {
  constexpr std::array<std::string_view, kChangeCount> kWords = {// In the order of the enumerators.
                                                                 "new failure", "new warning",     "changed evidence",
                                                                 "mended",      "no longer asked", "now asked",
                                                                 "new check",   "gone check"};
  return kWords.at(static_cast<std::size_t>(change));
}

// One check. The outcomes are those of the runs that were compared; nullptr where a run has none.
struct Difference {
  Change change = Change::kChanged;
  const Outcome* before = nullptr;
  const Outcome* after = nullptr;
};

struct Comparison {
  const Run* before = nullptr;
  const Run* after = nullptr;
  std::vector<Difference> differences;  // The checks that changed, in the order of `after`, then of `before`.
  // kFailure with a new failure; else kTargetUnusable when `after` ended early for another reason than `before`, so
  // that failures may not have been found; else kSuccess.
  int exit = ExitCode::kSuccess;

  [[nodiscard]] std::size_t count(Change change) const;
};

// Of two runs, which outlive it. Of outcomes with one id the last counts. Of evidence only what was seen counts. Cost:
// O(n log n).
Comparison Compare(const Run& before, const Run& after);

}  // namespace nbdspec::reports
