// SPDX-License-Identifier: BSD-3-Clause
// The planted bugs of the target boundary_tree: those of MutantTree.

#include "engine/base/bytes.h"
#include "engine/extents/small_shape.h"
#include "engine/script/script_bytes.h"
#include "fuzz/canary/canary.h"
#include "fuzz/canary/mutant_tree.h"
#include "fuzz/canary/registry.h"
#include "fuzz/comparisons/extent_map_differential.h"
#include "fuzz/properties/extent_map_model.h"

namespace nbdspec::fuzz {
namespace {

constexpr engine::ScriptLimits kLimits = {.steps_max = 64};

#define NBDSPEC_BUG(name) TreeBug::k##name, #name

constexpr PlantedBug<TreeBug> kPlantedBugs[] = {
    {NBDSPEC_BUG(LeafSplitLosesTheExtentAfter), Family::kShape, 100},
    {NBDSPEC_BUG(LeafSplitLosesTheExtentBefore), Family::kShape, 100},
    {NBDSPEC_BUG(LeafSplitInMoreLosesTheMiddle), Family::kShape, 7500},
    {NBDSPEC_BUG(AppendedLeafLosesItsFirst), Family::kShape, 250},
    {NBDSPEC_BUG(WideLeafCutsKeysTo32Bits), Family::kShape, 100},
    {NBDSPEC_BUG(NarrowLeafMovesAKey), Family::kShape, 100},
    {NBDSPEC_BUG(ShiftChangeMovesAKey), Family::kShape, 100},
    {NBDSPEC_BUG(TrimmedLeafKeepsItsSeparator), Family::kShape, 40'000},
    {NBDSPEC_BUG(TrimmedLeafLosesItsFirst), Family::kShape, 100},
    {NBDSPEC_BUG(ErasedLeafLeavesItsLast), Family::kShape, 100},
    {NBDSPEC_BUG(JoinedLeavesLoseTheFirstOfTheRight), Family::kShape, 350},
    {NBDSPEC_BUG(JoinedLeavesAreCountedTwice), Family::kShape, 250},
    {NBDSPEC_BUG(InnerSplitLosesTheLast), Family::kShape, 100},
    {NBDSPEC_BUG(AppendedInnerLosesTheLast), Family::kShape, 100},
    {NBDSPEC_BUG(ErasedInnerIsStillCounted), Family::kShape, 150},
    {NBDSPEC_BUG(ErasedSubtreeLeavesARun), Family::kShape, 2000},
    {NBDSPEC_BUG(JoinedInnersLoseTheFirst), Family::kShape, 650},
    {NBDSPEC_BUG(GrownRootForgetsTheTail), Family::kShape, 100},
    {NBDSPEC_BUG(ShrunkRootLosesTheFirst), Family::kShape, 100},
    {NBDSPEC_BUG(BackInTheMapIsCountedTwice), Family::kShape, 100},
    {NBDSPEC_BUG(AppendPlaceSurvivesClear), Family::kShape, 15'000},
    {NBDSPEC_BUG(ClearLeavesTheTailOfHighTrees), Family::kShape, 1500},
    {NBDSPEC_BUG(ScanThatCrossesALeafLosesTheLast), Family::kShape, 150},
    {NBDSPEC_BUG(ScanThatCrossesAnInnerLosesTheLast), Family::kShape, 150},
    {NBDSPEC_BUG(PrefetchAcrossInnersEndsTheScan), Family::kShape, 100},
    {NBDSPEC_BUG(PrefetchPastTheEndLosesTheLast), Family::kShape, 100},
    {NBDSPEC_BUG(LookupInHighTreesFindsTheExtentBefore), Family::kShape, 900},
    {NBDSPEC_BUG(LookupInHigherTreesIsShort), Family::kShape, 250},
    {NBDSPEC_BUG(TreeIsBuiltAnewAfterAJoin), Family::kEquivalent, 0},
};

#undef NBDSPEC_BUG

FindBytesDisagreement WithBug(TreeBug bug) {
  return [bug](engine::ByteView input) {
    const engine::Script script = engine::ReadScript(input, kLimits);
    return FindExtentMapDisagreement(script, MutantTree(bug, script.size, script.initial));
  };
}

std::optional<Disagreement> FindInRight(engine::ByteView input) {
  const engine::Script script = engine::ReadScript(input, kLimits);
  return FindExtentMapDisagreement(script, engine::ShapedExtentMap<engine::SmallShape>(script.size, script.initial));
}

}  // namespace

CanaryTarget BoundaryTreeCanaries() {
  CanaryTarget target = {
      .name = "boundary_tree",
      .inputs = {.bytes_max = ScriptBytesMax(kLimits), .script = kLimits},
      .right = {WithBug(TreeBug::kNone), FindInRight},
      .counts_states = true,
      .canaries = CanariesOf<TreeBug>(kPlantedBugs, WithBug),
  };
  for (std::size_t i = 0; i < target.canaries.size(); ++i) {
    target.canaries[i].has_notes = true;
    target.canaries[i].property = [bug = kPlantedBugs[i].bug] {
      CheckExtentMapProperty(
          [bug](std::uint64_t size, engine::ExtentType initial) { return MutantTree(bug, size, initial); });
    };
  }
  return target;
}

}  // namespace nbdspec::fuzz
