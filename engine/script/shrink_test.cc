// SPDX-License-Identifier: BSD-3-Clause
#include "engine/script/shrink.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

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

TEST(Shrink, AsksAboutNothingAgainThatPassed) {
  std::set<std::string> passed;
  const Script small = Shrink(LongScript(), [&](const Script& script) {
    const bool fails = HasAddPast(script, 700);
    EXPECT_TRUE(fails || passed.insert(Print(script)).second) << Print(script);
    return fails;
  });
  EXPECT_EQ(small.steps.size(), 1U);
}

TEST(Shrink, GivesUpAfterItsTries) {
  int tries = 0;
  const auto fails = [&](const Script& script) {
    ++tries;
    return script.steps.size() > 10;
  };
  const Script small = Shrink(LongScript(), fails, 10);
  EXPECT_EQ(tries, 10);
  EXPECT_GT(small.steps.size(), 10U);
  EXPECT_LT(small.steps.size(), LongScript().steps.size());
  EXPECT_EQ(small, Shrink(LongScript(), fails, 10));
}

TEST(Shrink, WithEnoughTriesRemovesEverythingIrrelevant) {
  EXPECT_EQ(Shrink(LongScript(), [](const Script&) { return true; }), Script{});
}

TEST(Shrink, ALongScriptTakesFewTries) {
  Script script;
  for (int i = 0; i < 1000; ++i) {
    script.steps.push_back(i == 700 ? Step(WaitStep{}) : Step(ClearStep{}));
  }
  int tries = 0;
  const Script small = Shrink(script, [&](const Script& candidate) {
    ++tries;
    return std::ranges::find(candidate.steps, Step(WaitStep{})) != candidate.steps.end();
  });
  EXPECT_EQ(small, (Script{.steps = {WaitStep{}}}));
  EXPECT_LT(tries, 100);
}

// The two ranges must touch far into the export: no single number can be lowered alone.
TEST(Shrink, WhatTouchesMovesTogether) {
  constexpr std::uint64_t kFar = (5ULL << 40) + 12345;
  const Script script{
      .size = kFar + 99999,
      .steps = {AddStep{.offset = kFar, .length = 777, .type = ExtentType::kZero}, LookupStep{.offset = kFar + 777}}};
  const Script small = Shrink(script, [](const Script& candidate) {
    const auto* add = candidate.steps.size() == 2 ? std::get_if<AddStep>(candidate.steps.data()) : nullptr;
    const auto* lookup = add != nullptr ? std::get_if<LookupStep>(&candidate.steps[1]) : nullptr;
    return lookup != nullptr && add->length >= 3 && lookup->offset == add->offset + add->length &&
           lookup->offset < candidate.size;
  });
  EXPECT_EQ(small, (Script{.size = 4, .steps = {AddStep{.offset = 0, .length = 3}, LookupStep{.offset = 3}}}));
}

TEST(Shrink, RequestsLoseWhatDoesNotMatter) {
  const Script script{
      .size = 1 << 20,
      .initial = ExtentType::kHoleZero,
      .steps = {RequestStep{.command = Command::kWrite, .offset = 99, .length = 100, .flags = 1}, WaitStep{},
                RequestStep{.command = Command::kStatus,
                            .offset = 70000,
                            .length = 4096,
                            .flags = CommandFlag::kReqOne | CommandFlag::kDf | 0x8000,
                            .pattern = 9,
                            .connection = 5,
                            .contexts = NamedContexts::kTwice,
                            .is_unannounced = true}}};
  const Script small = Shrink(script, [](const Script& candidate) {
    const auto* request = candidate.steps.empty() ? nullptr : std::get_if<RequestStep>(&candidate.steps.back());
    return request != nullptr && request->command == Command::kStatus && (request->flags & CommandFlag::kReqOne) != 0 &&
           request->connection >= 3;
  });
  EXPECT_EQ(
      small,
      (Script{.steps = {RequestStep{.command = Command::kStatus, .flags = CommandFlag::kReqOne, .connection = 3}}}));
}

