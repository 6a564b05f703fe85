// SPDX-License-Identifier: BSD-3-Clause
// Run: everything a report can say about one run of nbdspec, as plain data.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
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
  kFlaky,          // A second run came out differently. Counts as a failure.
};
inline constexpr int kVerdictCount = 7;

// "pass", "fail", "warn", "n/a", "skip", "inconclusive", "flaky".
inline std::string_view Word(Verdict verdict) {
  constexpr std::array<std::string_view, kVerdictCount> kWords = {
      // In the order of the enumerators.
      "pass", "fail", "warn", "n/a", "skip", "inconclusive", "flaky"};
  return kWords.at(static_cast<std::size_t>(verdict));
}

// What a verdict rests on. Empty strings where there is nothing to say.
struct Evidence {
  std::string sent;                     // What nbdspec sent.
  std::string allowed;                  // What the clause allows.
  std::string saw;                      // What came back.
  std::string place;                    // Where in the transcript: "line 14, byte 1342 from the server".
  std::vector<std::string> transcript;  // The conversation, one line each.
  std::string standard_error;           // The end of the server's, when nbdspec started it.
};

// The result of one check.
struct Outcome {
  std::string id;           // Of the check.
  std::string requirement;  // Of the clause.
  spec::Level level = spec::Level::kMust;
  std::string statement;  // The clause in our words.
  std::string section;    // Of the specification.
  Verdict verdict = Verdict::kPass;
  Evidence evidence;
  std::string replay;  // The command line that runs it again.
  double duration_ms = 0;
};

// What the server advertised: ordered pairs for people and machines, e.g. {"size", "8388608"}.
using Advertised = std::vector<std::pair<std::string, std::string>>;

struct Run {
  std::string tool = "nbdspec";
  std::string version;
  std::string spec;  // The revision of the specification.
  std::uint64_t seed = 0;
  std::string target;
  Advertised advertised;
  std::vector<Outcome> outcomes;
  std::string trouble;  // Why the run ended early, or why most was not asked; empty when neither is so.
  int exit = 0;
  double duration_ms = 0;
};

// How many outcomes have each verdict.
struct Tally {
  int counts[kVerdictCount] = {};
  [[nodiscard]] int of(Verdict verdict) const { return counts[static_cast<int>(verdict)]; }
};

inline Tally TallyOf(const Run& run) {
  Tally tally;
  for (const Outcome& outcome : run.outcomes) {
    ++tally.counts[static_cast<int>(outcome.verdict)];
  }
  return tally;
}

// Exit codes of the command.
struct ExitCode {
  static constexpr int kSuccess = 0;
  static constexpr int kFailure = 1;
  static constexpr int kUsage = 2;
  static constexpr int kTargetUnusable = 3;
  static constexpr int kOurError = 5;
};

// The exit code that the outcomes call for: kFailure with a fail, inconclusive or flaky, else kSuccess. The command
// knows when it is another one.
inline int ExitFor(const Tally& tally) {
  const int failures = tally.of(Verdict::kFail) + tally.of(Verdict::kInconclusive) + tally.of(Verdict::kFlaky);
  return failures > 0 ? ExitCode::kFailure : ExitCode::kSuccess;
}

}  // namespace nbdspec::reports
