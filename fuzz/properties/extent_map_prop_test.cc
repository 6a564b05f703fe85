// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstdlib>

#include "engine/extents/extent_map.h"
#include "engine/script/script.h"
#include "fuzz/properties/extent_map_model.h"

namespace nbdspec::fuzz {
namespace {

// The same sequences in every run, unless RC_PARAMS asks for others. RapidCheck prints what it uses.
const int kParamsAreSet = setenv("RC_PARAMS", "seed=1 max_success=300", /*replace=*/0);

TEST(ExtentMapProperty, AnySequenceOfStepsAgreesWithTheOracles) {
  ASSERT_EQ(kParamsAreSet, 0);
  EXPECT_TRUE(rc::check("any sequence of steps agrees with the oracles", [] {
    CheckExtentMapProperty(
        [](std::uint64_t size, engine::ExtentType initial) { return engine::ExtentMap(size, initial); });
  }));
}

// Two Adds that share no byte can change places; one can be split in two, or said twice.
TEST(ExtentMapProperty, DisjointAddsCommuteAndAddsSplit) {
  EXPECT_TRUE(rc::check("disjoint Adds commute, and an Add is the sum of its parts", [] {
    const auto size = *rc::gen::element<std::uint64_t>(100, 1ULL << 33, engine::kExportBytesMax);
    auto places = *rc::gen::container<std::vector<std::uint64_t>>(4, rc::gen::inRange<std::uint64_t>(0, size));
    std::ranges::sort(places);
    const auto first = static_cast<engine::ExtentType>(*rc::gen::inRange(0, 4));
    const auto second = static_cast<engine::ExtentType>(*rc::gen::inRange(0, 4));
    const auto add = [](engine::ExtentMap& map, std::uint64_t begin, std::uint64_t end, engine::ExtentType type) {
      RC_ASSERT(map.Add(begin, end - begin, type).has_value());
    };
    engine::ExtentMap one(size);
    add(one, places[0], places[1], first);
    add(one, places[2], places[3], second);
    engine::ExtentMap other(size);
    const std::uint64_t middle = places[2] + (places[3] - places[2]) / 2;
    add(other, middle, places[3], second);
    add(other, places[2], places[3], second);
    add(other, places[2], middle, second);
    add(other, places[0], places[1], first);
    std::string text;
    const auto print = [&](engine::Extent extent) {
      text += engine::Print(extent) + "\n";
      return true;
    };
    RC_ASSERT(one.ForEach(one.range(), print));
    const std::string of_one = std::exchange(text, "");
    RC_ASSERT(other.ForEach(other.range(), print));
    RC_ASSERT(of_one == text);
  }));
}

}  // namespace
}  // namespace nbdspec::fuzz
