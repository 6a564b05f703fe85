// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include "engine/script/script.h"

namespace nbdspec::engine {
namespace {

constexpr std::uint64_t kMax = ~std::uint64_t{0};

TEST(StepRange, ARangeSetIsTheRangeOfTheStep) {
  for (Step step : {Step(AddStep{}), Step(ForEachStep{}), Step(RequestStep{})}) {
    for (const std::uint64_t length : {std::uint64_t{7}, std::uint64_t{7} << 32}) {
      SetRange(step, {.offset = 5, .length = length});
      ASSERT_TRUE(RangeOf(step));
      EXPECT_EQ(RangeOf(step)->offset, 5U);
      EXPECT_EQ(RangeOf(step)->length, length);
    }
  }
  Step lookup = LookupStep{};
  SetRange(lookup, {.offset = 5, .length = 7});
  EXPECT_EQ(lookup, Step(LookupStep{.offset = 5}));
  for (Step step : {Step(ClearStep{}), Step(WaitStep{}), Step(OptionStep{})}) {
    const Step before = step;
    SetRange(step, {.offset = 5, .length = 7});
    EXPECT_EQ(step, before);
    EXPECT_FALSE(RangeOf(step));
  }
}

TEST(StepRange, WhatAStepCannotHoldIsCut) {
  Step bounds = ForEachStep{};
  SetRange(bounds, {.offset = kMax - 1, .length = 5});
  EXPECT_EQ(bounds, Step(ForEachStep{.bounds = {.begin = kMax - 1, .end = kMax}}));
}

TEST(StepRange, ShiftMovesWhatLiesAtOrAfterAnEdge) {
  Script script{.size = 100,
                .steps = {AddStep{.offset = 10, .length = 10}, AddStep{.offset = 19, .length = 2},
                          AddStep{.offset = 20, .length = 5}, AddStep{.offset = 30, .length = kMax}, WaitStep{}}};
  const Script before = script;
  ShiftEdges(script, 20, 1000);
  EXPECT_EQ(script, (Script{.size = 1100,
                            .steps = {AddStep{.offset = 10, .length = 1010}, AddStep{.offset = 19, .length = 1002},
                                      AddStep{.offset = 1020, .length = 5}, AddStep{.offset = 30, .length = kMax},
                                      WaitStep{}}}));
  ShiftEdges(script, 20, -1000);
  EXPECT_EQ(script, before);
}

TEST(StepRange, ShiftStopsAtTheLimits) {
  Script script{.size = 100, .steps = {AddStep{.offset = 50, .length = 10}, LookupStep{.offset = 99}}};
  Script down = script;
  ShiftEdges(down, 50, -55);
  EXPECT_EQ(down, (Script{.size = 45, .steps = {AddStep{.offset = 0, .length = 5}, LookupStep{.offset = 44}}}));
  ShiftEdges(script, 50, kMax);
  EXPECT_EQ(script, (Script{.size = kExportBytesMax,
                            .steps = {AddStep{.offset = kMax, .length = 0}, LookupStep{.offset = kMax}}}));
}

}  // namespace
}  // namespace nbdspec::engine
