// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/process/process_files.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>

namespace nbdspec::conformance {

namespace {

std::string FolderOf(pid_t process) { return "/proc/" + std::to_string(process) + "/"; }

// The number of `name` in the process's status, 0 where there is none: "ShdPnd:\t0000000000004000", in `base` 16.
std::uint64_t StatusOf(pid_t process, std::string_view name, int base) {
  std::ifstream status(FolderOf(process) + "status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name) && line.size() > name.size() && line[name.size()] == ':') {
      return std::strtoull(line.c_str() + name.size() + 1, nullptr, base);
    }
  }
  return 0;
}

}  // namespace

std::vector<pid_t> ProcessesUnder(pid_t ancestor) {
  std::vector<pid_t> all;
  std::vector<pid_t> parents = {ancestor};
  while (!parents.empty()) {
    const std::string tasks = FolderOf(parents.back()) + "task";
    parents.pop_back();
    std::error_code ended;
    for (auto task = std::filesystem::directory_iterator(tasks, ended);
         !ended && task != std::filesystem::directory_iterator(); task.increment(ended)) {
      std::ifstream children(task->path() / "children");
      for (pid_t child = 0; children >> child;) {
        all.push_back(child);
        parents.push_back(child);
      }
    }
  }
  return all;
}

bool IsPending(pid_t process, int signal) {
  const std::uint64_t pending = StatusOf(process, "ShdPnd", 16) | StatusOf(process, "SigPnd", 16);
  return (pending >> (signal - 1) & 1) != 0;
}

}  // namespace nbdspec::conformance
