// SPDX-License-Identifier: BSD-3-Clause
#include "command/output.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

namespace nbdspec::command {
namespace {

std::string FreshDirectory() {
  std::string directory = testing::TempDir() + "/output-XXXXXX";
  EXPECT_NE(::mkdtemp(directory.data()), nullptr);
  return directory;
}

std::string Contents(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::size_t CountFiles(const std::string& directory) {
  const std::filesystem::directory_iterator files(directory);
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

// From now on whatever would rename a file kills this process in place of that, as SIGKILL can at that moment.
bool DieAtRename() {
  std::vector<sock_filter> program = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
#ifdef SYS_rename
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rename, 2, 0));
#endif
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat, 1, 0));
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat2, 0, 1));
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog filter = {.len = static_cast<unsigned short>(program.size()), .filter = program.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

void WriteUntilKilled(const std::string& file) {
  ASSERT_TRUE(DieAtRename());
  WriteOutput(file, "never in place");
}

TEST(WriteOutputDeathTest, WhatAKillBetweenNamingAndRenamingLeftIsRemovedByTheNext) {
  const std::string directory = FreshDirectory();
  const std::string file = directory + "/run.json";
  ASSERT_EQ(WriteOutput(file, "before"), "");
  EXPECT_EXIT(WriteUntilKilled(file), testing::KilledBySignal(SIGSYS), "");
  EXPECT_EQ(Contents(file), "before");
  ASSERT_EQ(CountFiles(directory), 2U);  // It was killed at that moment.
  ASSERT_EQ(WriteOutput(file, "after"), "");
  EXPECT_EQ(Contents(file), "after");
  EXPECT_EQ(CountFiles(directory), 1U);
  EXPECT_EXIT(WriteUntilKilled(file), testing::KilledBySignal(SIGSYS), "");
  ASSERT_EQ(CountFiles(directory), 2U);
  EXPECT_EQ(CannotWriteYet(file), "");
  EXPECT_EQ(CountFiles(directory), 1U);
}

TEST(WriteOutput, WhatIsOfOthersStays) {
  const std::string directory = FreshDirectory();
  const std::string file = directory + "/run.json";
  const std::vector<std::string> others = {"/run.json.tmp", "/run.json.0123456789abcdeg.tmp",
                                           "/other.0123456789abcdef.tmp", "/run.json.0123456789abcdef",
                                           "/xrun.json.0123456789abcdef.tmp"};
  for (const std::string& other : others) {
    std::ofstream(directory + other) << other;
  }
  std::filesystem::create_symlink("run.json.tmp", directory + "/run.json.0123456789abcdef.tmp");
  ASSERT_EQ(WriteOutput(file, "it"), "");
  EXPECT_EQ(CountFiles(directory), others.size() + 2);
}

// Each of two that write at once: neither takes away what the other is about to put in place.
TEST(WriteOutput, TwoAtOnceBothWrite) {
  const std::string file = FreshDirectory() + "/run.json";
  std::atomic<int> written = 0;
  const auto write = [&] {
    for (int i = 0; i < 100; ++i) {
      written += WriteOutput(file, "it").empty() ? 1 : 0;
    }
  };
  {
    const std::jthread other(write);
    write();
  }
  EXPECT_EQ(written, 200);
  EXPECT_EQ(CountFiles(std::filesystem::path(file).parent_path()), 1U);
}

}  // namespace
}  // namespace nbdspec::command
