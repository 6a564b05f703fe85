// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/nbdkit/truth.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace nbdspec::fuzz {
namespace {

Truth TruthOf(std::string_view script) { return Truth::Of(engine::ParseScript(script).value()); }

std::string AllOf(const Truth& truth) {
  std::string text;
  for (const engine::Extent& extent : truth.Extents({.begin = 0, .end = truth.size()})) {
    text += (text.empty() ? "" : " ") + Print(extent);
  }
  return text;
}

constexpr std::string_view kScript = "size 100\ninitial data\nadd 10 +20 zero\nadd 20 +20 hole,zero\nadd 90 +0 hole";

TEST(Truth, BeginsAtTheOracle) {
  EXPECT_EQ(AllOf(TruthOf(kScript)), "[0, 10) data [10, 20) zero [20, 40) hole,zero [40, 100) data");
  EXPECT_EQ(AllOf(TruthOf("size 0")), "");
}

TEST(Truth, PartIsShifted) {
  EXPECT_EQ(AllOf(TruthOf(kScript).Part({.begin = 15, .end = 45})), "[0, 5) zero [5, 25) hole,zero [25, 30) data");
}

TEST(Truth, ResizedIsCutOrContinuedByAHole) {
  EXPECT_EQ(AllOf(TruthOf(kScript).Resized(15)), "[0, 10) data [10, 15) zero");
  EXPECT_EQ(AllOf(TruthOf("size 8\ninitial zero").Resized(16)), "[0, 8) zero [8, 16) hole,zero");
}

TEST(Truth, BlockClaimsWhatAllItsBytesShare) {
  EXPECT_EQ(AllOf(TruthOf(kScript).InBlocks(16)), "[0, 16) data [16, 32) zero [32, 96) data");
  EXPECT_EQ(AllOf(TruthOf(kScript).InBlocks(10)), "[0, 10) data [10, 20) zero [20, 40) hole,zero [40, 100) data");
  EXPECT_EQ(AllOf(TruthOf("size 15\ninitial zero").InBlocks(16)), "");
}

TEST(Truth, WithoutClaimsIsAllData) { EXPECT_EQ(AllOf(TruthOf(kScript).WithoutClaims()), "[0, 100) data"); }

TEST(Truth, ChangesOverwrite) {
  EXPECT_EQ(AllOf(TruthOf(kScript).With({.begin = 5, .end = 99}, engine::ExtentType::kHole)),
            "[0, 5) data [5, 99) hole [99, 100) data");
}

TEST(Truth, ExtentsAreClippedToTheirBounds) {
  const auto extents = TruthOf(kScript).Extents({.begin = 12, .end = 22});
  ASSERT_EQ(extents.size(), 2U);
  EXPECT_EQ(Print(extents[0]) + Print(extents[1]), "[12, 20) zero[20, 22) hole,zero");
  EXPECT_TRUE(TruthOf(kScript).Extents({.begin = 20, .end = 20}).empty());
  EXPECT_TRUE(TruthOf(kScript).Extents({.begin = 100, .end = 200}).empty());
}

}  // namespace
}  // namespace nbdspec::fuzz
