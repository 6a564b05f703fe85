// SPDX-License-Identifier: BSD-3-Clause
// The matrix as a page: the servers, all checks by all servers as one table, and what failed or warns in short.

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reports/render/html.h"
#include "reports/render/matrix_grid.h"
#include "reports/render/render.h"
#include "reports/render/worst.h"

namespace nbdspec::reports {
namespace {

// Where each outcome that is shown stands.
using Places = std::map<const Outcome*, std::string>;

Places PlacesOf(const Matrix& matrix) {
  Places places;
  Anchors anchors;
  for (std::size_t column = 0; column < matrix.runs.size(); ++column) {
    for (const Outcome& outcome : matrix.runs[column].run.outcomes) {
      if (IsShown(outcome.verdict)) {
        places.emplace(&outcome, anchors.For(fmt::format("{}-{}", column + 1, outcome.id)));
      }
    }
  }
  return places;
}

std::string Cell(const Outcome* outcome, const Places& places) {
  if (outcome == nullptr) {
    return "<td></td>";
  }
  const bool has_overlay = outcome->expectation.overlay != Overlay::kNone;
  const std::string word = Html(has_overlay ? Word(outcome->expectation.overlay) : Word(outcome->verdict));
  const auto place = places.find(outcome);
  return fmt::format("<td class=\"{}\">{}</td>",
                     outcome->expectation.overlay == Overlay::kExpected ? "na" : ClassOf(outcome->verdict),
                     place == places.end() ? word : fmt::format("<a href=\"#{}\">{}</a>", place->second, word));
}

std::string RowOf(const GridRow& row, const Places& places) {
  std::set<std::string_view> verdicts;
  std::string cells;
  for (const Outcome* const outcome : row.outcomes) {
    cells += Cell(outcome, places);
    if (outcome != nullptr) {
      verdicts.insert(ClassOf(outcome->verdict));
    }
  }
  std::string words;
  for (const std::string_view verdict : verdicts) {
    words.append(words.empty() ? "" : " ").append(verdict);
  }
  const Outcome& first = row.first();
  return fmt::format(
      "<tr data-verdict=\"{}\" data-level=\"{}\" data-area=\"{}\" data-harm=\"{}\"{}><th scope=\"row\" "
      "title=\"{}\"><code>{}</code></th>{}</tr>\n",
      words, Word(first.level), Html(AreaOf(first.id)), Word(first.harm),
      row.differs() ? " class=\"differs\" data-differs" : "", Html(first.statement), Html(first.id), cells);
}

std::string Grid(const Matrix& matrix, const Places& places) {
  const std::vector<GridRow> rows = GridRowsOf(matrix);
  if (rows.empty()) {
    return "";
  }
  std::string out = fmt::format(
      "<section class=\"holder\">\n<h2>Every check <span class=\"count\">{}</span></h2>\n<div class=\"grid-wrap\" "
      "tabindex=\"0\" "
      "role=\"region\" aria-label=\"Every check on every server\">\n<table class=\"grid\">\n<thead><tr><th "
      "scope=\"col\">Check</th>",
      rows.size());
  for (const MatrixRun& each : matrix.runs) {
    out += fmt::format("<th scope=\"col\">{}</th>", Html(each.name));
  }
  out += "</tr></thead>\n<tbody>\n";
  for (const GridRow& row : rows) {
    out += RowOf(row, places);
  }
  return out + "</tbody>\n</table>\n</div>\n</section>\n";
}

std::string Servers(const Matrix& matrix) {
  std::string out = "<ul class=\"servers\">\n";
  for (const auto& [name, run] : matrix.runs) {
    const Result result = ResultOf(run.exit);
    out += fmt::format(
        "<li class=\"{}\"><p><span class=\"tag {}\">{}</span> <strong>{}</strong> <span class=\"quiet\">{}</span></p>\n"
        "<p class=\"quiet\">{}</p>\n{}{}</li>\n",
        result.css_class, result.css_class, result.word, Html(name), Html(run.target), Html(ExitLine(run)),
        run.trouble.empty() ? "" : fmt::format("<p class=\"trouble\">{}</p>\n", HtmlLines(run.trouble)), Counts(run));
  }
  return out + "</ul>\n";
}

std::string Findings(const MatrixRun& each, const Places& places) {
  std::vector<const Outcome*> shown;
  for (const Outcome& outcome : each.run.outcomes) {
    if (places.contains(&outcome)) {
      shown.push_back(&outcome);
    }
  }
  std::ranges::sort(shown, {}, [](const Outcome* outcome) { return std::pair(OrderOf(*outcome), outcome); });
  std::string outcomes;
  for (const Outcome* const outcome : shown) {
    outcomes += Whole(*outcome, places.at(outcome), /*is_open=*/false, Detail::kShort);
  }
  return shown.empty()
             ? ""
             : fmt::format("<section class=\"holder\">\n<h2>{} <span class=\"count\">{}</span></h2>\n{}</section>\n",
                           Html(each.name), shown.size(), outcomes);
}

}  // namespace

std::string RenderHtml(const Matrix& matrix) {
  const Places places = PlacesOf(matrix);
  std::vector<const Outcome*> outcomes;
  std::string findings;
  for (const MatrixRun& each : matrix.runs) {
    for (const Outcome& outcome : each.run.outcomes) {
      outcomes.push_back(&outcome);
    }
    findings += Findings(each, places);
  }
  return Page(fmt::format("{}: {} servers - {}", ResultOf(matrix.exit).word, matrix.runs.size(), matrix.tool),
              TopOf(matrix.exit, matrix.tool + " " + matrix.version,
                    fmt::format("{} servers, {} outcomes", matrix.runs.size(), outcomes.size()), ExitLine(matrix)) +
                  Servers(matrix) + "</header>\n" + Filter(outcomes, /*has_several_runs=*/true) +
                  "<main id=\"findings\">\n" + Grid(matrix, places) + findings + "</main>\n");
}

}  // namespace nbdspec::reports