TEST(Shrink, AWideLengthAndItsContextsStayWhereTheyMatter) {
  const Script script{.size = 1ULL << 40,
                      .steps = {RequestStep{.command = Command::kStatus,
                                            .offset = 512,
                                            .length = 7ULL << 32,
                                            .flags = CommandFlag::kReqOne | CommandFlag::kPayloadLen,
                                            .contexts = NamedContexts::kUnknown}}};
  const Script small = Shrink(script, [](const Script& candidate) {
    const auto* request = candidate.steps.empty() ? nullptr : std::get_if<RequestStep>(candidate.steps.data());
    return request != nullptr && request->contexts == NamedContexts::kUnknown && request->length > 0xffffffff;
  });
  EXPECT_EQ(small,
            (Script{.steps = {RequestStep{
                        .command = Command::kStatus, .length = 1ULL << 32, .contexts = NamedContexts::kUnknown}}}));
}

TEST(Shrink, CutsLoseWhatDoesNotMatter) {
  const Script script{
      .steps = {CutStep{.cut = {.keeps = PowerCut::Keeps::kSome, .one = 9, .seed = 7, .tears = true}},
                CutStep{.cut = {.keeps = PowerCut::Keeps::kOnlyOne, .one = 5, .seed = 7, .tears = true}}}};
  const Script small = Shrink(script, [](const Script& candidate) {
    const auto* cut = candidate.steps.empty() ? nullptr : std::get_if<CutStep>(&candidate.steps.back());
    return cut != nullptr && cut->cut.keeps == PowerCut::Keeps::kOnlyOne && cut->cut.one >= 2;
  });
  EXPECT_EQ(Print(small), Print(Script{.steps = {CutStep{.cut = {.keeps = PowerCut::Keeps::kOnlyOne, .one = 2}}}}));
}

TEST(Shrink, OptionsLoseTheirNames) {
  const Script script{
      .steps = {OptionStep{
          .option = OptionType::kSetMetaContext, .names = {"qemu:", "base:allocation", "x"}, .export_name = "other"}}};
  const Script small = Shrink(script, [](const Script& candidate) {
    const auto* option = candidate.steps.empty() ? nullptr : std::get_if<OptionStep>(candidate.steps.data());
    return option != nullptr &&
           std::ranges::any_of(option->names, [](const std::string& name) { return name.starts_with("base"); });
  });
  EXPECT_EQ(small, (Script{.steps = {OptionStep{.option = OptionType::kSetMetaContext, .names = {"base"}}}}));
}

TEST(Shrink, TypesAndStopsBecomeSimpler) {
  const Script script{.initial = ExtentType::kHoleZero,
                      .steps = {AddStep{.type = static_cast<ExtentType>(0xf7)}, ForEachStep{.stop_at = 200}}};
  const Script small = Shrink(script, [](const Script& candidate) {
    if (candidate.steps.size() != 2 || IsHole(candidate.initial)) {
      return false;
    }
    const auto* add = std::get_if<AddStep>(candidate.steps.data());
    const auto* all = std::get_if<ForEachStep>(&candidate.steps[1]);
    return add != nullptr && all != nullptr && static_cast<std::uint8_t>(add->type) >= 16 && all->stop_at >= 3;
  });
  EXPECT_EQ(small, (Script{.initial = ExtentType::kData,
                           .steps = {AddStep{.type = static_cast<ExtentType>(0x80)}, ForEachStep{.stop_at = 3}}}));
}

// 5000 means nothing; 4097 and 64K-1 do.
TEST(Shrink, LargeNumbersAreRoundedButNotBesideARoundOne) {
  const auto lengths_of = [](std::uint64_t length_min) {
    const Script small = Shrink({.steps = {AddStep{.length = 1 << 20}}}, [&](const Script& script) {
      return !script.steps.empty() && RangeOf(script.steps[0])->length >= length_min;
    });
    return RangeOf(small.steps[0])->length;
  };
  EXPECT_EQ(lengths_of(701), 701U);
  EXPECT_EQ(lengths_of(5000), 8192U);
  EXPECT_EQ(lengths_of(70000), 131072U);
  for (const std::uint64_t length : {4095U, 4096U, 4097U, 5119U, 65535U, 65536U, 65537U}) {
    EXPECT_EQ(lengths_of(length), length);
  }
}

TEST(Shrink, AScriptThatCannotBeSmallerIsKept) {
  const Script script{.size = 0};
  EXPECT_EQ(Shrink(script, [](const Script&) { return true; }), script);
}

}  // namespace
}  // namespace nbdspec::engine
