// SPDX-License-Identifier: BSD-3-Clause
// Every way to be wrong of MakeMutantCApi is found by the fuzz target's comparison, in time.

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <ostream>
#include <string>
#include <vector>

#include "engine/base/bytes.h"
#include "fuzz/canary/canary.h"
#include "fuzz/canary/mutant_c_api.h"
#include "fuzz/harness/c_api_differential.h"
#include "fuzz/harness/disagreement.h"

namespace nbdspec::fuzz {
namespace {

constexpr std::size_t kBytesMax = 160;

struct PlantedBug {
  CApiBug bug;
  const char* name;
  std::uint64_t inputs_max;  // Random inputs within which the fuzz target finds it.
};

void PrintTo(const PlantedBug& planted, std::ostream* out) { *out << planted.name; }

#define NBDSPEC_BUG(name) CApiBug::k##name, #name

constexpr PlantedBug kPlantedBugs[] = {
    {NBDSPEC_BUG(NewIsData), 100},
    {NBDSPEC_BUG(NewOfTypeForgetsTheHoleBit), 100},
    {NBDSPEC_BUG(NewRefusesTheLargestSize), 100},
    {NBDSPEC_BUG(NewCutsTheSizeTheLargestAllows), 150},
    {NBDSPEC_BUG(NewWithoutMemorySaysEinval), 100},
    {NBDSPEC_BUG(FreeKeepsTheMap), 100},
    {NBDSPEC_BUG(ClearOfNullSucceeds), 100},
    {NBDSPEC_BUG(ClearMakesAHole), 100},
    {NBDSPEC_BUG(ClearNeedsMemory), 100},
    {NBDSPEC_BUG(AddLosesErrno), 100},
    {NBDSPEC_BUG(AddSwapsHoleAndZero), 100},
    {NBDSPEC_BUG(AddMasksUnknownTypes), 100},
    {NBDSPEC_BUG(AddCutsTheTypeTo8Bits), 150},
    {NBDSPEC_BUG(AddOfLengthZeroChangesAByte), 100},
    {NBDSPEC_BUG(AddCutsTheLengthTo32Bits), 100},
    {NBDSPEC_BUG(AddThatWrapsGoesToTheEnd), 100},
    {NBDSPEC_BUG(AddWithoutMemorySucceeds), 5000},
    {NBDSPEC_BUG(AddWithoutMemoryClears), 5000},
    {NBDSPEC_BUG(AddWithoutMemoryAddsTheFirstHalf), 5000},
    {NBDSPEC_BUG(AddFreesTwiceOnError), 100},
    {NBDSPEC_BUG(AddLeaksOnError), 100},
    {NBDSPEC_BUG(AddDuringForeachSucceeds), 100},
    {NBDSPEC_BUG(ForeachLosesErrno), 100},
    {NBDSPEC_BUG(ForeachReturnsWhatTheCallbackDid), 100},
    {NBDSPEC_BUG(ForeachStopsOneLate), 100},
    {NBDSPEC_BUG(ForeachStopsAtNegativeResultsOnly), 100},
    {NBDSPEC_BUG(ForeachUsesTheRangeWithoutItsFlag), 100},
    {NBDSPEC_BUG(ForeachIgnoresUnknownFlags), 200},
    {NBDSPEC_BUG(ForeachOfMinusOneLeavesOutTheLastByte), 600},
    {NBDSPEC_BUG(ForeachOfMinusOneIsALength), 100},
    {NBDSPEC_BUG(ForeachCutsLengthsTo32Bits), 100},
    {NBDSPEC_BUG(ForeachThatFailsLocksTheMap), 100},
    {NBDSPEC_BUG(ErrorsAreToldTwice), 100},
    {NBDSPEC_BUG(ErrorsAreToldWithoutASentence), 100},
    {NBDSPEC_BUG(ErrorCallbackChangesErrno), 100},
    {NBDSPEC_BUG(FailuresOfTheCallbackAreTold), 100},
};

#undef NBDSPEC_BUG

FindBytesDisagreement WithBug(CApiBug bug) {
  return [bug](engine::ByteView input) { return FindCApiDisagreement(input, MakeMutantCApi(bug)); };
}

// The mutants without a bug, and the functions themselves.
TEST(CApiCanary, RightFunctionsAreNotAccused) {
  const CanaryRuns runs = {.runs_max = 5000, .bytes_max = kBytesMax, .start = SeedsOf("c_api")};
  EXPECT_TRUE(HasAccusedNobody(runs, WithBug(CApiBug::kNone)));
  EXPECT_TRUE(HasAccusedNobody(runs, [](engine::ByteView input) { return FindCApiDisagreement(input); }));
}

class CApiCanary : public testing::TestWithParam<PlantedBug> {};

TEST_P(CApiCanary, IsFoundByTheFuzzTarget) {
  const CanaryRuns runs = {.runs_max = GetParam().inputs_max, .bytes_max = kBytesMax, .start = SeedsOf("c_api")};
  const auto found = HasFound(runs, WithBug(GetParam().bug));
  EXPECT_TRUE(found);
  RecordProperty("found", found.message());
}

INSTANTIATE_TEST_SUITE_P(AllBugs, CApiCanary, testing::ValuesIn(kPlantedBugs),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace nbdspec::fuzz
