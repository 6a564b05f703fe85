// SPDX-License-Identifier: BSD-3-Clause
#include "reports/model/run.h"

#include "engine/base/check.h"

namespace nbdspec::reports {

std::string_view Word(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPass:
      return "pass";
    case Verdict::kFail:
      return "fail";
    case Verdict::kWarn:
      return "warn";
    case Verdict::kNotApplicable:
      return "n/a";
    case Verdict::kSkip:
      return "skip";
    case Verdict::kInconclusive:
      return "inconclusive";
    case Verdict::kFlaky:
      return "flaky";
  }
  engine::CheckFailed("unknown Verdict");
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
