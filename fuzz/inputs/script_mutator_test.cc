// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/inputs/script_mutator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/inputs/input_mutator.h"

namespace nbdspec::fuzz {
namespace {

using engine::Bytes;
using engine::Script;
using engine::ScriptLimits;
using engine::Step;

constexpr std::uint64_t kSeeds = 2000;
constexpr ScriptLimits kWire = {.steps_max = 16,
                                .kinds = engine::kNoScriptLimits.kinds,
                                .connections_max = 4,
                                .payload_bytes_max = engine::kNoScriptLimits.payload_bytes_max};

// A script of every kind of step.
Script Typical() {
  return {
      .size = 1 << 20,
      .steps = {engine::AddStep{.offset = 0, .length = 4096, .type = engine::ExtentType::kData},
                engine::OptionStep{.option = 10, .names = {"base:allocation", "a:b"}, .export_name = "x"},
                engine::RequestStep{.command = engine::Command::kWrite, .offset = 8192, .length = 512, .pattern = 7},
                engine::WaitStep{}, engine::ClearStep{},
                engine::ForEachStep{.bounds = {.begin = 100, .end = 9000}, .stop_at = 1},
                engine::LookupStep{.offset = 70000}}};
}

bool IsSubsequence(const std::vector<Step>& part, const std::vector<Step>& whole) {
  auto at = part.begin();
  for (const Step& step : whole) {
    at += at != part.end() && step == *at ? 1 : 0;
  }
  return at == part.end();
}

// The places where scripts of as many steps differ.
std::vector<std::size_t> Differences(const Script& one, const Script& other) {
  std::vector<std::size_t> indices;
  for (std::size_t i = 0; i < one.steps.size(); ++i) {
    if (one.steps[i] != other.steps[i]) {
      indices.push_back(i);
    }
  }
  return indices;
}

std::set<std::uint64_t> EdgesOf(const Step& step) {
  const auto range = engine::RangeOf(step);
  return range ? std::set{range->offset, range->offset + range->length} : std::set<std::uint64_t>();
}

// Calls `check(before, after)` with many results of `mutation`; returns how many of them were changes.
template <typename Check>
int ForEachResult(ScriptMutation mutation, const Check& check) {
  int changes = 0;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Script script = Typical();
    ScriptMutator mutator(kWire, seed);
    const bool applied = mutator.Apply(mutation, script);
    mutator.KeepToLimits(script);
    EXPECT_TRUE(applied || script == Typical());
    EXPECT_LE(script.steps.size(), kWire.steps_max);
    changes += script == Typical() ? 0 : 1;
    check(Typical(), script);
  }
  return changes;
}

TEST(ScriptMutator, InsertKeepsTheOthersInOrder) {
  std::set<std::size_t> sizes;
  EXPECT_GT(ForEachResult(ScriptMutation::kInsert,
                          [&](const Script& before, const Script& after) {
                            sizes.insert(after.steps.size());
                            EXPECT_TRUE(IsSubsequence(before.steps, after.steps)) << Print(after);
                          }),
            1900);
  EXPECT_TRUE(sizes.contains(8) && sizes.contains(15));
}

TEST(ScriptMutator, DeleteLeavesOutARun) {
  EXPECT_EQ(ForEachResult(ScriptMutation::kDelete,
                          [](const Script& before, const Script& after) {
                            EXPECT_LT(after.steps.size(), before.steps.size());
                            EXPECT_TRUE(IsSubsequence(after.steps, before.steps)) << Print(after);
                          }),
            kSeeds);
}

TEST(ScriptMutator, SwapChangesTwoPlaces) {
  EXPECT_EQ(ForEachResult(ScriptMutation::kSwap,
                          [](const Script& before, const Script& after) {
                            const auto places = Differences(before, after);
                            ASSERT_EQ(places.size(), 2U);
                            EXPECT_EQ(before.steps[places[0]], after.steps[places[1]]);
                            EXPECT_EQ(before.steps[places[1]], after.steps[places[0]]);
                          }),
            kSeeds);
}

TEST(ScriptMutator, DuplicateSaysARunAgain) {
  EXPECT_EQ(ForEachResult(ScriptMutation::kDuplicate,
                          [](const Script& before, const Script& after) {
                            EXPECT_GT(after.steps.size(), before.steps.size());
                            EXPECT_TRUE(IsSubsequence(before.steps, after.steps)) << Print(after);
                            for (const Step& step : after.steps) {
                              EXPECT_NE(std::ranges::find(before.steps, step), before.steps.end());
                            }
                          }),
            kSeeds);
}

TEST(ScriptMutator, TouchEdgeMovesAnEdgeOfOneStepToAnother) {
  const auto check = [](const Script& before, const Script& after) {
    ASSERT_EQ(after.steps.size(), before.steps.size());
    const auto places = Differences(before, after);
    ASSERT_LE(places.size(), 1U);
    if (places.empty() || std::holds_alternative<engine::LookupStep>(before.steps[places[0]])) {
      return;
    }
    std::set<std::uint64_t> others = {0, before.size};
    for (std::size_t i = 0; i < before.steps.size(); ++i) {
      if (i != places[0]) {
        others.merge(EdgesOf(before.steps[i]));
      }
    }
    bool has_moved_there = false;
    for (const std::uint64_t edge : EdgesOf(after.steps[places[0]])) {
      has_moved_there |= others.contains(edge) || others.contains(edge - 1) || others.contains(edge + 1);
    }
    EXPECT_TRUE(has_moved_there) << Print(after);
  };
  EXPECT_GT(ForEachResult(ScriptMutation::kTouchEdge, check), 1500);
}

// What compact headers cannot carry takes a record that means another step where the limits know no extended ones.
TEST(ScriptMutator, WithoutExtendedHeadersRequestsStayNarrow) {
  ScriptLimits limits = kWire;
  limits.kinds.extended = false;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Script script = Typical();
    ScriptMutator(limits, seed).MutateBeyondLimits(script);
    for (const Step& step : script.steps) {
      const auto* request = std::get_if<engine::RequestStep>(&step);
      EXPECT_TRUE(request == nullptr || (request->length <= 0xffffffff && !request->is_unannounced &&
                                         request->contexts == engine::NamedContexts::kAll))
          << Print(step);
    }
  }
}

