// SPDX-License-Identifier: BSD-3-Clause
// The report of a matrix: the reports of its runs that are not as they should be, then all of them as one grid.

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reports/render/matrix_grid.h"
#include "reports/render/paint.h"
#include "reports/render/printable.h"
#include "reports/render/render.h"
#include "reports/render/worst.h"

namespace nbdspec::reports {
namespace {

constexpr GridCell kExpectedCell = {'x', "expected", Paint::kFaint};
constexpr GridCell kStaleCell = {'!', "no longer as expected", Paint::kBad};
constexpr GridCell kMissingCell = {' ', "", Paint::kFaint};
constexpr std::array<GridCell, kVerdictCount> kCells = {{{'.', "pass", Paint::kGood},  // In the order of Verdict.
                                                         {'F', "fail", Paint::kBad},
                                                         {'w', "warn", Paint::kWarning},
                                                         {'-', "n/a", Paint::kFaint},
                                                         {'s', "skip", Paint::kFaint},
                                                         {'?', "inconclusive", Paint::kBad},
                                                         {'~', "flaky", Paint::kBad}}};

}  // namespace

const GridCell& CellOf(const Outcome* outcome) {
  if (outcome == nullptr) {
    return kMissingCell;
  }
  switch (outcome->expectation.overlay) {
    case Overlay::kExpected:
      return kExpectedCell;
    case Overlay::kStale:
      return kStaleCell;
    case Overlay::kNone:
      break;
  }
  return kCells.at(static_cast<std::size_t>(outcome->verdict));
}

std::vector<GridRow> GridRowsOf(const Matrix& matrix) {
  std::vector<GridRow> rows;
  std::map<std::string_view, std::size_t> row_of_id;
  for (std::size_t column = 0; column < matrix.runs.size(); ++column) {
    for (const Outcome& outcome : matrix.runs[column].run.outcomes) {
      const auto [found, is_new] = row_of_id.emplace(outcome.id, rows.size());
      if (is_new) {
        rows.push_back({.outcomes = std::vector<const Outcome*>(matrix.runs.size(), nullptr)});
      }
      rows[found->second].outcomes[column] = &outcome;
    }
  }
  const auto order_of = [&rows](std::size_t index) {
    auto worst = OrderOf(rows[index].first());
    for (const Outcome* const each : rows[index].outcomes) {
      worst = each == nullptr ? worst : std::min(worst, OrderOf(*each));
    }
    return std::pair(worst, index);
  };
  std::vector<std::size_t> order(rows.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, {}, order_of);
  std::vector<GridRow> sorted;
  std::ranges::transform(order, std::back_inserter(sorted), [&](std::size_t index) { return std::move(rows[index]); });
  return sorted;
}

bool IsTelling(const GridRow& row) {
  return std::ranges::any_of(
      row.outcomes, [](const Outcome* outcome) { return !std::string_view(".-s ").contains(CellOf(outcome).sign); });
}

namespace {

std::string Grid(const Matrix& matrix, const TextOptions& options) {
  const std::size_t width = std::to_string(matrix.runs.size()).size() + 1;
  std::string out = "\n ";
  for (std::size_t i = 1; i <= matrix.runs.size(); ++i) {
    out += fmt::format("{:>{}}", i, width);
  }
  out += "\n";
  std::vector<const GridCell*> used;
  for (const GridRow& row : GridRowsOf(matrix)) {
    if (!options.verbose && !IsTelling(row)) {
      continue;
    }
    out += " ";
    for (const Outcome* const outcome : row.outcomes) {
      const GridCell* const cell = &CellOf(outcome);
      out += std::string(width - 1, ' ') + Painted(cell->paint, std::string(1, cell->sign), options.color);
      if (std::ranges::find(used, cell) == used.end() && cell != &kMissingCell) {
        used.push_back(cell);
      }
    }
    out += "  " + Printable(row.first().id) + "\n";
  }
  std::vector<std::string> legend;
  std::ranges::transform(used, std::back_inserter(legend),
                         [](const GridCell* cell) { return fmt::format("{} {}", cell->sign, cell->meaning); });
  return legend.empty() ? "" : fmt::format("{}\n  {}\n", out, fmt::join(legend, "   "));
}

// Two lines for each run: what it is, and how it came out.
std::string Legend(const Matrix& matrix, const TextOptions& options) {
  std::string out;
  for (std::size_t i = 0; i < matrix.runs.size(); ++i) {
    const auto& [name, run] = matrix.runs[i];
    const std::string conclusion = RenderText(run, {.color = options.color, .quiet = true});
    const std::size_t before_last = conclusion.find_last_of('\n', conclusion.size() - 2);
    out += fmt::format("  {}  {}: {}\n     {}", i + 1, Painted(Paint::kBold, Printable(name), options.color),
                       Printable(run.target), conclusion.substr(before_last + 1));  // npos + 1 is 0.
  }
  return out;
}

}  // namespace

std::string ExitLine(const Matrix& matrix) {
  Failures all;
  int unusable_count = 0;
  for (const auto& [name, run] : matrix.runs) {
    const Failures failures = FailuresOf(run);
    all.fresh += failures.fresh;
    all.expected += failures.expected;
    all.stale += failures.stale;
    unusable_count += run.exit == ExitCode::kTargetUnusable ? 1 : 0;
  }
  std::vector<std::string> found;
  const auto add = [&](int count, std::string_view noun) {
    if (count > 0) {
      found.push_back(Counted(count, noun));
    }
  };
  add(all.fresh, "new failure");
  add(all.stale, "stale expectation");
  add(unusable_count, "unusable target");
  if (found.empty()) {
    found.emplace_back("nothing new failed");
  }
  add(all.expected, "expected outcome");
  return fmt::format("Exit {}: {} in {} s: {}.", matrix.exit, Counted(static_cast<int>(matrix.runs.size()), "target"),
                     Seconds(matrix.duration_ms, 1), fmt::join(found, ", "));
}

std::string RenderText(const Matrix& matrix, const TextOptions& options) {
  std::string out;
  if (!options.quiet) {
    for (const auto& [name, run] : matrix.runs) {
      if (run.exit != ExitCode::kSuccess) {
        out += fmt::format("== {}\n{}\n", Printable(name), RenderText(run, options));
      }
    }
    out += Legend(matrix, options) + Grid(matrix, options) + "\n";
  }
  const Paint paint = matrix.exit == ExitCode::kSuccess ? Paint::kGood : Paint::kBad;
  return out + Painted(paint, ExitLine(matrix), options.color) + "\n";
}

}  // namespace nbdspec::reports
