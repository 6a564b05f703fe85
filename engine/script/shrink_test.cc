// SPDX-License-Identifier: BSD-3-Clause
#include "engine/script/shrink.h"

#include <gtest/gtest.h>

namespace nbdspec::engine {
namespace {

Script LongScript() {
  Script script{.size = 1 << 20};
  for (std::uint64_t i = 0; i < 20; ++i) {
    script.steps.push_back(AddStep{.offset = i * 1000, .length = 1500, .type = ExtentType::kData});
    script.steps.push_back(ForEachStep{.bounds = {.begin = i, .end = i + 5000}});
    script.steps.push_back(ClearStep{});
    script.steps.push_back(LookupStep{.offset = i});
  }
  return script;
}

bool HasAddPast(const Script& script, std::uint64_t end) {
  for (const Step& step : script.steps) {
    const AddStep* add = std::get_if<AddStep>(&step);
    if (add != nullptr && add->offset + add->length > end) {
      return true;
    }
  }
  return false;
}

TEST(Shrink, LeavesOutWhatDoesNotMatterAndLowersTheRest) {
  const Script small = Shrink(LongScript(), [](const Script& script) { return HasAddPast(script, 700); });
  EXPECT_EQ(small, (Script{.size = 0, .steps = {AddStep{.offset = 0, .length = 701}}}));
}

TEST(Shrink, KeepsBoundsInOrder) {
  const Script small = Shrink(LongScript(), [](const Script& script) {
    for (const Step& step : script.steps) {
      const ForEachStep* foreach_step = std::get_if<ForEachStep>(&step);
      if (foreach_step != nullptr) {
        EXPECT_LE(foreach_step->bounds.begin, foreach_step->bounds.end);
        return foreach_step->bounds.end >= 10;
      }
    }
    return false;
  });
  EXPECT_EQ(small, (Script{.size = 0, .steps = {ForEachStep{.bounds = {.begin = 0, .end = 10}}}}));
}

TEST(Shrink, GivesUpAfterItsTries) {
  int tries = 0;
  const auto fails = [&](const Script&) {
    ++tries;
    return true;
  };
  const Script small = Shrink(LongScript(), fails, 10);
  EXPECT_EQ(tries, 10);
  EXPECT_EQ(small.steps.size(), LongScript().steps.size() - 10);
}

TEST(Shrink, AScriptThatCannotBeSmallerIsKept) {
  const Script script{.size = 0};
  EXPECT_EQ(Shrink(script, [](const Script&) { return true; }), script);
}

}  // namespace
}  // namespace nbdspec::engine
