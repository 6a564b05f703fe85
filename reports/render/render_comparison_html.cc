// SPDX-License-Identifier: BSD-3-Clause
// What changed between two runs, as a page.

#include <fmt/format.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "reports/render/html.h"
#include "reports/render/printable.h"
#include "reports/render/render.h"

namespace nbdspec::reports {
namespace {

// Those of which the new outcome has something to show.
bool IsShown(Change change) {
  return change == Change::kNewFailure || change == Change::kNewWarning || change == Change::kChanged;
}

const Outcome& LastOf(const Difference& difference) {
  return difference.after != nullptr ? *difference.after : *difference.before;
}

// "pass → fail": as it was, and as it is.
std::string Step(const Difference& difference) {
  std::string out = fmt::format("{} → {}", Html(WordFor(difference.before)), Html(WordFor(difference.after)));
  if (difference.change == Change::kChanged) {
    out += fmt::format("; it was: {}", Html(FirstOf(Reason(*difference.before), 400)));
  }
  return out;
}

std::string Shown(const Difference& difference, Anchors& anchors, bool is_open) {
  return fmt::format("<p class=\"quiet\">{}</p>\n", Step(difference)) +
         Whole(*difference.after, anchors.For(difference.after->id), is_open, Detail::kAll);
}

std::string InShort(const Difference& difference, Anchors& anchors) {
  const Outcome& outcome = LastOf(difference);
  return fmt::format("<li {}><span class=\"level\">{}</span> <span>{} <code class=\"id\">{}</code></span></li>\n",
                     Attributes(outcome, anchors.For(outcome.id)), Step(difference), Html(outcome.statement),
                     Html(outcome.id));
}

std::string Section(const Comparison& comparison, Change change, Anchors& anchors) {
  const std::size_t count = comparison.count(change);
  if (count == 0) {
    return "";
  }
  constexpr std::size_t kOpenMax = 3;
  std::size_t number = 0;
  std::string items;
  for (const Difference& difference : comparison.differences) {
    if (difference.change == change) {
      items += IsShown(change) ? Shown(difference, anchors, change == Change::kNewFailure && number < kOpenMax)
                               : InShort(difference, anchors);
      ++number;
    }
  }
  return IsShown(change)
             ? fmt::format("<section class=\"holder\">\n{}\n{}</section>\n", Heading(Word(change), count), items)
             : fmt::format(
                   "<section class=\"holder\">\n<details><summary>{}</summary>\n<ul class=\"folded\">\n{}"
                   "</ul>\n</details>\n</section>\n",
                   FoldedHeading(Word(change), count), items);
}

std::string RunOf(std::string_view which, const Run& run) {
  return fmt::format("<dt>{}</dt><dd>{}; nbdspec {}{}; {}</dd>\n", which, Html(run.target), Html(run.version),
                     run.started.empty() ? "" : ", " + Html(run.started), Html(CountsLine(run, /*color=*/false)));
}

}  // namespace

std::string RenderHtml(const Comparison& comparison) {
  const Run& after = *comparison.after;
  std::string out =
      TopOf(comparison.exit, after.tool + " " + after.version, "two runs of " + after.target, ExitLine(comparison));
  if (!after.trouble.empty()) {
    out += fmt::format("<p class=\"trouble\"><strong>Of the new run: {}</strong>\n{}</p>\n", TroubleHeading(after),
                       HtmlLines(after.trouble));
  }
  out += "<dl class=\"facts\">\n" + RunOf("Old", *comparison.before) + RunOf("New", after) + "</dl>\n</header>\n";
  std::vector<const Outcome*> outcomes;
  for (const Difference& difference : comparison.differences) {
    outcomes.push_back(&LastOf(difference));
  }
  out += Filter(outcomes, /*has_several_runs=*/false) + "<main id=\"findings\">\n";
  Anchors anchors;
  for (int i = 0; i < kChangeCount; ++i) {
    out += Section(comparison, static_cast<Change>(i), anchors);
  }
  return Page(fmt::format("{}: two runs of {} - {}", ResultOf(comparison.exit).word, after.target, after.tool),
              out + "</main>\n");
}

}  // namespace nbdspec::reports
