// SPDX-License-Identifier: BSD-3-Clause
// The nbdspec program: goes where the user stands, and runs one command.

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <new>
#include <string_view>

#include "command/command_line.h"
#include "command/output.h"
#include "conformance/peer/process/room.h"
#include "reports/model/run.h"

namespace nbdspec::command {

namespace {

// A closed standard stream would give its number to the next file or socket, and that would get the report.
void OpenClosedStreams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) < 0) {
      ::open("/dev/null", O_RDWR);  // Takes the lowest number that is free.
    }
  }
}

// Whatever it was for: a sentence, and the exit code that is documented. Servers end when nbdspec does.
void EndForLackOfMemory() {
  constexpr std::string_view kSentence =
      "nbdspec: there is not enough memory: free some, or ask for less at once (-j, --in-flight, --connections)\n";
  (void)!::write(STDERR_FILENO, kSentence.data(), kSentence.size());
  ::_exit(reports::ExitCode::kOurError);
}

// `bazel run` starts its program elsewhere: names of files are meant where the user stands.
bool GoWhereTheUserStands() {
  const char* const directory = std::getenv("BUILD_WORKING_DIRECTORY");
  return directory == nullptr || ::chdir(directory) == 0;
}

}  // namespace

}  // namespace nbdspec::command

int main(int argc, char** argv) {
  using namespace nbdspec::command;
  std::set_new_handler(EndForLackOfMemory);
  OpenClosedStreams();
  nbdspec::conformance::RaiseDescriptorLimit();
  if (!GoWhereTheUserStands()) {
    std::perror("nbdspec: cannot go to $BUILD_WORKING_DIRECTORY");
    return nbdspec::reports::ExitCode::kOurError;
  }
  const auto exit = RunCommandLine({argv + (argc > 0 ? 1 : 0), argv + argc});
  if (!exit) {
    Complain(exit.error().sentence);
  }
  return exit ? *exit : exit.error().exit;
}
