// SPDX-License-Identifier: BSD-3-Clause
// Renders a run: each function is pure, equal runs give equal bytes.

#pragma once

#include <cstddef>
#include <string>

#include "reports/model/run.h"

namespace nbdspec::reports {

struct TextOptions {
  bool color = false;
  bool verbose = false;       // Also passes and n/a, one line each, whole transcripts, and the slowest checks.
  bool quiet = false;         // Only the conclusion.
  std::size_t columns = 100;  // How wide a line may be, at least 40.
};

// For people: what is wrong with all of the run; what did not pass with its evidence, worst first, and new before
// expected; then the tally and the conclusion. Everything a peer chose is escaped.
std::string RenderText(const Run& run, const TextOptions& options);

// For programs: see docs/json.md.
std::string RenderJson(const Run& run);

// For CI: JUnit XML that is valid against Maven Surefire's schema. A fail or flaky is a <failure>, an inconclusive
// an <error>, n/a, skip and what a list expects <skipped>, an entry that no longer holds a <failure> of its own; a warn
// passes with its text in <system-out>.
std::string RenderJunit(const Run& run);

// --- One outcome as lines of text: what the text report prints, and the body of a JUnit failure ---

// "FAIL  MUST NOT  block-status.req-one.single" and a line feed.
std::string OutcomeHeading(const Outcome& outcome, const TextOptions& options);

// A labelled line or more for everything there is to say: clause, spec, sent, allowed, saw, place, talk, stderr,
// replay. Unless verbose, only the ends of long ones, and neither talk nor stderr for a warn. Only the replay
// line, which is for pasting, may be wider than the columns.
std::string OutcomeDetails(const Outcome& outcome, const TextOptions& options);

// Why an outcome is n/a or skip, in one line.
std::string Reason(const Outcome& outcome);

// Milliseconds as seconds, with `digits` after the point; 0 for what is not a time.
std::string Seconds(double milliseconds, int digits);

}  // namespace nbdspec::reports
