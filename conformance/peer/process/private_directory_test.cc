// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

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

}  // namespace
}  // namespace nbdspec::conformance