TEST(ScriptMutator, NudgeMovesByOneByte) {
  EXPECT_GT(ForEachResult(ScriptMutation::kNudge,
                          [](const Script& before, const Script& after) {
                            ASSERT_EQ(after.steps.size(), before.steps.size());
                            for (const std::size_t i : Differences(before, after)) {
                              const auto was = *engine::RangeOf(before.steps[i]);
                              const auto is = *engine::RangeOf(after.steps[i]);
                              const std::uint64_t moved = is.offset - was.offset + 1;
                              EXPECT_TRUE(moved <= 2 || was.offset == 0) << Print(after);
                            }
                          }),
            1500);
}

TEST(ScriptMutator, SplitPartsFitTogether) {
  const auto check = [](const Script& before, const Script& after) {
    if (after == before) {
      return;
    }
    ASSERT_EQ(after.steps.size(), before.steps.size() + 1);
    const auto places = Differences(before, after);
    ASSERT_FALSE(places.empty());
    const std::size_t at = places[0];
    const auto whole = *engine::RangeOf(before.steps[at]);
    const auto first = *engine::RangeOf(after.steps[at]);
    const auto rest = *engine::RangeOf(after.steps[at + 1]);
    EXPECT_EQ(first.offset, whole.offset);
    EXPECT_EQ(rest.offset, first.offset + first.length);
    EXPECT_EQ(first.length + rest.length, whole.length);
    EXPECT_TRUE(first.length > 0 && rest.length > 0);
    Script joined = after;
    engine::SetRange(joined.steps[at], whole);
    joined.steps.erase(joined.steps.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    EXPECT_EQ(joined, before);
  };
  EXPECT_GT(ForEachResult(ScriptMutation::kSplit, check), 1000);
}

TEST(ScriptMutator, WidenReachesTheLimits) {
  std::set<std::uint64_t> numbers;
  EXPECT_GT(ForEachResult(ScriptMutation::kWiden,
                          [&](const Script& before, const Script& after) {
                            ASSERT_EQ(after.steps.size(), before.steps.size());
                            numbers.insert(after.size);
                            for (const Step& step : after.steps) {
                              if (const auto range = engine::RangeOf(step)) {
                                numbers.insert({range->offset, range->length});
                              }
                            }
                          }),
            1500);
  for (const std::uint64_t number : {1ULL << 31, (1ULL << 32) - 1, 1ULL << 32, (1ULL << 32) + 1, (1ULL << 62) + 1,
                                     (1ULL << 63) - 1, 1ULL << 63, ~0ULL, (1ULL << 32) + (1 << 20)}) {
    EXPECT_TRUE(numbers.contains(number)) << number;
  }
}

TEST(ScriptMutator, RetypeKeepsTheRange) {
  std::set<std::size_t> kinds;
  std::set<std::size_t> changed;
  EXPECT_GT(ForEachResult(ScriptMutation::kRetype,
                          [&](const Script& before, const Script& after) {
                            // Names may follow an option made of another step, and nothing else.
                            ASSERT_LE(after.steps.size(), before.steps.size());
                            const auto places = Differences(after, before);
                            ASSERT_LE(places.size(), 1U) << Print(after);
                            for (const std::size_t i : places) {
                              const auto was = engine::RangeOf(before.steps[i]);
                              const auto is = engine::RangeOf(after.steps[i]);
                              EXPECT_TRUE(!was || !is || was->offset == is->offset) << Print(after);
                              kinds.insert(after.steps[i].index());
                              changed.insert(i);
                            }
                          }),
            1500);
  EXPECT_EQ(kinds.size(), std::variant_size_v<Step> - 1);  // A record becomes a LeaveStep by itself alone.
  EXPECT_EQ(changed.size(), Typical().steps.size());
}

TEST(ScriptMutator, HeadLeavesTheSteps) {
  std::set<std::uint64_t> sizes;
  EXPECT_GT(ForEachResult(ScriptMutation::kHead,
                          [&](const Script& before, const Script& after) {
                            EXPECT_EQ(after.steps, before.steps);
                            sizes.insert(after.size);
                          }),
            1500);
  EXPECT_TRUE(sizes.contains(0) && sizes.contains(1 << 20) && sizes.contains(engine::kExportBytesMax));
}

TEST(ScriptMutator, RecordChangesOneStep) {
  EXPECT_GT(ForEachResult(ScriptMutation::kRecord,
                          [](const Script& before, const Script& after) {
                            const auto [was, is] = std::ranges::mismatch(before.steps, after.steps);
                            const auto rest = std::min(before.steps.end() - was, after.steps.end() - is);
                            // What an option's names become comes after it.
                            EXPECT_LE(after.steps.size(), before.steps.size() + 3);
                            EXPECT_TRUE(rest == 0 || std::equal(before.steps.end() - (rest - 1), before.steps.end(),
                                                                after.steps.end() - (rest - 1)))
                                << Print(after);
                          }),
            1200);
}

TEST(ScriptMutator, EveryMutationComesUpAndKeepsToTheLimits) {
  std::set<ScriptMutation> seen;
  ScriptMutator mutator(kWire, 1);
  Script script = Typical();
  for (int i = 0; i < 5000; ++i) {
    seen.insert(mutator.MutateOnce(script));
    mutator.KeepToLimits(script);
    EXPECT_LE(script.steps.size(), kWire.steps_max);
    ASSERT_EQ(engine::DecodeScript(engine::EncodeScript(script), kWire), script) << Print(script);
  }
  EXPECT_EQ(seen.size(), kScriptMutationCount);
}

TEST(ScriptMutator, NothingIsMadeOutOfNothingToo) {
  for (const auto& kinds : {engine::kMapSteps, engine::kWireSteps, engine::StepKinds{}}) {
    ScriptMutator mutator({.export_bytes_max = 100, .steps_max = 3, .kinds = kinds}, 1);
    Script script;
    for (int i = 0; i < 2000; ++i) {
      mutator.Mutate(script);
      ASSERT_LE(script.size, 100U);
      ASSERT_LE(script.steps.size(), 3U);
    }
    EXPECT_EQ(script.steps.empty(), kinds.add == kinds.request);
  }
}

TEST(ScriptMutator, FreshScriptsHaveAsManyStepsAsAskedFor) {
  ScriptMutator mutator({.steps_max = 20}, 1);
  std::set<std::uint64_t> sizes;
  for (std::size_t count = 0; count < 40; ++count) {
    const Script script = mutator.Fresh(count);
    EXPECT_EQ(script.steps.size(), std::min<std::size_t>(count, 20));
    sizes.insert(script.size);
  }
  EXPECT_GT(sizes.size(), 10U);
}

TEST(ScriptMutator, LongScriptsComeSoon) {
  ScriptMutator mutator({.steps_max = 40}, 1);
  Script script;
  std::size_t longest = 0;
  for (int i = 0; i < 100; ++i) {
    mutator.Mutate(script);
    EXPECT_FALSE(i == 0 && script.steps.empty());
    longest = std::max(longest, script.steps.size());
  }
  EXPECT_GT(longest, 30U);
}

TEST(ScriptMutator, CrossTakesTheBeginOfOneAndARunOfTheOther) {
  const Script one = Typical();
  Script other = {.size = 77};
  for (std::uint64_t i = 0; i < 5; ++i) {
    other.steps.emplace_back(engine::LookupStep{.offset = 1000 + i});
  }
  std::set<std::size_t> begins;
  std::set<std::pair<std::size_t, std::size_t>> runs;
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    const Script child = ScriptMutator(kWire, seed).Cross(one, other);
    const auto [cut, rest] = std::ranges::mismatch(child.steps, one.steps);
    begins.insert(static_cast<std::size_t>(rest - one.steps.begin()));
    if (cut != child.steps.end()) {
      const auto from = std::ranges::find(other.steps, *cut);
      const auto length = child.steps.end() - cut;
      ASSERT_LE(length, other.steps.end() - from);
      EXPECT_TRUE(std::equal(cut, child.steps.end(), from));
      runs.emplace(from - other.steps.begin(), length);
    }
  }
  EXPECT_EQ(begins.size(), one.steps.size() + 1);
  EXPECT_EQ(runs.size(), 15U);  // Each begin with each length.
}

