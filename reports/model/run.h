// SPDX-License-Identifier: BSD-3-Clause
// Run: everything a report can say about one run of nbdspec, as plain data.

#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/spec/catalogue.h"
#include "reports/model/evidence.h"

namespace nbdspec::reports {

enum class Verdict {
  kPass,
  kFail,           // A MUST is broken.
  kWarn,           // A SHOULD is broken, or precision is lost.
  kNotApplicable,  // The peer does not offer, or do, what it needs; the evidence shows that.
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

// What a list of expected failures says of an outcome (conformance/expected).
enum class Overlay {
  kNone,
  kExpected,  // The list has what came out: an xfail.
  kStale,     // The list has something worse: an xpass.
};

// "", "xfail", "xpass".
inline std::string_view Word(Overlay overlay) {
  constexpr std::array<std::string_view, 3> kWords = {"", "xfail", "xpass"};  // In the order of the enumerators.
  return kWords.at(static_cast<std::size_t>(overlay));
}

struct Expectation {
  Overlay overlay = Overlay::kNone;
  // Of the entry; empty where there is none.
  std::string reason;  // Its first line says it in short.
  std::string link;
  std::string place;  // "my.expected:14".
};

// The result of one check.
struct Outcome {
  std::string id;                          // Of the check.
  spec::Role binds = spec::Role::kServer;  // Who is judged.
  std::string requirement;                 // Of the clause.
  spec::Level level = spec::Level::kMust;
  std::string statement;  // The clause in our words.
  std::string section;    // Of the specification.
  std::string link;       // To that section, at the revision that the clause was read in; empty where there is none.
  spec::Harm harm = spec::Harm::kUnsaid;  // What it does to those who use the peer, where it does not hold.
  Verdict verdict = Verdict::kPass;
  Evidence evidence;
  std::string replay;  // The command line that runs it again.
  double duration_ms = 0;
  Expectation expectation;
  std::string stock;  // What stock servers do here, where it does not hold: "nbdkit warns; not known of qemu-nbd".
};

// Makes `outcome` one of `clause`.
inline void SetClause(const spec::Requirement& clause, Outcome& outcome) {
  outcome.requirement = clause.id;
  outcome.binds = clause.role;
  outcome.level = clause.level;
  outcome.statement = clause.statement;
  outcome.section = clause.section;
  outcome.link = spec::LinkTo(clause);
  outcome.harm = clause.harm;
}

// Notes that more is amiss than the clause is about: a server that did not go on serving, a client with wrong bytes.
inline void SetHarm(spec::Harm harm, Outcome& outcome) { outcome.harm = std::max(outcome.harm, harm); }

// Why the verdict is not what the level of the clause would make one think; empty where it is, or there is no clause.
inline std::string_view NoteOn(const Outcome& outcome) {
  if (outcome.requirement.empty()) {
    return "";
  }
  const bool is_must = outcome.level == spec::Level::kMust || outcome.level == spec::Level::kMustNot;
  if (outcome.verdict == Verdict::kWarn && is_must) {
    return "a warning, not a failure: the text of the specification can be read in more than one way";
  }
  if (outcome.verdict == Verdict::kFail && !is_must) {
    return outcome.binds == spec::Role::kServer
               ? "a failure whatever the clause says: the server did not go on serving"
               : "a failure whatever the clause says: the client crashed, hung, or took wrong bytes for right ones";
  }
  return "";
}

// An entry of a list of expected failures that no longer holds.
struct StaleEntry {
  std::string place;  // "my.expected:14".
  std::string id;     // As the entry has it: of a check, or a glob.
  std::string why;    // "it passes, and fail is expected".
};

// What the peer advertised: ordered pairs for people and machines, e.g. {"size", "8388608"}.
using Advertised = std::vector<std::pair<std::string, std::string>>;

// Which server it is, or which client, for programs.
struct Server {
  std::string words;    // What names it on a command line: "nbdkit", "--spawn 'srv {socket}'".
  std::string program;  // Where nbdspec starts it and knows it: "nbdkit"; else empty.
  std::string version;  // What that says of itself, or its package; empty when it does not.
};

struct Run {
  std::string tool = "nbdspec";
  std::string version;
  std::string spec;  // The revision of the specification.
  std::uint64_t seed = 0;
  std::string target;  // For people: "nbdkit 1.32.5 (file)".
  Server server;
  std::string started;  // When, in UTC: "2025-06-26T12:34:56Z". Empty where nobody knows.
  std::string host;     // The machine that nbdspec ran on; likewise.
  Advertised advertised;
  std::vector<Outcome> outcomes;
  std::vector<StaleEntry> stale;
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

// Whether it fails the run where nobody expects it.
inline bool IsFailure(Verdict verdict) {
  return verdict == Verdict::kFail || verdict == Verdict::kInconclusive || verdict == Verdict::kFlaky;
}

// Whether a list of expected failures has it.
inline bool IsExpected(const Outcome& outcome) { return outcome.expectation.overlay == Overlay::kExpected; }

// What lists of expected failures make of a run's outcomes; without a list all failures are new.
struct Failures {
  int fresh = 0;     // New ones.
  int expected = 0;  // Outcomes that a list has: xfails, and warnings.
  int stale = 0;     // Entries that no longer hold.
};

inline Failures FailuresOf(const Run& run) {
  Failures failures{.stale = static_cast<int>(run.stale.size())};
  for (const Outcome& outcome : run.outcomes) {
    failures.expected += IsExpected(outcome) ? 1 : 0;
    failures.fresh += !IsExpected(outcome) && IsFailure(outcome.verdict) ? 1 : 0;
  }
  return failures;
}

// Exit codes of the command.
struct ExitCode {
  static constexpr int kSuccess = 0;
  static constexpr int kFailure = 1;
  static constexpr int kUsage = 2;
  static constexpr int kTargetUnusable = 3;
  static constexpr int kStale = 4;
  static constexpr int kOurError = 5;
};

// The exit code that the outcomes call for: kFailure with a new failure, kStale where all that is amiss is a list of
// expected failures, else kSuccess. The command knows when it is another one.
inline int ExitFor(const Run& run) {
  const Failures failures = FailuresOf(run);
  if (failures.fresh > 0) {
    return ExitCode::kFailure;
  }
  return failures.stale > 0 ? ExitCode::kStale : ExitCode::kSuccess;
}

}  // namespace nbdspec::reports
