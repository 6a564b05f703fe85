// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/findings/script_file.h"

#include <gtest/gtest.h>

#include <string>

namespace nbdspec::fuzz {
namespace {

std::string ErrorOf(const std::string& text) {
  const auto script = ParseScriptToSend(text);
  return script ? "" : script.error().sentence;
}

TEST(ParseScriptToSend, AWriteIsNoLongerThanWhatServersTake) {
  EXPECT_EQ(ErrorOf("size 8G\nwrite 0 +64M\nread 0 +4G-1\nzero 0 +4G-1\n"), "");
  EXPECT_EQ(ErrorOf("size 8G\nread 0 +512\nwrite 0 +4294967295\n"),
            "step 2, \"write 0 +4G-1\": one write has at most 64M bytes, and all of a script 512M");
  EXPECT_NE(ErrorOf("size 8G\nwrite 0 +16E-1\n"), "");
}

TEST(ParseScriptToSend, NorAreAllOfThem) {
  std::string text = "size 8G\n";
  for (int i = 0; i < 8; ++i) {
    text += "write 0 +64M\n";
  }
  EXPECT_EQ(ErrorOf(text), "");
  EXPECT_TRUE(ErrorOf(text + "write 0 +1\n").starts_with("step 9, \"write 0 +1\": "));
}

}  // namespace
}  // namespace nbdspec::fuzz
