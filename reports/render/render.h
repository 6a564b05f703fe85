// SPDX-License-Identifier: BSD-3-Clause
// Renders a run: each function is pure, equal runs give equal bytes.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reports/model/comparison.h"
#include "reports/model/extent_map.h"
#include "reports/model/matrix.h"
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

// For programs: see docs/json.md. ReadJson (read_json.h) is the way back.
std::string RenderJson(const Run& run);

// `format` in the JSON reports: it grows when a member changes its meaning or goes.
inline constexpr int kJsonFormat = 1;

// Parts of it, each in one line, for a report that grows while the run goes: one of its outcomes; all but its outcomes.
std::string RenderOutcomeLine(const Outcome& outcome);
std::string RenderHeadLine(const Run& run);

// For CI: JUnit XML that is valid against the strict schema of Ant's reports (testdata/junit_ant.xsd) and Jenkins's. A
// fail or flaky is a <failure>, an inconclusive an <error>, an entry of a list that no longer holds a <failure> of its
// own. n/a, skip, warn and what a list expects are <skipped>: JUnit has nothing else for what is to be seen and fails
// nothing.
std::string RenderJunit(const Run& run);

// For people in a browser: one file that loads nothing, works without its script, and shows nothing that a peer chose
// unescaped.
std::string RenderHtml(const Run& run);

// For harnesses: the Test Anything Protocol, version 13, with the evidence as YAML. n/a and skip have the
// directive `skip`; a warn and what a list expects are "not ok" with `todo`, which fails no run. A run that ended early
// bails out.
std::string RenderTap(const Run& run);

// For job summaries: Markdown as GitHub and GitLab show it, with what did not pass to be unfolded. At most
// kMarkdownBytesMax; of what comes later only how much that is.
std::string RenderMarkdown(const Run& run);
inline constexpr std::size_t kMarkdownBytesMax = 900'000;  // GitHub drops a summary of more than 1 MiB.

// --- Two runs ---

// For people: new failures with their evidence, what else changed in a line or three each; then the exit code.
std::string RenderText(const Comparison& comparison, const TextOptions& options);

// For programs: see docs/json.md.
std::string RenderJson(const Comparison& comparison);

// For people in a browser: what is new with its evidence, what else changed in a line each.
std::string RenderHtml(const Comparison& comparison);

// --- The runs of a list of servers ---

// For people: the reports of runs that are not as they should be, then a line for each run and a grid, with a row for
// each check that did not come out well somewhere; for each check when verbose.
std::string RenderText(const Matrix& matrix, const TextOptions& options);

// For programs: see docs/json.md.
std::string RenderJson(const Matrix& matrix);

// For CI: a <testsuite> for each run.
std::string RenderJunit(const Matrix& matrix);

// For harnesses: the tests of all runs, each named with its server. A run that ended early is a test that fails.
std::string RenderTap(const Matrix& matrix);

// For job summaries: a line for each run, the grid of what did not come out well somewhere, and what failed or warns of
// each run. As long as that of one run at most.
std::string RenderMarkdown(const Matrix& matrix);

// For people in a browser: all runs as one grid, and what failed or warns in short. A run of 16 servers by 400 checks
// has less than 2 MB.
std::string RenderHtml(const Matrix& matrix);

// --- One outcome as lines of text: what the text report prints, and the body of a JUnit failure ---

// "FAIL  MUST NOT  block-status.req-one.single" and a line feed.
std::string OutcomeHeading(const Outcome& outcome, const TextOptions& options);

// A labelled line or more for everything there is to say: clause, harm, note, spec, link, sent, allowed, saw, place,
// stock, bytes, talk, stderr, replay; of a client "ran" for sent, "ended", and "output" for stderr. In bytes "^" marks
// what was judged, in talk "->" marks what was judged, "?" what asked for it. Unless verbose, only what is near to
// that, the ends of other long ones, and neither talk nor stderr for a warn. Only link and replay, which are for
// copying, may be wider than the columns.
std::string OutcomeDetails(const Outcome& outcome, const TextOptions& options);

// Why an outcome is n/a or skip, in one line.
std::string Reason(const Outcome& outcome);

// --- The whole run in a few words ---

// What failed or warns and nobody expects: worst verdict first, of those the worst harm; equally bad ones in the order
// of the run.
std::vector<const Outcome*> WorstFirst(const Run& run);

// Why outcomes have that verdict, and how many for each reason, in the order of the run.
std::vector<std::pair<std::string, std::size_t>> ReasonsOf(const Run& run, Verdict verdict);

// "8 checks in 1.2 s: 6 pass, 2 fail"
std::string CountsLine(const Run& run, bool color);

// "Exit 1: 2 failed."
std::string ExitLine(const Run& run);
// "Exit 1: 3 targets in 12.3 s: 2 new failures."
std::string ExitLine(const Matrix& matrix);
// "Exit 1: 2 new failures."
std::string ExitLine(const Comparison& comparison);
// The verdict of one side of a comparison, "not there" of none.
std::string_view WordFor(const Outcome* outcome);

// What Run::trouble is, where there is one.
std::string_view TroubleHeading(const Run& run);

// Milliseconds as seconds, with `digits` after the point; 0 for what is not a time.
std::string Seconds(double milliseconds, int digits);

// --- The map of an export ---

// For people: bars of at most `columns` columns and 16 rows, which show every part that has data, then how much there
// is of each kind of extent; each extent, if wanted. Range: any; fewer than 32 columns are as 32.
std::string RenderText(const ExtentMap& map, std::size_t columns, bool every_extent);

// For programs: see docs/json.md.
std::string RenderJson(const ExtentMap& map);

// One bar of a thousand columns; of extents that share a column each has its share of its height.
std::string RenderSvg(const ExtentMap& map);

}  // namespace nbdspec::reports
