// SPDX-License-Identifier: BSD-3-Clause
// A server for tests that obeys its arguments: hostile_server SOCKET WORD...
//
// Each WORD is done in order; those that serve never return. "exit": says why and exits with status 3. "hang": never
// listens. "ignore-sigterm". "daemonise": forks twice into a session of its own. "chatter": fills standard error.
// "report": says in what state it was started. "leave-children": starts two processes that never end.
// "never-accept", "accept-and-close", "flood", "serve": listens and does that; "serve" greets and waits for its
// client to leave. "crash-at-second", "exit-at-second": serves one client, and ends at the next. "flood-outputs": a
// process fills both outputs with escapes. "then": becomes the command of the words after it.

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "conformance/peer/testdata/unix_server.h"

namespace {

using nbdspec::testdata::Listen;

constexpr std::string_view kGreeting("NBDMAGICIHAVEOPT\x00\x03", 18);

[[noreturn]] void SleepForEver() {
  for (;;) {
    pause();
  }
}

void Daemonise() {
  if (fork() != 0) {
    _exit(0);
  }
  setsid();
  if (fork() != 0) {
    _exit(0);
  }
}

void Report() {
  sigset_t blocked;
  sigprocmask(SIG_BLOCK, nullptr, &blocked);
  int odd_signal_count = 0;
  for (int number = 1; number < 32; ++number) {
    struct sigaction action = {};
    sigaction(number, nullptr, &action);
    odd_signal_count += sigismember(&blocked, number) == 1 || action.sa_handler == SIG_IGN ? 1 : 0;
  }
  int descriptor_count = 0;
  DIR* const descriptors = opendir("/proc/self/fd");
  while (const dirent* each = readdir(descriptors)) {
    descriptor_count += each->d_name[0] != '.' ? 1 : 0;
  }
  closedir(descriptors);
  char byte = 0;
  std::fprintf(stderr, "own group %d, odd signals %d, descriptors %d, input ends %d\n", getpgrp() == getpid(),
               odd_signal_count, descriptor_count - 1, read(0, &byte, 1) == 0);
}

// More than nbdspec keeps of them (docs/limits.md), but an end: a disk is not what is tested.
void FloodOutputs() {
  if (fork() != 0) {
    return;
  }
  const std::string text(1 << 16, '\x1b');
  for (int i = 0; i < 400; ++i) {
    const int fd = 1 + i % 2;
    if (write(fd, text.data(), text.size()) < 0) {
      break;
    }
  }
  SleepForEver();
}

void ServeClient(int client, std::string_view how) {
  if (how == "flood") {
    while (send(client, kGreeting.data(), kGreeting.size(), MSG_NOSIGNAL) > 0) {
    }
    return;
  }
  if (how != "accept-and-close") {
    send(client, kGreeting.data(), kGreeting.size(), MSG_NOSIGNAL);
    char buffer[4096];
    while (read(client, buffer, sizeof(buffer)) > 0) {
    }
  }
}

[[noreturn]] void Serve(int listener, std::string_view how) {
  for (int client_count = 1;; ++client_count) {
    const int client = accept(listener, nullptr, nullptr);
    if (how == "crash-at-second" && client_count == 2) {
      std::fprintf(stderr, "an assertion failed\n");
      std::signal(SIGABRT, SIG_DFL);
      std::abort();
    }
    if (how == "exit-at-second" && client_count == 2) {
      std::exit(7);
    }
    ServeClient(client, how);
    close(client);
  }
}

void Do(const char* socket_path, std::string_view word) {
  if (word == "exit") {
    std::fprintf(stderr, "hostile_server: no such\x1b option\n");
    std::exit(3);
  } else if (word == "hang") {
    SleepForEver();
  } else if (word == "ignore-sigterm") {
    std::signal(SIGTERM, SIG_IGN);
  } else if (word == "daemonise") {
    Daemonise();
  } else if (word == "chatter") {
    const std::string line(999, 'x');
    for (int i = 0; i < 100; ++i) {
      std::fprintf(stderr, "%s\n", line.c_str());
    }
    std::fprintf(stderr, "the last line\n");
  } else if (word == "report") {
    Report();
  } else if (word == "leave-children") {
    for (int i = 0; i < 2; ++i) {
      if (fork() == 0) {
        setsid();
        SleepForEver();
      }
    }
  } else if (word == "flood-outputs") {
    FloodOutputs();
  } else {
    const int listener = Listen(socket_path);
    if (word == "never-accept") {
      SleepForEver();
    }
    Serve(listener, word);
  }
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 2; i < argc; ++i) {
    if (std::string_view(argv[i]) == "then") {
      execv(argv[i + 1], argv + i + 1);
      std::perror("then");
      return 5;
    }
    Do(argv[1], argv[i]);
  }
  return 0;
}
