// SPDX-License-Identifier: BSD-3-Clause
// The planted bugs of the target layer_stack: those of the mutant layers.

#include <string>
#include <vector>

#include "engine/base/bytes.h"
#include "fuzz/canary/canary.h"
#include "fuzz/canary/mutant_layers.h"
#include "fuzz/canary/registry.h"
#include "fuzz/comparisons/disagreement.h"
#include "fuzz/comparisons/layer_stack_differential.h"

namespace nbdspec::fuzz {
namespace {

constexpr std::size_t kBytesMax = 128;

#define NBDSPEC_BUG(name) LayerBug::k##name, #name

constexpr PlantedBug<LayerBug> kPlantedBugs[] = {
    {NBDSPEC_BUG(DiskForgetsThatTheLastByteIsWritten), Family::kEdge, 100},
    {NBDSPEC_BUG(ConcatGivesTheLastByteToTheNextPart), Family::kEdge, 700},
    {NBDSPEC_BUG(ConcatGoesOnAfterAnError), Family::kError, 2500},
    {NBDSPEC_BUG(WindowIsOneByteLonger), Family::kEdge, 550},
    {NBDSPEC_BUG(WindowSaysTheExtentsOneByteLate), Family::kEdge, 100},
    {NBDSPEC_BUG(WindowTrimsOneByteEarly), Family::kEdge, 1500},
    {NBDSPEC_BUG(WindowReadsAtItsOwnOffset), Family::kRule, 100},
    {NBDSPEC_BUG(TruncateRoundsUpWhatIsRound), Family::kEdge, 300},
    {NBDSPEC_BUG(TruncateSaysTheTailOneByteLate), Family::kEdge, 100},
    {NBDSPEC_BUG(TruncateLosesBytesPastTheEnd), Family::kClip, 400},
    {NBDSPEC_BUG(TruncateWritesBeforeItRefuses), Family::kOrder, 400},
    {NBDSPEC_BUG(TruncateTrimsPastTheEnd), Family::kClip, 400},
    {NBDSPEC_BUG(CopyOnWriteLosesTheRestOfTheBlock), Family::kLost, 100},
    {NBDSPEC_BUG(CopyOnWriteForgetsTheLastByteOfABlock), Family::kEdge, 150},
    {NBDSPEC_BUG(CopyOnWriteTrimsBelow), Family::kRule, 150},
    {NBDSPEC_BUG(CopyOnWriteSaysWhatIsBelow), Family::kRule, 100},
    {NBDSPEC_BUG(NoExtentsOffersThem), Family::kRule, 200},
    {NBDSPEC_BUG(NoExtentsFlushesNothing), Family::kLost, 250},
    {NBDSPEC_BUG(BlockSizeTakesTheFirstExtentOfABlock), Family::kRule, 100},
    {NBDSPEC_BUG(BlockSizeMakesUpHoles), Family::kBits, 100},
    {NBDSPEC_BUG(BlockSizePassesReqOne), Family::kReqOne, 850},
    {NBDSPEC_BUG(BlockSizeReadsWhatWasAsked), Family::kRule, 100},
    {NBDSPEC_BUG(BlockSizeTrimsTheBlockAfter), Family::kEdge, 200},
    {NBDSPEC_BUG(BlockSizeZeroesCutBlocks), Family::kBits, 100},
    {NBDSPEC_BUG(SparseReadTakesHolesForZeroes), Family::kBits, 150},
    {NBDSPEC_BUG(SparseReadSkipsTheByteBeforeAZero), Family::kEdge, 150},
    {NBDSPEC_BUG(SparseReadReadsZeroes), Family::kBits, 100},
    {NBDSPEC_BUG(SparseReadHidesErrorsOfExtents), Family::kError, 950},
    {NBDSPEC_BUG(SparseReadTrustsWhatItWasNotAsked), Family::kRule, 150},
    {NBDSPEC_BUG(SparseReadAsksWhatOffersNoExtents), Family::kRule, 2500},
    {NBDSPEC_BUG(SparseReadKeepsExtentsBetweenRequests), Family::kStale, 150},
    {NBDSPEC_BUG(SparseReadPassesAUsedMap), Family::kStale, 100},
};

#undef NBDSPEC_BUG

FindBytesDisagreement WithBug(LayerBug bug) {
  return [bug](engine::ByteView input) { return FindLayerStackDisagreement(input, MakeMutantLayer(bug)); };
}

}  // namespace

CanaryTarget LayerStackCanaries() {
  return {
      .name = "layer_stack",
      .inputs = {.bytes_max = kBytesMax},
      .right = {WithBug(LayerBug::kNone), [](engine::ByteView input) { return FindLayerStackDisagreement(input); }},
      .canaries = CanariesOf<LayerBug>(kPlantedBugs, WithBug),
  };
}

}  // namespace nbdspec::fuzz
