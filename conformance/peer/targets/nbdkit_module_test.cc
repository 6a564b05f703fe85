// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "conformance/peer/targets/started_peer.h"

namespace nbdspec::conformance {
namespace {

TEST(NbdkitModule, IsFoundWhereBazelBuiltIt) {
  unsetenv("NBDSPEC_PLUGIN_DIR");
  for (const std::string_view file : {kExtentsPlugin, kOffsetFilter}) {
    const auto path = FindNbdkitModule(file);
    ASSERT_TRUE(path.has_value()) << path.error().sentence;
    EXPECT_TRUE(std::filesystem::is_regular_file(*path));
    EXPECT_TRUE(path->starts_with('/') && path->ends_with(file)) << *path;
  }
}

TEST(NbdkitModule, IsLookedForOnlyInTheFolderToldWhenOneIs) {
  const std::string here = std::filesystem::path(FindNbdkitModule(kExtentsPlugin).value()).parent_path();
  setenv("NBDSPEC_PLUGIN_DIR", "/proc/self/fd", 1);
  const auto missing = FindNbdkitModule(kExtentsPlugin);
  setenv("NBDSPEC_PLUGIN_DIR", here.c_str(), 1);
  const auto found = FindNbdkitModule(kExtentsPlugin);
  unsetenv("NBDSPEC_PLUGIN_DIR");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(
      missing.error().sentence,
      "Cannot find nbdkit-nbdspec-extents-plugin.so in \"/proc/self/fd\": install nbdspec-nbdkit-plugins, or build "
      "it with bazel build //engine/nbdkit/... and set NBDSPEC_PLUGIN_DIR to the folder that it is in.");
  EXPECT_TRUE(found.has_value());
}

}  // namespace
}  // namespace nbdspec::conformance
