// SPDX-License-Identifier: BSD-3-Clause
// Matrix: the runs of every check on each server of a list, as plain data.

#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "reports/model/run.h"

namespace nbdspec::reports {

// One target of the list.
struct MatrixRun {
  std::string name;  // As the list has it.
  Run run;
};

struct Matrix {
  std::string tool = "nbdspec";
  std::string version;
  std::vector<MatrixRun> runs;  // In the order of the list.
  int exit = 0;
  double duration_ms = 0;
};

// The exit code that matters most of those of `matrix`: of an interruption, our own error, a new failure, a target that
// could not be used, a list that has too much.
inline int ExitFor(const Matrix& matrix) {
  constexpr std::array kLeastFirst = {ExitCode::kSuccess, ExitCode::kStale, ExitCode::kTargetUnusable,
                                      ExitCode::kFailure, ExitCode::kUsage, ExitCode::kOurError};
  const auto rank = [&](const MatrixRun& each) { return std::ranges::find(kLeastFirst, each.run.exit); };
  const auto worst = std::ranges::max_element(matrix.runs, {}, rank);
  return worst == matrix.runs.end() ? ExitCode::kSuccess : worst->run.exit;
}

}  // namespace nbdspec::reports