TEST(ScriptMutator, InputsWithoutOptionsCrossWithoutBeingDecoded) {
  constexpr ScriptLimits kMap = {.steps_max = 6};
  const Script one = {.size = 99, .steps = std::vector<Step>(5, engine::LookupStep{.offset = 1})};
  const Script other = {.size = 77, .steps = std::vector<Step>(4, engine::LookupStep{.offset = 2})};
  std::set<std::size_t> begins;
  std::set<std::size_t> ends;
  std::set<std::uint64_t> sizes;
  for (unsigned seed = 1; seed <= 500; ++seed) {
    Bytes out(engine::kScriptHeadBytes + 8 * engine::kScriptRecordBytes);
    out.resize(InputMutator(ScriptKind(kMap)).Cross(engine::EncodeScript(one), engine::EncodeScript(other), out, seed));
    const Script child = engine::DecodeScript(out, engine::kNoScriptLimits);
    const auto cut = std::ranges::find(child.steps, other.steps[0]);
    EXPECT_TRUE(std::all_of(child.steps.begin(), cut, [&](const Step& step) { return step == one.steps[0]; }));
    EXPECT_TRUE(std::all_of(cut, child.steps.end(), [&](const Step& step) { return step == other.steps[0]; }));
    EXPECT_LE(child.steps.size(), kMap.steps_max);
    begins.insert(static_cast<std::size_t>(cut - child.steps.begin()));
    ends.insert(static_cast<std::size_t>(child.steps.end() - cut));
    sizes.insert(child.size);
  }
  EXPECT_EQ(begins.size(), one.steps.size() + 1);
  EXPECT_EQ(ends.size(), other.steps.size() + 1);
  EXPECT_EQ(sizes, (std::set<std::uint64_t>{77, 99}));
}

