// SPDX-License-Identifier: BSD-3-Clause
// Every planted bug of MutantExtentMap is found by the fuzz target's comparison and by the property, in time.

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <ostream>

#include "engine/base/bytes.h"
#include "engine/extents/extent_map.h"
#include "engine/script/script_bytes.h"
#include "fuzz/canary/canary.h"
#include "fuzz/canary/mutant_extent_map.h"
#include "fuzz/harness/extent_map_differential.h"
#include "fuzz/properties/extent_map_model.h"

namespace nbdspec::fuzz {
namespace {

struct PlantedBug {
  MapBug bug;
  const char* name;
  std::uint64_t inputs_max;  // Random inputs within which the fuzz target finds it.
  int sequences_max;         // Sequences of commands within which the property finds it.
};

void PrintTo(const PlantedBug& planted, std::ostream* out) { *out << planted.name; }

#define NBDSPEC_BUG(name) MapBug::k##name, #name

constexpr PlantedBug kPlantedBugs[] = {
    {NBDSPEC_BUG(AddEndsOneByteLate), 100, 100},
    {NBDSPEC_BUG(AddEndsOneByteEarly), 100, 100},
    {NBDSPEC_BUG(AddBeginsOneByteEarly), 100, 100},
    {NBDSPEC_BUG(AddForgetsTheLastByteOfTheExport), 100, 100},
    {NBDSPEC_BUG(AddOfLengthZeroChangesAByte), 100, 100},
    {NBDSPEC_BUG(AddCutsTheLengthTo32Bits), 100, 100},
    {NBDSPEC_BUG(AddCutsTheOffsetTo62Bits), 100, 200},
    {NBDSPEC_BUG(AddGivesTheSplitRemainderItsType), 100, 100},
    {NBDSPEC_BUG(AddKeepsTheOldHoleBit), 100, 100},
    {NBDSPEC_BUG(AddNeverMakesAHoleOfData), 100, 100},
    {NBDSPEC_BUG(AddOfUnknownTypeIsMasked), 100, 100},
    {NBDSPEC_BUG(AddThatWrapsIsClipped), 100, 100},
    {NBDSPEC_BUG(AddThatIsRefusedClears), 100, 100},
    {NBDSPEC_BUG(AddIsLostAtTenExtents), 6000, 350},
    {NBDSPEC_BUG(NeighboursAreNotCoalesced), 100, 100},
    {NBDSPEC_BUG(ClearLeavesTheTail), 250, 250},
    {NBDSPEC_BUG(ClearMakesAHole), 150, 100},
    {NBDSPEC_BUG(ForEachDoesNotClipTheBegin), 100, 100},
    {NBDSPEC_BUG(ForEachDoesNotClipTheEnd), 100, 100},
    {NBDSPEC_BUG(ForEachVisitsEmptyBounds), 400, 100},
    {NBDSPEC_BUG(ForEachIgnoresARefusal), 100, 100},
    {NBDSPEC_BUG(ForEachSkipsTheLastByteOfItsBounds), 100, 100},
    {NBDSPEC_BUG(LookupAtABeginFindsTheExtentBefore), 250, 200},
    {NBDSPEC_BUG(LookupDoesNotExtendToTheBegin), 100, 100},
    {NBDSPEC_BUG(ExtentCountIsOneTooHighAfterClear), 100, 100},
};

#undef NBDSPEC_BUG

// What the fuzz target extent_map does with an input, for a map with `bug`.
FindBytesDisagreement FindIn(MapBug bug) {
  return [bug](engine::ByteView input) {
    const engine::Script script = engine::ReadScript(input, {.steps_max = 32});
    return FindExtentMapDisagreement(script, MutantExtentMap(bug, script.size, script.initial));
  };
}

// How many sequences the property takes to find `bug`; 0 when it does not find it.
int SequencesToFind(MapBug bug, std::uint64_t seed, int sequences_max) {
  const auto property = [bug] {
    CheckExtentMapProperty(
        [bug](std::uint64_t size, engine::ExtentType initial) { return MutantExtentMap(bug, size, initial); });
  };
  const auto result = rc::detail::checkTestable(
      property, rc::detail::TestMetadata{},
      rc::detail::TestParams{.seed = seed, .maxSuccess = sequences_max, .disableShrinking = true});
  rc::detail::FailureResult failure;
  return result.match(failure) ? failure.numSuccess + 1 : 0;
}

class ExtentMapCanary : public testing::TestWithParam<PlantedBug> {};

TEST_P(ExtentMapCanary, IsFoundByTheFuzzTarget) {
  const auto found = HasFound({.runs_max = GetParam().inputs_max, .bytes_max = 649}, FindIn(GetParam().bug));
  EXPECT_TRUE(found);
  RecordProperty("found", found.message());
}

TEST_P(ExtentMapCanary, IsFoundByTheProperty) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    EXPECT_GT(SequencesToFind(GetParam().bug, seed, GetParam().sequences_max), 0)
        << "seed " << seed << " did not find it in " << GetParam().sequences_max << " sequences";
  }
}

INSTANTIATE_TEST_SUITE_P(PlantedBugs, ExtentMapCanary, testing::ValuesIn(kPlantedBugs),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(ExtentMapCanary, TheRightMapIsAccusedByNeither) {
  EXPECT_TRUE(HasAccusedNobody({.runs_max = 5000, .bytes_max = 649}, FindIn(MapBug::kNone)));
  EXPECT_TRUE(HasAccusedNobody({.runs_max = 5000, .bytes_max = 649}, [](engine::ByteView input) {
    const engine::Script script = engine::ReadScript(input, {.steps_max = 32});
    return FindExtentMapDisagreement(script, engine::ExtentMap(script.size, script.initial));
  }));
  EXPECT_EQ(SequencesToFind(MapBug::kNone, 1, 500), 0);
}

}  // namespace
}  // namespace nbdspec::fuzz
