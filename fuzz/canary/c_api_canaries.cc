// SPDX-License-Identifier: BSD-3-Clause
// The planted bugs of the target c_api: those of MakeMutantCApi.

#include <string>
#include <vector>

#include "engine/base/bytes.h"
#include "fuzz/canary/canary.h"
#include "fuzz/canary/mutant_c_api.h"
#include "fuzz/canary/registry.h"
#include "fuzz/comparisons/c_api_differential.h"
#include "fuzz/comparisons/disagreement.h"

namespace nbdspec::fuzz {
namespace {

constexpr std::size_t kBytesMax = 160;

#define NBDSPEC_BUG(name) CApiBug::k##name, #name

constexpr PlantedBug<CApiBug> kPlantedBugs[] = {
    {NBDSPEC_BUG(NewIsData), Family::kBits, 100},
    {NBDSPEC_BUG(NewOfTypeForgetsTheHoleBit), Family::kBits, 100},
    {NBDSPEC_BUG(NewRefusesTheLargestSize), Family::kError, 100},
    {NBDSPEC_BUG(NewCutsTheSizeTheLargestAllows), Family::kRule, 250},
    {NBDSPEC_BUG(NewWithoutMemorySaysEinval), Family::kMemory, 100},
    {NBDSPEC_BUG(FreeKeepsTheMap), Family::kStale, 100},
    {NBDSPEC_BUG(ClearOfNullSucceeds), Family::kRule, 100},
    {NBDSPEC_BUG(ClearMakesAHole), Family::kBits, 100},
    {NBDSPEC_BUG(ClearNeedsMemory), Family::kMemory, 100},
    {NBDSPEC_BUG(AddLosesErrno), Family::kError, 100},
    {NBDSPEC_BUG(AddSwapsHoleAndZero), Family::kOrder, 100},
    {NBDSPEC_BUG(AddMasksUnknownTypes), Family::kBits, 100},
    {NBDSPEC_BUG(AddCutsTheTypeTo8Bits), Family::kWidth, 100},
    {NBDSPEC_BUG(AddOfLengthZeroChangesAByte), Family::kEdge, 300},
    {NBDSPEC_BUG(AddCutsTheLengthTo32Bits), Family::kWidth, 100},
    {NBDSPEC_BUG(AddThatWrapsGoesToTheEnd), Family::kClip, 100},
    {NBDSPEC_BUG(AddWithoutMemorySucceeds), Family::kMemory, 1500},
    {NBDSPEC_BUG(AddWithoutMemoryClears), Family::kMemory, 1500},
    {NBDSPEC_BUG(AddWithoutMemoryAddsTheFirstHalf), Family::kMemory, 1500},
    {NBDSPEC_BUG(AddFreesTwiceOnError), Family::kMemory, 100},
    {NBDSPEC_BUG(AddLeaksOnError), Family::kMemory, 100},
    {NBDSPEC_BUG(AddDuringForeachSucceeds), Family::kRule, 100},
    {NBDSPEC_BUG(ForeachLosesErrno), Family::kError, 100},
    {NBDSPEC_BUG(ForeachReturnsWhatTheCallbackDid), Family::kRule, 100},
    {NBDSPEC_BUG(ForeachStopsOneLate), Family::kEdge, 100},
    {NBDSPEC_BUG(ForeachStopsAtNegativeResultsOnly), Family::kRule, 100},
    {NBDSPEC_BUG(ForeachUsesTheRangeWithoutItsFlag), Family::kBits, 100},
    {NBDSPEC_BUG(ForeachIgnoresUnknownFlags), Family::kBits, 100},
    {NBDSPEC_BUG(ForeachOfMinusOneLeavesOutTheLastByte), Family::kEdge, 3000},
    {NBDSPEC_BUG(ForeachOfMinusOneIsALength), Family::kEdge, 100},
    {NBDSPEC_BUG(ForeachCutsLengthsTo32Bits), Family::kWidth, 100},
    {NBDSPEC_BUG(ForeachThatFailsLocksTheMap), Family::kStale, 100},
    {NBDSPEC_BUG(ErrorsAreToldTwice), Family::kError, 100},
    {NBDSPEC_BUG(ErrorsAreToldWithoutASentence), Family::kError, 100},
    {NBDSPEC_BUG(ErrorCallbackChangesErrno), Family::kError, 100},
    {NBDSPEC_BUG(FailuresOfTheCallbackAreTold), Family::kError, 100},
};

#undef NBDSPEC_BUG

FindBytesDisagreement WithBug(CApiBug bug) {
  return [bug](engine::ByteView input) { return FindCApiDisagreement(input, MakeMutantCApi(bug)); };
}

}  // namespace

CanaryTarget CApiCanaries() {
  return {
      .name = "c_api",
      .inputs = {.bytes_max = kBytesMax},
      .right = {WithBug(CApiBug::kNone), [](engine::ByteView input) { return FindCApiDisagreement(input); }},
      .canaries = CanariesOf<CApiBug>(kPlantedBugs, WithBug),
  };
}

}  // namespace nbdspec::fuzz