TEST(ScriptMutator, TheSameSeedGivesTheSameScript) {
  std::set<std::string> texts;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    Script one = Typical();
    Script two = Typical();
    ScriptMutator(kWire, seed).Mutate(one);
    ScriptMutator(kWire, seed).Mutate(two);
    EXPECT_EQ(one, two);
    texts.insert(Print(one));
  }
  EXPECT_GT(texts.size(), 90U);
}

TEST(ScriptMutator, InputsKeepToTheirSizeAndAreScripts) {
  Random random(1);
  InputMutator inputs(ScriptKind(kWire));
  for (std::size_t size_max = 0; size_max < 300; ++size_max) {
    Bytes data(size_max);
    std::ranges::generate(data, [&] { return static_cast<std::uint8_t>(random()); });
    const Bytes before = data;
    const std::size_t size = random.Below(size_max + 1);
    const auto seed = static_cast<unsigned>(size_max);
    ASSERT_LE(inputs.Mutate(data.data(), size, size_max, seed), size_max);
    const std::size_t crossed = inputs.Cross(before, data, data, seed);
    ASSERT_LE(crossed, size_max);
    EXPECT_TRUE(crossed < engine::kScriptHeadBytes ||
                (crossed - engine::kScriptHeadBytes) % engine::kScriptRecordBytes == 0);
  }
}

