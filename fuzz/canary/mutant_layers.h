// SPDX-License-Identifier: BSD-3-Clause
// Layers that are wrong in one named way each. What a bug does not concern is the right layer.

#pragma once

#include "fuzz/inputs/layer_spec.h"

namespace nbdspec::fuzz {

enum class LayerBug {
  kNone,
  kDiskForgetsThatTheLastByteIsWritten,
  kConcatGivesTheLastByteToTheNextPart,
  kConcatGoesOnAfterAnError,
  kWindowIsOneByteLonger,
  kWindowSaysTheExtentsOneByteLate,
  kWindowTrimsOneByteEarly,
  kWindowReadsAtItsOwnOffset,
  kTruncateRoundsUpWhatIsRound,
  kTruncateSaysTheTailOneByteLate,
  kTruncateLosesBytesPastTheEnd,
  kTruncateWritesBeforeItRefuses,
  kTruncateTrimsPastTheEnd,
  kCopyOnWriteLosesTheRestOfTheBlock,
  kCopyOnWriteForgetsTheLastByteOfABlock,
  kCopyOnWriteTrimsBelow,
  kCopyOnWriteSaysWhatIsBelow,
  kNoExtentsOffersThem,
  kNoExtentsFlushesNothing,
  kBlockSizeTakesTheFirstExtentOfABlock,
  kBlockSizeMakesUpHoles,
  kBlockSizePassesReqOne,
  kBlockSizeReadsWhatWasAsked,
  kBlockSizeTrimsTheBlockAfter,
  kBlockSizeZeroesCutBlocks,
  kSparseReadTakesHolesForZeroes,
  kSparseReadSkipsTheByteBeforeAZero,
  kSparseReadReadsZeroes,
  kSparseReadHidesErrorsOfExtents,
  kSparseReadTrustsWhatItWasNotAsked,
  kSparseReadAsksWhatOffersNoExtents,
  kSparseReadKeepsExtentsBetweenRequests,
  kSparseReadPassesAUsedMap,
};

MakeLayer MakeMutantLayer(LayerBug bug);

}  // namespace nbdspec::fuzz
