// SPDX-License-Identifier: BSD-3-Clause
// The C functions of the extents map, wrong in one named way each. What a bug does not concern is the right function.

#pragma once

#include "fuzz/comparisons/c_api_differential.h"

namespace nbdspec::fuzz {

enum class CApiBug {
  kNone,
  // Making and clearing.
  kNewIsData,
  kNewOfTypeForgetsTheHoleBit,
  kNewRefusesTheLargestSize,
  kNewCutsTheSizeTheLargestAllows,
  kNewWithoutMemorySaysEinval,
  kFreeKeepsTheMap,
  kClearOfNullSucceeds,
  kClearMakesAHole,
  kClearNeedsMemory,
  // Adding.
  kAddLosesErrno,
  kAddSwapsHoleAndZero,
  kAddMasksUnknownTypes,
  kAddCutsTheTypeTo8Bits,
  kAddOfLengthZeroChangesAByte,
  kAddCutsTheLengthTo32Bits,
  kAddThatWrapsGoesToTheEnd,
  kAddWithoutMemorySucceeds,
  kAddWithoutMemoryClears,
  kAddWithoutMemoryAddsTheFirstHalf,
  kAddFreesTwiceOnError,
  kAddLeaksOnError,
  kAddDuringForeachSucceeds,
  // Walking.
  kForeachLosesErrno,
  kForeachReturnsWhatTheCallbackDid,
  kForeachStopsOneLate,
  kForeachStopsAtNegativeResultsOnly,
  kForeachUsesTheRangeWithoutItsFlag,
  kForeachIgnoresUnknownFlags,
  kForeachOfMinusOneLeavesOutTheLastByte,
  kForeachOfMinusOneIsALength,
  kForeachCutsLengthsTo32Bits,
  kForeachThatFailsLocksTheMap,
  // Telling.
  kErrorsAreToldTwice,
  kErrorsAreToldWithoutASentence,
  kErrorCallbackChangesErrno,
  kFailuresOfTheCallbackAreTold,
};

// One bug at a time: the functions have no state that could hold it.
CApi MakeMutantCApi(CApiBug bug);

}  // namespace nbdspec::fuzz
