// SPDX-License-Identifier: BSD-3-Clause
// One outcome as lines of text: what the text report prints, and the body of a JUnit failure.

#pragma once

#include <string>
#include <string_view>

#include "reports/model/run.h"
#include "reports/render/render.h"

namespace nbdspec::reports {

// "FAIL  MUST NOT  block-status.req-one.single" and a line feed.
std::string OutcomeHeading(const Outcome& outcome, const TextOptions& options);

// A labelled line or more for everything there is to say: clause, spec, sent, allowed, saw, place, talk, stderr,
// replay. Unless verbose, only the ends of long ones, and neither talk nor stderr for a warn. No line is wider
// than 100 columns but the replay line, which is for pasting.
std::string OutcomeDetails(const Outcome& outcome, const TextOptions& options);

// "  label    text", wrapped and indented; nothing when `text` is empty. `text` may hold anything.
std::string Field(std::string_view label, std::string_view text, const TextOptions& options);

// Why an outcome is n/a or skip, in one line.
std::string Reason(const Outcome& outcome);

// Milliseconds as seconds, with `digits` after the point; 0 for what is not a time.
std::string Seconds(double milliseconds, int digits);

// The escape sequences of terminals, of which a report uses these.
enum class Paint { kBad, kWarning, kGood, kFaint, kBold };
Paint PaintOf(Verdict verdict);
// `text` in that colour, or as it is.
std::string Painted(Paint paint, std::string_view text, bool color);

}  // namespace nbdspec::reports
