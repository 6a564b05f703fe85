// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/testdata/shell_run.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <thread>

namespace nbdspec::conformance {

namespace {

using Clock = std::chrono::steady_clock;

pid_t Start(const std::string& line, int output) {
  const pid_t child = fork();
  if (child == 0) {
    dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
    _exit(99);
  }
  return child;
}

void TakeAll(int from, std::string& output) {
  std::array<char, 65536> buffer;
  for (ssize_t count = 0; (count = read(from, buffer.data(), buffer.size())) > 0;) {
    output.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

}  // namespace

ShellRun RunInShell(const std::string& line, const std::optional<Moment>& moment, std::chrono::milliseconds patience) {
  ShellRun run{.line = line};
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return run;
  }
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  const auto start = Clock::now();
  const pid_t program = Start(line, ends[1]);
  close(ends[1]);
  int status = 0;
  rusage usage = {};
  while (wait4(program, &status, WNOHANG, &usage) == 0) {
    TakeAll(ends[0], run.output);
    if (moment && !run.was_signalled && Clock::now() - start >= moment->after) {
      run.was_signalled = kill(program, moment->signal_number) == 0;
    }
    if (run.has_ended && Clock::now() - start > patience) {
      run.has_ended = false;
      kill(program, SIGKILL);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  TakeAll(ends[0], run.output);
  close(ends[0]);
  run.is_killed = WIFSIGNALED(status);
  run.exit = run.is_killed ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  run.memory_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  return run;
}

}  // namespace nbdspec::conformance
