// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/nbdkit/nbdkit_case.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace nbdspec::fuzz {
namespace {

TEST(NbdkitCase, PrintsAndParses) {
  std::set<Layer::Kind> kinds;
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    const NbdkitCase test_case = RandomNbdkitCase(seed);
    const auto parsed = ParseNbdkitCase(Print(test_case));
    ASSERT_TRUE(parsed.has_value()) << parsed.error().sentence << "\n" << Print(test_case);
    EXPECT_EQ(parsed->script, test_case.script);
    EXPECT_EQ(parsed->stack, test_case.stack);
    EXPECT_EQ(parsed->reach, test_case.reach);
    for (const Layer& layer : test_case.stack) {
      kinds.insert(layer.kind);
    }
  }
  EXPECT_EQ(kinds.size(), 9U) << "some kind of layer never comes";
}

TEST(NbdkitCase, ReadsWhatItDeviatesBy) {
  const auto parsed = ParseNbdkitCase("# nbdspec script\n# stack: offset=8 cow\n# deviates: a b\nsize 64\n");
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->deviates, "a b");
  EXPECT_EQ(parsed->stack, (std::vector<Layer>{{.kind = Layer::Kind::kOffset, .a = 8}, {.kind = Layer::Kind::kCow}}));
}

TEST(NbdkitCase, RefusesLayersThatAreNoneOrDoNotFit) {
  for (const std::string_view stack : {"nothing", "offset", "offset=", "offset=65", "cow=1", "partition=0+512",
                                       "cow partition=0+512", "minblock=x", "offset=8=9"}) {
    EXPECT_FALSE(ParseNbdkitCase("# stack: " + std::string(stack) + "\nsize 64\n").has_value()) << stack;
  }
}

TEST(NbdkitCase, TruthGoesThroughTheStackFromThePluginUp) {
  const auto parsed = ParseNbdkitCase("# stack: offset=8 truncate=60\nsize 64\ninitial data\nadd 16 +8 zero\n");
  std::string text;
  for (const engine::Extent& extent : TruthOf(*parsed).Extents({.begin = 0, .end = 60})) {
    text += Print(extent) + " ";
  }
  EXPECT_EQ(text, "[0, 8) data [8, 16) zero [16, 56) data [56, 60) hole,zero ");
}

}  // namespace
}  // namespace nbdspec::fuzz
