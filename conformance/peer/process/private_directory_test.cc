// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "conformance/peer/process/process.h"
#include "conformance/peer/socket/socket_transport.h"

namespace nbdspec::conformance {
namespace {

TEST(PrivateDirectory, IsOursAloneAndGoesWithAllInIt) {
  std::string path;
  {
    const auto directory = PrivateDirectory::Make();
    ASSERT_TRUE(directory.has_value()) << directory.error().sentence;
    path = directory->path();
    struct stat status = {};
    ASSERT_EQ(stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0700U);
    std::ofstream(directory->PathOf("file")) << "x";
    EXPECT_TRUE(std::filesystem::exists(path + "/file"));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(PrivateDirectory, StaysWhenReleased) {
  std::string path;
  {
    auto directory = PrivateDirectory::Make();
    ASSERT_TRUE(directory.has_value());
    path = directory->Release();
  }
  EXPECT_TRUE(std::filesystem::remove(path));
}

// Until somebody is there who removes it, nothing is.
TEST(PrivateDirectory, IsMadeByItsGuardian) {
  auto directory = PrivateDirectory::Choose();
  ASSERT_TRUE(directory.has_value()) << directory.error().sentence;
  const std::string path = directory->path();
  EXPECT_FALSE(std::filesystem::exists(path));
  unsigned mode = 0;
  const auto process =
      ServerProcess::Start({"true"}, *std::move(directory), [&] -> std::expected<void, engine::Trouble> {
        struct stat status = {};
        mode = stat(path.c_str(), &status) == 0 ? status.st_mode & 0777U : 0;
        return {};
      });
  ASSERT_TRUE(process.has_value()) << process.error().sentence;
  EXPECT_EQ(mode, 0700U);
}

TEST(PrivateDirectory, ThatItsGuardianCannotMakeIsASentence) {
  setenv("TMPDIR", "/nonexistent", 1);
  auto directory = PrivateDirectory::Choose();
  unsetenv("TMPDIR");
  ASSERT_TRUE(directory.has_value());
  const auto refused = ServerProcess::Start({"true"}, *std::move(directory));
  ASSERT_FALSE(refused.has_value());
  EXPECT_TRUE(refused.error().sentence.contains("No such file or directory")) << refused.error().sentence;
}

TEST(PrivateDirectory, GoesWithDirectoriesOfAnyDepth) {
  auto directory = PrivateDirectory::Choose();
  ASSERT_TRUE(directory.has_value());
  const std::string path = directory->path();
  std::string deep;
  for (int i = 0; i < 40; ++i) {
    deep += "/d";
  }
  {
    auto process = ServerProcess::Start({"true"}, *std::move(directory), [&] -> std::expected<void, engine::Trouble> {
      std::filesystem::create_directories(path + "/wide/of/some/depth");
      for (int i = 0; i < 500; ++i) {
        std::ofstream(path + "/wide/" + std::string(50, 'x') + std::to_string(i)) << "x";
      }
      std::filesystem::create_directories(path + deep);
      return {};
    });
    ASSERT_TRUE(process.has_value());
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(PrivateDirectory, IsRefusedWhereASocketPathWouldBeTooLong) {
  const auto base = PrivateDirectory::Make();
  ASSERT_TRUE(base.has_value());
  // "/nbdspec-XXXXXX/socket" follows TMPDIR.
  const std::size_t room = kUnixPathBytesMax - std::string_view("/nbdspec-XXXXXX/socket").size();
  const std::string fits = base->PathOf(std::string(room - base->path().size() - 1, 'd'));
  ASSERT_EQ(fits.size(), room);
  std::filesystem::create_directory(fits);
  std::filesystem::create_directory(fits + "d");

  setenv("TMPDIR", fits.c_str(), 1);
  const auto directory = PrivateDirectory::Make();
  ASSERT_TRUE(directory.has_value()) << directory.error().sentence;
  EXPECT_EQ(directory->socket_path().size(), kUnixPathBytesMax);
  EXPECT_TRUE(UnixSocketAddress(directory->socket_path()).has_value());

  setenv("TMPDIR", (fits + "d").c_str(), 1);
  const auto refused = PrivateDirectory::Make();
  unsetenv("TMPDIR");
  ASSERT_FALSE(refused.has_value());
  EXPECT_TRUE(refused.error().sentence.contains("set TMPDIR")) << refused.error().sentence;
}

TEST(PrivateDirectory, SaysWhenItCannotBeMade) {
  setenv("TMPDIR", "/nonexistent", 1);
  const auto refused = PrivateDirectory::Make();
  unsetenv("TMPDIR");
  ASSERT_FALSE(refused.has_value());
  EXPECT_TRUE(refused.error().sentence.contains("No such file or directory")) << refused.error().sentence;
}

// Whether it is gone within a bounded wait.
bool IsGone(const std::string& path) {
  for (int i = 0; i < 600 && std::filesystem::exists(path); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return !std::filesystem::exists(path);
}

TEST(PrivateDirectory, GoesWhenWeAreKilledWhileItIsPrepared) {
  auto directory = PrivateDirectory::Make();
  ASSERT_TRUE(directory.has_value());
  const std::string path = directory->path();
  const pid_t child = fork();
  if (child == 0) {
    (void)ServerProcess::Start({"true"}, *std::move(directory), [] -> std::expected<void, engine::Trouble> {
      raise(SIGKILL);
      return {};
    });
    _exit(0);
  }
  directory->Release();
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_TRUE(IsGone(path));
}

TEST(PrivateDirectory, GoesWhenItCannotBePrepared) {
  auto directory = PrivateDirectory::Make();
  ASSERT_TRUE(directory.has_value());
  const std::string path = directory->path();
  const auto refused = ServerProcess::Start(
      {"true"}, *std::move(directory),
      [] -> std::expected<void, engine::Trouble> { return std::unexpected(engine::Trouble{"no space"}); });
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().sentence, "no space");
  EXPECT_TRUE(IsGone(path));
}

TEST(ServerProcess, IsNotStartedWhereDaemonsCannotBeFound) {
  EXPECT_TRUE(CanStopDaemons("/proc/thread-self/children").has_value());
  const auto refused = CanStopDaemons("/nonexistent/children");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().sentence,
            "/nonexistent/children cannot be read (No such file or directory): without it a server that becomes a "
            "daemon would be left running. Mount it: mount -t proc proc /proc");
}

}  // namespace
}  // namespace nbdspec::conformance