// As libFuzzer keeps it: what it makes of an input does not depend on those before.
TEST(ScriptMutator, InputsLeaveNothingForTheNext) {
  for (const ScriptLimits& limits : {ScriptLimits{}, kWire}) {
    Random random(1);
    InputMutator kept(ScriptKind(limits));
    for (unsigned seed = 0; seed < 2000; ++seed) {
      const Bytes one = engine::EncodeScript(ScriptMutator(limits, random()).Fresh(random.Below(16)));
      const Bytes other = engine::EncodeScript(ScriptMutator(limits, random()).Fresh(random.Below(16)));
      const auto made_by = [&](InputMutator& inputs) {
        Bytes mutated = one;
        mutated.resize(one.size() + 400);
        mutated.resize(inputs.Mutate(mutated.data(), one.size(), mutated.size(), seed));
        Bytes crossed(one.size() + 400);
        crossed.resize(inputs.Cross(one, other, crossed, seed));
        return std::pair(mutated, crossed);
      };
      InputMutator anew(ScriptKind(limits));
      ASSERT_EQ(made_by(kept), made_by(anew)) << seed;
    }
  }
}

TEST(ScriptMutator, ASeedWrittenAsTextGoesOnAsBytes) {
  const std::string text = Print(Typical());
  Bytes data(1000);
  std::ranges::copy(text, data.begin());
  const std::size_t size = InputMutator(ScriptKind(kWire)).Mutate(data.data(), text.size(), data.size(), 1);
  Script expected = Typical();
  ScriptMutator(kWire, 1).Mutate(expected);
  EXPECT_EQ(engine::DecodeScript({data.data(), size}, kWire), expected);
  EXPECT_NE(expected, Typical());
}

}  // namespace
}  // namespace nbdspec::fuzz
