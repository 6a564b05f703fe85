// SPDX-License-Identifier: BSD-3-Clause
// The planted bugs of the target extent_map: those of MutantExtentMap.

#include "engine/base/bytes.h"
#include "engine/extents/extent_map.h"
#include "engine/script/script_bytes.h"
#include "fuzz/canary/canary.h"
#include "fuzz/canary/mutant_extent_map.h"
#include "fuzz/canary/registry.h"
#include "fuzz/comparisons/extent_map_differential.h"
#include "fuzz/properties/extent_map_model.h"

namespace nbdspec::fuzz {
namespace {

#define NBDSPEC_BUG(name) MapBug::k##name, #name

constexpr PlantedBug<MapBug> kPlantedBugs[] = {
    {NBDSPEC_BUG(AddEndsOneByteLate), Family::kEdge, 100},
    {NBDSPEC_BUG(AddEndsOneByteEarly), Family::kEdge, 100},
    {NBDSPEC_BUG(AddBeginsOneByteEarly), Family::kEdge, 100},
    {NBDSPEC_BUG(AddForgetsTheLastByteOfTheExport), Family::kEdge, 100},
    {NBDSPEC_BUG(AddOfLengthZeroChangesAByte), Family::kEdge, 250},
    {NBDSPEC_BUG(AddCutsTheLengthTo32Bits), Family::kWidth, 100},
    {NBDSPEC_BUG(AddCutsTheOffsetTo62Bits), Family::kWidth, 100},
    {NBDSPEC_BUG(AddGivesTheSplitRemainderItsType), Family::kCoalesce, 100},
    {NBDSPEC_BUG(AddKeepsTheOldHoleBit), Family::kBits, 100},
    {NBDSPEC_BUG(AddNeverMakesAHoleOfData), Family::kBits, 100},
    {NBDSPEC_BUG(AddOfUnknownTypeIsMasked), Family::kBits, 100},
    {NBDSPEC_BUG(AddThatWrapsIsClipped), Family::kClip, 100},
    {NBDSPEC_BUG(AddThatIsRefusedClears), Family::kError, 100},
    {NBDSPEC_BUG(AddIsLostAtTenExtents), Family::kShape, 100},
    {NBDSPEC_BUG(NeighboursAreNotCoalesced), Family::kCoalesce, 100},
    {NBDSPEC_BUG(ClearLeavesTheTail), Family::kEdge, 150},
    {NBDSPEC_BUG(ClearMakesAHole), Family::kBits, 100},
    {NBDSPEC_BUG(ForEachDoesNotClipTheBegin), Family::kClip, 100},
    {NBDSPEC_BUG(ForEachDoesNotClipTheEnd), Family::kClip, 100},
    {NBDSPEC_BUG(ForEachVisitsEmptyBounds), Family::kEdge, 250},
    {NBDSPEC_BUG(ForEachIgnoresARefusal), Family::kError, 100},
    {NBDSPEC_BUG(ForEachSkipsTheLastByteOfItsBounds), Family::kEdge, 100},
    {NBDSPEC_BUG(LookupAtABeginFindsTheExtentBefore), Family::kEdge, 300},
    {NBDSPEC_BUG(LookupDoesNotExtendToTheBegin), Family::kEdge, 100},
    {NBDSPEC_BUG(ExtentCountIsOneTooHighAfterClear), Family::kStale, 100},
    {NBDSPEC_BUG(AddIsLostAtFortyExtents), Family::kShape, 350},
    {NBDSPEC_BUG(ForEachLosesABitAtIndex63), Family::kShape, 750},
    {NBDSPEC_BUG(ExtentCountWrapsAt64), Family::kShape, 750},
    {NBDSPEC_BUG(AddAt65ExtentsLosesTheFirst), Family::kShape, 2500},
    {NBDSPEC_BUG(WideAddIsLostAt32Extents), Family::kShape, 700},
    {NBDSPEC_BUG(AddOverTenExtentsLeavesOne), Family::kShape, 2000},
    {NBDSPEC_BUG(AppendIsLostAtSixtyExtents), Family::kShape, 3000},
    {NBDSPEC_BUG(AddIsSaidTwice), Family::kEquivalent, 0},
    {NBDSPEC_BUG(AddIsSaidInTwoHalves), Family::kEquivalent, 0},
    {NBDSPEC_BUG(ClearIsAnAddOfTheWhole), Family::kEquivalent, 0},
};

#undef NBDSPEC_BUG

FindBytesDisagreement WithBug(MapBug bug) {
  return [bug](engine::ByteView input) {
    const engine::Script script = engine::ReadScript(input, kExtentMapLimits);
    return FindExtentMapDisagreement(script, MutantExtentMap(bug, script.size, script.initial));
  };
}

std::optional<Disagreement> FindInRight(engine::ByteView input) {
  const engine::Script script = engine::ReadScript(input, kExtentMapLimits);
  return FindExtentMapDisagreement(script, engine::ExtentMap(script.size, script.initial));
}

}  // namespace

CanaryTarget ExtentMapCanaries() {
  CanaryTarget target = {
      .name = "extent_map",
      .inputs = {.bytes_max = ScriptBytesMax(kExtentMapLimits), .script = kExtentMapLimits},
      .right = {WithBug(MapBug::kNone), FindInRight},
      .counts_states = true,
      .canaries = CanariesOf<MapBug>(kPlantedBugs, WithBug),
  };
  for (std::size_t i = 0; i < target.canaries.size(); ++i) {
    target.canaries[i].property = [bug = kPlantedBugs[i].bug] {
      CheckExtentMapProperty(
          [bug](std::uint64_t size, engine::ExtentType initial) { return MutantExtentMap(bug, size, initial); });
    };
  }
  return target;
}

}  // namespace nbdspec::fuzz
