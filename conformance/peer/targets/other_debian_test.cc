// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/targets/other_debian.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "conformance/peer/target.h"

namespace nbdspec::conformance {
namespace {

class OtherDebian : public testing::Test {
 protected:
  void SetUp() override { setenv("XDG_CACHE_HOME", testing::TempDir().c_str(), 1); }

  static std::string Folder() { return testing::TempDir() + "/nbdspec/trixie"; }

  static std::string SentenceOfStart(std::string_view name) {
    const auto peer = TargetFromName(name).value()->Start(Setup::kWritable, Transport::Clock::now());
    return peer ? "started" : peer.error().sentence;
  }
};

TEST_F(OtherDebian, ANameEndsWithItsSuite) {
  const auto expect = [](std::string_view text, std::string_view name, std::string_view suite) {
    const NameAndSuite split = SplitAtSuite(text);
    EXPECT_EQ(split.name, name);
    EXPECT_EQ(split.suite, suite);
  };
  expect("nbdkit", "nbdkit", "");
  expect("nbdkit@trixie", "nbdkit", "trixie");
  expect("qemu-nbd:qcow2@sid", "qemu-nbd:qcow2", "sid");
  expect("nbdkit@bookworm-backports", "nbdkit", "bookworm-backports");
  for (const std::string_view text : {"nbdkit@", "nbdkit@..", "nbdkit@a/b", "nbdkit@Sid", "nbdkit@sid@sid", "@"}) {
    expect(text, text, "");
    EXPECT_FALSE(TargetFromName(text).has_value()) << text;
  }
  EXPECT_FALSE(TargetFromName("reference@sid").has_value());
}

TEST_F(OtherDebian, WhatIsNotUnpackedIsTroubleWithTheRemedy) {
  EXPECT_EQ(TargetFromName("qemu-nbd:qcow2@nosuch").value()->Describe(), "qemu-nbd:qcow2@nosuch (qcow2)");
  EXPECT_EQ(SentenceOfStart("qemu-nbd:qcow2@nosuch"),
            "There is no \"" + testing::TempDir() +
                "/nbdspec/nosuch/start/qemu-nbd\": run tools/other_debian nosuch, " +
                "which unpacks the servers of that Debian release.");
}

TEST_F(OtherDebian, TheVersionIsThePackages) {
  std::filesystem::create_directories(Folder());
  std::ofstream(Folder() + "/packages") << "nbd-server 1:3.26.1-6.1\nnbdkit 1.42.3-1\n";
  EXPECT_EQ(VersionInSuite("trixie", "nbd-server"), "3.26.1-6.1");
  EXPECT_EQ(VersionInSuite("trixie", "nbdkit"), "1.42.3-1");
  EXPECT_EQ(VersionInSuite("trixie", "nbd"), "");
  const auto target = TargetFromName("nbdkit@trixie").value();
  EXPECT_EQ(target->Describe(), "nbdkit@trixie 1.42.3-1 (file)");
  EXPECT_EQ(target->CommandLine(), "nbdkit@trixie");
}

}  // namespace
}  // namespace nbdspec::conformance
