// SPDX-License-Identifier: BSD-3-Clause
// The grid of a matrix: a row for each check, a cell for what each run has of it. Private to this folder.

#pragma once

#include <algorithm>
#include <string_view>
#include <vector>

#include "reports/model/matrix.h"
#include "reports/render/paint.h"

namespace nbdspec::reports {

// A check, and what each run has of it: nullptr where it has nothing.
struct GridRow {
  std::vector<const Outcome*> outcomes;

  [[nodiscard]] const Outcome& first() const {
    return **std::ranges::find_if(outcomes, [](const Outcome* each) { return each != nullptr; });
  }
  [[nodiscard]] bool differs() const {
    return std::ranges::any_of(
        outcomes, [&](const Outcome* each) { return each == nullptr || each->verdict != first().verdict; });
  }
};

// What is worst somewhere first, as in the reports of single runs; of equals in the order of the runs.
std::vector<GridRow> GridRowsOf(const Matrix& matrix);

// What a cell of the grid shows.
struct GridCell {
  char sign;
  std::string_view meaning;  // Empty of nothing.
  Paint paint;
};

// Of an outcome, or of none.
const GridCell& CellOf(const Outcome* outcome);

// Whether some run has something to tell of that check: it neither passed, nor was not asked.
bool IsTelling(const GridRow& row);

}  // namespace nbdspec::reports
