// SPDX-License-Identifier: BSD-3-Clause
// Ways for libnbd to seem wrong: what passes between it and the Recorder is changed, or what it reports.

#pragma once

#include <memory>

#include "fuzz/libnbd/libnbd_client_differential.h"

namespace nbdspec::fuzz {

enum class LibnbdBug {
  kNone,
  // It takes for said what was not.
  kDataHasAWrongByte,
  kHoleIsTakenForData,
  kHoleIsShort,
  kEntryIsOneTooLong,
  kEntryFlagsAreSwapped,
  kLastEntryIsLost,
  kContextsAreSwapped,
  kErrorIsAnotherOne,
  kErrorIsNotSeen,
  kErrorOffsetIsOneTooHigh,
  kReplyIsNeverSeen,
  kRepliesAreSwapped,
  kSizeIsCutTo32Bits,
  kDfIsNotSeen,
  // It does not ask what it was asked to ask.
  kOffsetIsCutTo32Bits,
  kFuaIsNotSent,
  kWriteHasAWrongLastByte,
  // It reports something else.
  kCallbacksAreInReverse,
  kEntriesAreSwapped,
  kEntriesAreOfTheWrongOffset,
  kChunkIsElsewhere,
  kCompletesTwice,
  kFirstErrorIsForgotten,
  kCallbackIsToldNoError,
  kDataIsStale,
};

LibnbdSpoilers SpoilersFor(LibnbdBug bug);

}  // namespace nbdspec::fuzz
