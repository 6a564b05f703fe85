// SPDX-License-Identifier: BSD-3-Clause
// An owned file descriptor, and waiting for one with a deadline.

#pragma once

#include <chrono>
#include <utility>

namespace nbdspec::conformance {

// Owns an open descriptor, or none (-1).
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor();
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }

  [[nodiscard]] bool is_open() const { return fd_ >= 0; }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_ = -1;
};

// Waits until `fd` is ready for one of `events` (POLLIN, POLLOUT), has failed or has hung up.
// Returns what it is ready for, as poll does; 0 when `deadline` came first. A past deadline still looks once.
short PollUntil(int fd, short events, std::chrono::steady_clock::time_point deadline);

}  // namespace nbdspec::conformance
