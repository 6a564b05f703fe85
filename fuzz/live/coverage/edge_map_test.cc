// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/coverage/edge_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <string>
#include <vector>

namespace nbdspec::fuzz {
namespace {

using Edges = std::vector<std::uint32_t>;

// Which edges the program takes that does `words`.
Edges EdgesOf(const std::string& words, EdgeMap& map) {
  map.Clear();
  EXPECT_EQ(std::system(("fuzz/live/coverage/covered_program " + words).c_str()), 0) << words;
  return map.Edges();
}

Edges Without(const Edges& all, const Edges& others) {
  Edges left;
  std::ranges::set_difference(all, others, std::back_inserter(left));
  return left;
}

TEST(EdgeMap, EachEdgeHasItsMark) {
  const auto map = EdgeMap::Make().value();
  const Edges none = EdgesOf("", *map);
  const Edges one = Without(EdgesOf("one", *map), none);
  const Edges two = Without(EdgesOf("two", *map), none);
  EXPECT_FALSE(none.empty());
  EXPECT_FALSE(one.empty());
  EXPECT_FALSE(two.empty());
  EXPECT_NE(one, two);
  EXPECT_EQ(EdgesOf("one two", *map).size(), EdgesOf("two one", *map).size());
  EXPECT_TRUE(Without(one, EdgesOf("one two", *map)).empty());
}

TEST(EdgeMap, OneProgramTakesTheSameEdgesAgain) {
  const auto map = EdgeMap::Make().value();
  EXPECT_EQ(EdgesOf("one two", *map), EdgesOf("one two", *map));
}

TEST(EdgeMap, WhatAChildTakesCountsToo) {
  const auto map = EdgeMap::Make().value();
  const Edges one = Without(EdgesOf("one", *map), EdgesOf("", *map));
  EXPECT_TRUE(Without(one, EdgesOf("fork one", *map)).empty());
  EXPECT_FALSE(Without(one, EdgesOf("fork", *map)).empty());
}

TEST(EdgeMap, ClearForgets) {
  const auto map = EdgeMap::Make().value();
  EXPECT_FALSE(EdgesOf("one", *map).empty());
  map->Clear();
  EXPECT_TRUE(map->Edges().empty());
}

TEST(EdgeMap, AProgramRunsWithoutIt) {
  EdgeMap::Make().value().reset();
  EXPECT_EQ(std::getenv("NBDSPEC_COVERAGE"), nullptr);
  EXPECT_EQ(std::system("fuzz/live/coverage/covered_program one two fork"), 0);
  EXPECT_EQ(std::system("NBDSPEC_COVERAGE=/nonexistent fuzz/live/coverage/covered_program one fork two"), 0);
}

TEST(EdgeMap, AProgramCanOnlyMarkIt) {
  const auto map = EdgeMap::Make().value();
  EXPECT_EQ(EdgesOf("hostile", *map).size(), EdgeMap::kEdgesMax);
  map->Clear();
  EXPECT_TRUE(map->Edges().empty());
  EXPECT_FALSE(EdgesOf("one", *map).empty());
}

}  // namespace
}  // namespace nbdspec::fuzz
