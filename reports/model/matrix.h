// SPDX-License-Identifier: BSD-3-Clause
// Matrix: the runs of every check on each server of a list, as plain data.

#pragma once

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

}  // namespace nbdspec::reports
