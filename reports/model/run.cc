// SPDX-License-Identifier: BSD-3-Clause
#include "reports/model/run.h"

#include <array>

namespace nbdspec::reports {

std::string_view Word(Verdict verdict) {
  constexpr std::array<std::string_view, kVerdictCount> kWords = {
      // In the order of the enumerators.
      "pass", "fail", "warn", "n/a", "skip", "inconclusive", "flaky"};
  return kWords.at(static_cast<std::size_t>(verdict));
}

Tally TallyOf(const Run& run) {
  Tally tally;
  for (const Outcome& outcome : run.outcomes) {
    ++tally.counts[static_cast<int>(outcome.verdict)];
  }
  return tally;
}

int ExitFor(const Tally& tally) {
  const int failures = tally.of(Verdict::kFail) + tally.of(Verdict::kInconclusive) + tally.of(Verdict::kFlaky);
  return failures > 0 ? ExitCode::kFailure : ExitCode::kSuccess;
}

}  // namespace nbdspec::reports
