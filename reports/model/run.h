// SPDX-License-Identifier: BSD-3-Clause
// Run: everything a report can say about one run of nbdspec, as plain data.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/spec/catalogue.h"

namespace nbdspec::reports {

enum class Verdict {
  kPass,
  kFail,           // A MUST is broken.
  kWarn,           // A SHOULD is broken, or precision is lost.
  kNotApplicable,  // The server does not offer what it needs; the evidence shows that.
  kSkip,           // The user's choice.
  kInconclusive,   // Offered, but could not be judged. Counts as a failure.
  kError,          // Ours.
  kXfail,          // A failure that the baseline expects.
  kXpass,          // A pass where the baseline expects a failure.
  kFlaky,          // Run again, it came out differently.
};
inline constexpr int kVerdictCount = 10;

// "pass", "fail", "warn", "n/a", "skip", "inconclusive", "error", "xfail", "xpass", "flaky".
std::string_view Word(Verdict verdict);

// What a verdict rests on. Empty strings where there is nothing to say.
struct Evidence {
  std::string sent;                     // What was asked.
  std::string allowed;                  // What the clause allows.
  std::string saw;                      // What came back.
  std::string place;                    // Where in the transcript: "line 14, byte 1342 from the server".
  std::vector<std::string> transcript;  // The conversation, one line each.
  std::string standard_error;           // The server's last words, when nbdspec started it.
};

// What came of one check.
struct Outcome {
  std::string id;           // Of the check.
  std::string requirement;  // Of the clause.
  spec::Level level = spec::Level::kMust;
  std::string statement;  // The clause in our words.
  std::string section;    // Where the specification has it.
  Verdict verdict = Verdict::kPass;
  Evidence evidence;
  std::string replay;  // The line to paste that runs it again.
  double duration_ms = 0;
};

// What the server said of itself: ordered pairs for people and machines, e.g. {"size", "8388608"}.
using Advertised = std::vector<std::pair<std::string, std::string>>;

struct Run {
  std::string tool = "nbdspec";
  std::string version;
  std::string spec;  // The revision of the specification.
  std::uint64_t seed = 0;
  std::string target;
  Advertised advertised;
  std::vector<Outcome> outcomes;
  std::string trouble;  // Why the run ended early; empty when it did not.
  int exit = 0;
  double duration_ms = 0;
};

// How many outcomes have each verdict.
struct Tally {
  int counts[kVerdictCount] = {};
  [[nodiscard]] int of(Verdict verdict) const { return counts[static_cast<int>(verdict)]; }
};
Tally TallyOf(const Run& run);

// Exit codes of the command.
struct ExitCode {
  static constexpr int kNothingNew = 0;
  static constexpr int kNewFailure = 1;
  static constexpr int kUsage = 2;
  static constexpr int kTargetUnusable = 3;
  static constexpr int kStaleBaseline = 4;
  static constexpr int kOurError = 5;
};

// The exit code the outcomes call for: 5 with an error, else 1 with a fail, inconclusive, flaky or xpass, else 0.
// (2, 3 and 4 are for the command to say.)
int ExitFor(const Tally& tally);

}  // namespace nbdspec::reports
