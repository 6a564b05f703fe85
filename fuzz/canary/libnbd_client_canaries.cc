// SPDX-License-Identifier: BSD-3-Clause
// The planted bugs of the target libnbd_client: those of mutant_libnbd.h.

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/script/script_bytes.h"
#include "fuzz/canary/canary.h"
#include "fuzz/canary/registry.h"
#include "fuzz/libnbd/libnbd_client_differential.h"
#include "fuzz/libnbd/mutant_libnbd.h"

namespace nbdspec::fuzz {
namespace {

#define NBDSPEC_BUG(name) LibnbdBug::k##name, #name

constexpr PlantedBug<LibnbdBug> kPlantedBugs[] = {
    {NBDSPEC_BUG(DataHasAWrongByte), Family::kRule, 100},
    {NBDSPEC_BUG(HoleIsTakenForData), Family::kBits, 150},
    {NBDSPEC_BUG(HoleIsShort), Family::kBits, 150},
    {NBDSPEC_BUG(EntryIsOneTooLong), Family::kEdge, 150},
    {NBDSPEC_BUG(EntryFlagsAreSwapped), Family::kOrder, 150},
    {NBDSPEC_BUG(LastEntryIsLost), Family::kLost, 300},
    {NBDSPEC_BUG(ContextsAreSwapped), Family::kOrder, 150},
    {NBDSPEC_BUG(ErrorIsAnotherOne), Family::kError, 100},
    {NBDSPEC_BUG(ErrorIsNotSeen), Family::kError, 100},
    {NBDSPEC_BUG(ErrorOffsetIsOneTooHigh), Family::kEdge, 550},
    {NBDSPEC_BUG(ReplyIsNeverSeen), Family::kLost, 100},
    {NBDSPEC_BUG(RepliesAreSwapped), Family::kOrder, 100},
    {NBDSPEC_BUG(SizeIsCutTo32Bits), Family::kWidth, 100},
    {NBDSPEC_BUG(DfIsNotSeen), Family::kLost, 100},
    {NBDSPEC_BUG(OffsetIsCutTo32Bits), Family::kWidth, 100},
    {NBDSPEC_BUG(FuaIsNotSent), Family::kLost, 100},
    {NBDSPEC_BUG(WriteHasAWrongLastByte), Family::kEdge, 100},
    {NBDSPEC_BUG(CallbacksAreInReverse), Family::kOrder, 150},
    {NBDSPEC_BUG(EntriesAreSwapped), Family::kOrder, 550},
    {NBDSPEC_BUG(EntriesAreOfTheWrongOffset), Family::kRule, 150},
    {NBDSPEC_BUG(ChunkIsElsewhere), Family::kRule, 200},
    {NBDSPEC_BUG(CompletesTwice), Family::kRule, 100},
    {NBDSPEC_BUG(FirstErrorIsForgotten), Family::kError, 550},
    {NBDSPEC_BUG(CallbackIsToldNoError), Family::kError, 100},
    {NBDSPEC_BUG(DataIsStale), Family::kStale, 100},
};

#undef NBDSPEC_BUG

FindBytesDisagreement WithBug(LibnbdBug bug) {
  return [bug](engine::ByteView input) {
    return FindLibnbdClientDisagreement(engine::ReadScript(input, kLibnbdLimits), SpoilersFor(bug));
  };
}

}  // namespace

CanaryTarget LibnbdClientCanaries() {
  return {
      .name = "libnbd_client",
      .inputs = {.bytes_max = ScriptBytesMax(kLibnbdLimits), .script = kLibnbdLimits},
      .right = {WithBug(LibnbdBug::kNone)},
      .right_runs = 3000,
      .canaries = CanariesOf<LibnbdBug>(kPlantedBugs, WithBug),
  };
}

}  // namespace nbdspec::fuzz
