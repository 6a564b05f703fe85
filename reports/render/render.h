// SPDX-License-Identifier: BSD-3-Clause
// Renders a run: each function is pure, equal runs give equal bytes.

#pragma once

#include <string>

#include "reports/model/run.h"

namespace nbdspec::reports {

struct TextOptions {
  bool color = false;
  bool verbose = false;  // Also passes and n/a, one line each, and whole transcripts.
};

// For people: what did not pass with its evidence, worst first; then the tally. Everything a peer chose is escaped.
std::string RenderText(const Run& run, const TextOptions& options);

// For programs: see docs/json.md.
std::string RenderJson(const Run& run);

// For CI: JUnit XML that is valid against Maven Surefire's schema. A fail or flaky is a <failure>, an inconclusive
// an <error>, n/a and skip <skipped>; a warn passes with its text in <system-out>.
std::string RenderJunit(const Run& run);

}  // namespace nbdspec::reports
