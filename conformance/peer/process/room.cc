// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/process/room.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>

namespace nbdspec::conformance {

namespace {

// More than 64 workers need.
constexpr rlim_t kDescriptorsMax = 8192;

std::optional<rlimit> descriptors_before;

}  // namespace

std::vector<std::jthread> StartThreads(int count, const std::function<void()>& work) {
  std::vector<std::jthread> threads;
  try {
    while (count-- > 0) {
      threads.emplace_back(work);
    }
  } catch (const std::system_error&) {
    return threads;  // Few processes are permitted, or there is little memory.
  }
  return threads;
}

void RaiseDescriptorLimit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= std::min(limit.rlim_max, kDescriptorsMax)) {
    return;
  }
  descriptors_before = limit;
  limit.rlim_cur = std::min(limit.rlim_max, kDescriptorsMax);
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

const rlimit* DescriptorsOfServers() { return descriptors_before ? &*descriptors_before : nullptr; }

int FreeDescriptors() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return 0;
  }
  std::error_code error;
  const auto open = std::filesystem::directory_iterator("/proc/self/fd", error);
  const auto open_count = error ? 0 : std::ranges::distance(open);
  return static_cast<int>(std::min(limit.rlim_cur, kDescriptorsMax)) - static_cast<int>(open_count);
}

}  // namespace nbdspec::conformance
