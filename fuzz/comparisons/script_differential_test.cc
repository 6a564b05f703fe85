// SPDX-License-Identifier: BSD-3-Clause
// The right shrinker is accused of nothing, and each wrong one is seen through.

#include "fuzz/comparisons/script_differential.h"

#include <gtest/gtest.h>

#include "engine/script/shrink.h"

namespace nbdspec::fuzz {
namespace {

using engine::Script;
using Fails = std::function<bool(const Script&)>;

Script SomeScript() {
  return {.size = 200,
          .steps = {engine::AddStep{.offset = 100, .length = 20}, engine::WaitStep{},
                    engine::AddStep{.offset = 10, .length = 20, .type = engine::ExtentType::kZero}}};
}

bool IsSeen(const ShrinkScript& shrink) { return FindScriptShrinkDisagreement(SomeScript(), shrink).has_value(); }

TEST(ScriptShrinkDifferential, AccusesTheEngineOfNothing) {
  EXPECT_FALSE(FindScriptShrinkDisagreement(SomeScript(), engine::Shrink));
  EXPECT_FALSE(FindScriptShrinkDisagreement({}, engine::Shrink));
}

TEST(ScriptShrinkDifferential, SeesEachPlantedBug) {
  EXPECT_TRUE(IsSeen([](Script script, const Fails&, int) { return script; })) << "shrinks nothing";
  EXPECT_TRUE(IsSeen([](const Script&, const Fails&, int) { return Script{}; })) << "shrinks to what passes";
  EXPECT_TRUE(IsSeen([](const Script& script, const Fails& fails, int tries) {
    Script small = engine::Shrink(script, fails, tries);
    small.steps.push_back(engine::WaitStep{});
    return small;
  })) << "leaves a step too many";
  EXPECT_TRUE(IsSeen([](const Script& script, const Fails& fails, int tries) {
    for (int i = 0; i <= tries; ++i) {
      (void)fails(script);
    }
    return engine::Shrink(script, fails, tries);
  })) << "tries too often";
  bool is_second = false;
  EXPECT_TRUE(IsSeen([&](const Script& script, const Fails& fails, int tries) {
    is_second = !is_second;
    return is_second ? script : engine::Shrink(script, fails, tries);
  })) << "is another the second time";
}

}  // namespace
}  // namespace nbdspec::fuzz
