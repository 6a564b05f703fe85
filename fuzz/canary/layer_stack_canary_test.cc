// SPDX-License-Identifier: BSD-3-Clause
// Every planted bug of the mutant layers is found by the fuzz target's comparison, in time.

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <ostream>
#include <string>
#include <vector>

#include "engine/base/bytes.h"
#include "fuzz/canary/canary.h"
#include "fuzz/canary/mutant_layers.h"
#include "fuzz/harness/disagreement.h"
#include "fuzz/harness/layer_stack_differential.h"

namespace nbdspec::fuzz {
namespace {

constexpr std::size_t kBytesMax = 128;

struct PlantedBug {
  LayerBug bug;
  const char* name;
  std::uint64_t inputs_max;  // Random inputs within which the fuzz target finds it.
};

void PrintTo(const PlantedBug& planted, std::ostream* out) { *out << planted.name; }

#define NBDSPEC_BUG(name) LayerBug::k##name, #name

constexpr PlantedBug kPlantedBugs[] = {
    {NBDSPEC_BUG(DiskForgetsThatTheLastByteIsWritten), 100},
    {NBDSPEC_BUG(ConcatGivesTheLastByteToTheNextPart), 400},
    {NBDSPEC_BUG(ConcatGoesOnAfterAnError), 1150},
    {NBDSPEC_BUG(WindowIsOneByteLonger), 450},
    {NBDSPEC_BUG(WindowSaysTheExtentsOneByteLate), 100},
    {NBDSPEC_BUG(WindowTrimsOneByteEarly), 150},
    {NBDSPEC_BUG(WindowReadsAtItsOwnOffset), 100},
    {NBDSPEC_BUG(TruncateRoundsUpWhatIsRound), 250},
    {NBDSPEC_BUG(TruncateSaysTheTailOneByteLate), 100},
    {NBDSPEC_BUG(TruncateLosesBytesPastTheEnd), 1000},
    {NBDSPEC_BUG(TruncateWritesBeforeItRefuses), 2900},
    {NBDSPEC_BUG(TruncateTrimsPastTheEnd), 850},
    {NBDSPEC_BUG(CopyOnWriteLosesTheRestOfTheBlock), 300},
    {NBDSPEC_BUG(CopyOnWriteForgetsTheLastByteOfABlock), 150},
    {NBDSPEC_BUG(CopyOnWriteTrimsBelow), 650},
    {NBDSPEC_BUG(CopyOnWriteSaysWhatIsBelow), 100},
    {NBDSPEC_BUG(NoExtentsOffersThem), 100},
    {NBDSPEC_BUG(NoExtentsFlushesNothing), 150},
    {NBDSPEC_BUG(BlockSizeTakesTheFirstExtentOfABlock), 100},
    {NBDSPEC_BUG(BlockSizeMakesUpHoles), 100},
    {NBDSPEC_BUG(BlockSizePassesReqOne), 700},
    {NBDSPEC_BUG(BlockSizeReadsWhatWasAsked), 100},
    {NBDSPEC_BUG(BlockSizeTrimsTheBlockAfter), 250},
    {NBDSPEC_BUG(BlockSizeZeroesCutBlocks), 100},
    {NBDSPEC_BUG(SparseReadTakesHolesForZeroes), 100},
    {NBDSPEC_BUG(SparseReadSkipsTheByteBeforeAZero), 100},
    {NBDSPEC_BUG(SparseReadReadsZeroes), 100},
    {NBDSPEC_BUG(SparseReadHidesErrorsOfExtents), 1050},
    {NBDSPEC_BUG(SparseReadTrustsWhatItWasNotAsked), 100},
    {NBDSPEC_BUG(SparseReadAsksWhatOffersNoExtents), 450},
    {NBDSPEC_BUG(SparseReadKeepsExtentsBetweenRequests), 100},
    {NBDSPEC_BUG(SparseReadPassesAUsedMap), 100},
};

#undef NBDSPEC_BUG

FindBytesDisagreement WithBug(LayerBug bug) {
  return [bug](engine::ByteView input) { return FindLayerStackDisagreement(input, MakeMutantLayer(bug)); };
}

// The mutants without a bug, and the layers themselves.
TEST(LayerStackCanary, RightLayersAreNotAccused) {
  const CanaryRuns runs = {.runs_max = 5000, .bytes_max = kBytesMax, .start = SeedsOf("layer_stack")};
  EXPECT_TRUE(HasAccusedNobody(runs, WithBug(LayerBug::kNone)));
  EXPECT_TRUE(HasAccusedNobody(runs, [](engine::ByteView input) { return FindLayerStackDisagreement(input); }));
}

class LayerStackCanary : public testing::TestWithParam<PlantedBug> {};

TEST_P(LayerStackCanary, IsFoundByTheFuzzTarget) {
  const CanaryRuns runs = {.runs_max = GetParam().inputs_max, .bytes_max = kBytesMax, .start = SeedsOf("layer_stack")};
  const auto found = HasFound(runs, WithBug(GetParam().bug));
  EXPECT_TRUE(found);
  RecordProperty("found", found.message());
}

INSTANTIATE_TEST_SUITE_P(AllBugs, LayerStackCanary, testing::ValuesIn(kPlantedBugs),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace nbdspec::fuzz
