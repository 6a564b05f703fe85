// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/findings/read_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

namespace nbdspec::fuzz {
namespace {

constexpr std::uint64_t kPlenty = 1 << 20;

std::string FileWith(const std::string& name, const std::string& text) {
  const char* const base = std::getenv("TEST_TMPDIR");
  const std::string path = std::string(base != nullptr ? base : "/tmp") + "/" + name;
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

std::string WhyNot(const std::string& path, std::uint64_t bytes_max = kPlenty) {
  const auto text = ReadFile(path, bytes_max);
  return text ? "it was read" : text.error().sentence;
}

TEST(ReadFile, GivesEveryByte) {
  std::string text(200'000, 'x');
  text[0] = '\0';
  text[65536] = '\xff';
  text.back() = '\n';
  EXPECT_EQ(ReadFile(FileWith("long", text), kPlenty), text);
  EXPECT_EQ(ReadFile(FileWith("empty", ""), 0), "");
}

TEST(ReadFile, TakesAsManyBytesAsAreAllowedAndNoMore) {
  const std::string path = FileWith("four", "abcd");
  EXPECT_EQ(ReadFile(path, 4), "abcd");
  EXPECT_EQ(WhyNot(path, 3), "cannot read \"" + path + "\": it has more than 3 bytes; name a file that can be read");
  EXPECT_NE(WhyNot("/dev/zero").find("more than 1048576 bytes"), std::string::npos);
}

TEST(ReadFile, ReadsAPipeToItsEnd) {
  const std::string path = FileWith("pipe", "") + ".fifo";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const std::string text(150'000, 'p');  // More than a pipe holds.
  std::jthread writer([&] { std::ofstream(path) << text; });
  EXPECT_EQ(ReadFile(path, kPlenty), text);
}

// /proc/self/mem opens, and nothing can be read at its beginning: EIO.
TEST(ReadFile, TellsWhyItCannot) {
  EXPECT_NE(WhyNot("/").find("cannot read \"/\": Is a directory"), std::string::npos);
  EXPECT_NE(WhyNot("/no/such").find("No such file"), std::string::npos);
  EXPECT_NE(WhyNot("/proc/self/mem").find("Input/output error"), std::string::npos);
  EXPECT_NE(WhyNot("").find("cannot read \"\""), std::string::npos);
}

TEST(CorpusFolderOf, IsTheFolderAFileIsIn) {
  EXPECT_EQ(CorpusFolderOf("/x/corpus/regressions/wire_decode/a"), "wire_decode");
  EXPECT_EQ(CorpusFolderOf("corpus/seeds//c_api/a"), "c_api");
  EXPECT_EQ(CorpusFolderOf("seeds/c_api/a"), "c_api");
  for (const char* path : {"", "/", "a", "seeds/a", "corpus/scripts/x/a", "seeds/c_api/below/a", "c_api/a"}) {
    EXPECT_EQ(CorpusFolderOf(path), "") << path;
  }
}

}  // namespace
}  // namespace nbdspec::fuzz
