// SPDX-License-Identifier: BSD-3-Clause
// The nbdspec program. See run_cli.h.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "command/run_cli.h"

namespace {

// A closed standard stream would give its number to the next file or socket, and that would get the report.
void OpenClosedStreams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) < 0) {
      ::open("/dev/null", O_RDWR);  // Takes the lowest number that is free.
    }
  }
}

// `bazel run` starts its program elsewhere: names of files are meant where the user stands.
bool GoWhereTheUserStands() {
  const char* const directory = std::getenv("BUILD_WORKING_DIRECTORY");
  return directory == nullptr || ::chdir(directory) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  OpenClosedStreams();
  if (!GoWhereTheUserStands()) {
    std::perror("nbdspec: cannot go to $BUILD_WORKING_DIRECTORY");
    return 5;
  }
  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  return nbdspec::command::RunCli(arguments);
}
