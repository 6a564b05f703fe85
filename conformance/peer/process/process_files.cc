// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/process/process_files.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
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

// In private pages. None for a program with AddressSanitizer or its like: that keeps what was freed, for some time. It
// is known by the addresses that it reserves, 16 TiB and more; what else reserves many (V8: 1 TiB) stays below the
// half.
std::uint64_t MemoryOf(pid_t process) {
  constexpr std::uint64_t kReservedMax = std::uint64_t{8} << 40;
  const bool keeps_freed = StatusOf(process, "VmSize", 10) * 1024 > kReservedMax;
  return keeps_freed ? 0 : StatusOf(process, "RssAnon", 10) * 1024;
}

std::uint64_t CountOf(const std::string& folder) {
  std::error_code ended;
  const auto entries = std::filesystem::directory_iterator(folder, ended);
  return ended ? 0 : static_cast<std::uint64_t>(std::ranges::distance(entries));
}

// With that of its children that have ended and were waited for.
std::chrono::milliseconds ProcessorTimeOf(pid_t process) {
  std::ifstream file(FolderOf(process) + "stat");
  std::string text;
  std::getline(file, text);
  std::istringstream fields(text.substr(std::min(text.size(), text.rfind(')') + 1)));  // The name may have blanks.
  constexpr int kFieldsBefore = 11;  // From the state to what comes before the user's time.
  std::string skipped;
  for (int i = 0; i < kFieldsBefore; ++i) {
    fields >> skipped;
  }
  std::uint64_t ticks = 0;
  for (std::uint64_t each = 0, i = 0; i < 4 && fields >> each; ++i) {
    ticks += each;
  }
  return std::chrono::milliseconds(ticks * 1000 / static_cast<std::uint64_t>(sysconf(_SC_CLK_TCK)));
}

}  // namespace

std::vector<pid_t> ChildrenOf(pid_t process) {
  std::vector<pid_t> all;
  std::error_code ended;
  for (auto task = std::filesystem::directory_iterator(FolderOf(process) + "task", ended);
       !ended && task != std::filesystem::directory_iterator(); task.increment(ended)) {
    std::ifstream children(task->path() / "children");
    for (pid_t child = 0; children >> child;) {
      all.push_back(child);
    }
  }
  return all;
}

std::vector<pid_t> ProcessesUnder(pid_t ancestor) {
  std::vector<pid_t> all = ChildrenOf(ancestor);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::vector<pid_t> children = ChildrenOf(all[i]);
    all.insert(all.end(), children.begin(), children.end());
  }
  return all;
}

bool IsPending(pid_t process, int signal) {
  const std::uint64_t pending = StatusOf(process, "ShdPnd", 16) | StatusOf(process, "SigPnd", 16);
  return (pending >> (signal - 1) & 1) != 0;
}

std::optional<Usage> UsageUnder(pid_t ancestor) {
  const std::vector<pid_t> processes = ProcessesUnder(ancestor);
  if (processes.empty()) {
    return {};
  }
  Usage usage;
  for (const pid_t process : processes) {
    usage.memory_bytes += MemoryOf(process);
    usage.descriptor_count += CountOf(FolderOf(process) + "fd");
    usage.thread_count += StatusOf(process, "Threads", 10);
    usage.processor_time += ProcessorTimeOf(process);
  }
  return usage;
}

}  // namespace nbdspec::conformance
