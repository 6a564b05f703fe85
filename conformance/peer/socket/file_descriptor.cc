// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/socket/file_descriptor.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace nbdspec::conformance {

namespace {

using Clock = std::chrono::steady_clock;

int MillisecondsUntil(Clock::time_point deadline) {
  const Clock::time_point now = Clock::now();
  if (deadline <= now) {
    return 0;
  }
  // Rounded up, so that a wait never ends just before its deadline; capped, since poll takes an int.
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(deadline - now);
  return static_cast<int>(std::min<std::chrono::milliseconds::rep>(wait.count(), 60'000));
}

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (is_open()) {
    close(fd_);
  }
}

short PollUntil(int fd, short events, Clock::time_point deadline) {
  for (;;) {
    const int wait_ms = MillisecondsUntil(deadline);
    pollfd polled = {.fd = fd, .events = events, .revents = 0};
    const int ready_count = poll(&polled, 1, wait_ms);
    if (ready_count > 0) {
      return polled.revents;
    }
    if (ready_count < 0 && errno != EINTR) {
      return 0;  // No memory for the wait: a time-out is all that can be said.
    }
    if (wait_ms == 0) {
      return 0;
    }
  }
}

}  // namespace nbdspec::conformance
