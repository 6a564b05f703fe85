// SPDX-License-Identifier: BSD-3-Clause
// The planted bugs of the target server_session: those of MutantSession.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/canary/canary.h"
#include "fuzz/canary/mutant_session.h"
#include "fuzz/canary/registry.h"
#include "fuzz/comparisons/server_session_differential.h"
#include "fuzz/inputs/fresh_inputs.h"

namespace nbdspec::fuzz {
namespace {

#define NBDSPEC_BUG(name) SessionBug::k##name, #name

constexpr PlantedBug<SessionBug> kPlantedBugs[] = {
    {NBDSPEC_BUG(ListHasNoFinalAck), Family::kLost, 2000},
    {NBDSPEC_BUG(ListNamesAnExportTwice), Family::kRule, 2000},
    {NBDSPEC_BUG(OptionReplyNamesAnotherOption), Family::kRule, 1000},
    {NBDSPEC_BUG(UnknownExportIsCalledInvalid), Family::kError, 3500},
    {NBDSPEC_BUG(DfIsOfferedWithoutStructuredReplies), Family::kLost, 150},
    {NBDSPEC_BUG(BlockSizeIsWithheld), Family::kLost, 100},
    {NBDSPEC_BUG(ListedContextsHaveIds), Family::kRule, 4000},
    {NBDSPEC_BUG(SelectedContextsShareAnId), Family::kRule, 100},
    {NBDSPEC_BUG(ContextsSurviveALaterSet), Family::kStale, 950},
    {NBDSPEC_BUG(PadIsSentDespiteNoZeroes), Family::kBits, 100},
    {NBDSPEC_BUG(AbortIsNotAcknowledged), Family::kLost, 2000},
    {NBDSPEC_BUG(CookieIsCutTo32Bits), Family::kWidth, 100},
    {NBDSPEC_BUG(FlushIsAnsweredTwice), Family::kRule, 100},
    {NBDSPEC_BUG(EmptyWriteIsNotAnswered), Family::kLost, 350},
    {NBDSPEC_BUG(ReadHasASimpleReplyInStructuredMode), Family::kRule, 100},
    {NBDSPEC_BUG(WriteHasAChunkInSimpleMode), Family::kRule, 150},
    {NBDSPEC_BUG(LastByteOfUnalignedWriteIsLost), Family::kEdge, 2000},
    {NBDSPEC_BUG(TrimIsForgotten), Family::kLost, 650},
    {NBDSPEC_BUG(NoHoleIsForgotten), Family::kBits, 9000},
    {NBDSPEC_BUG(ReadOfOneByteIsWrong), Family::kEdge, 2000},
    {NBDSPEC_BUG(ReadLeavesOutAChunk), Family::kLost, 550},
    {NBDSPEC_BUG(DfReadComesInTwoChunks), Family::kRule, 1500},
    {NBDSPEC_BUG(DoneIsOnTheFirstChunk), Family::kOrder, 250},
    {NBDSPEC_BUG(ZeroIsClaimedOverData), Family::kBits, 3500},
    {NBDSPEC_BUG(ReqOneHasTwoDescriptors), Family::kReqOne, 1500},
    {NBDSPEC_BUG(LastDescriptorIsEmpty), Family::kRule, 400},
    {NBDSPEC_BUG(BlockIndexStaysZero), Family::kBits, 1500},
    {NBDSPEC_BUG(ErrorIs999), Family::kError, 100},
    {NBDSPEC_BUG(WritePastTheEndIsEinval), Family::kClip, 100},
    {NBDSPEC_BUG(ReadOnlyIsEinval), Family::kError, 400},
    {NBDSPEC_BUG(UnknownFlagsAreIgnored), Family::kBits, 150},
    {NBDSPEC_BUG(DataFollowsDisc), Family::kRule, 150},
    {NBDSPEC_BUG(DiscLeavesTheConnectionOpen), Family::kRule, 150},
    {NBDSPEC_BUG(EverySecondSessionIsSilentToList), Family::kStale, 2000},
};

#undef NBDSPEC_BUG

FindBytesDisagreement WithBug(SessionBug bug) {
  return [bug](engine::ByteView input) {
    std::uint64_t number = 0;
    return FindServerSessionDisagreement(input, [&] { return std::make_unique<MutantSession>(bug, number++); });
  };
}

}  // namespace

CanaryTarget ServerSessionCanaries() {
  return {
      .name = "server_session",
      .inputs = {.bytes_max = 512, .fresh = FreshSessionInput},
      .right = {WithBug(SessionBug::kNone)},
      .right_runs = 3000,
      .canaries = CanariesOf<SessionBug>(kPlantedBugs, WithBug),
  };
}

}  // namespace nbdspec::fuzz
