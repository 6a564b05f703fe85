// SPDX-License-Identifier: BSD-3-Clause
// The nbdspec program. See run_cli.h.
#include <string>
#include <vector>

#include "conformance/cli/run_cli.h"

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  return nbdspec::conformance::RunCli(arguments);
}
