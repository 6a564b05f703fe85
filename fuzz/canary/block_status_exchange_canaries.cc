// SPDX-License-Identifier: BSD-3-Clause
// The planted bugs of the target block_status_exchange: those of MutantExchange.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/script/script_bytes.h"
#include "fuzz/canary/canary.h"
#include "fuzz/canary/registry.h"
#include "fuzz/exchange/block_status_exchange.h"
#include "fuzz/exchange/mutant_exchange.h"

namespace nbdspec::fuzz {
namespace {

#define NBDSPEC_BUG(name) ExchangeBug::k##name, #name

constexpr PlantedBug<ExchangeBug> kPlantedBugs[] = {
    {NBDSPEC_BUG(ReqOneIsTooLong), Family::kReqOne, 250},
    {NBDSPEC_BUG(ReqOneHasTwoDescriptors), Family::kReqOne, 150},
    {NBDSPEC_BUG(DescriptorsAreSwapped), Family::kOrder, 1500},
    {NBDSPEC_BUG(LastDescriptorIsLost), Family::kLost, 900},
    {NBDSPEC_BUG(MiddleDescriptorIsLost), Family::kLost, 7000},
    {NBDSPEC_BUG(FlagsAreSwapped), Family::kOrder, 300},
    {NBDSPEC_BUG(HoleIsClaimedOfZeroes), Family::kBits, 300},
    {NBDSPEC_BUG(ZeroIsClaimedOfHoles), Family::kBits, 1500},
    {NBDSPEC_BUG(LengthIsCutTo31Bits), Family::kWidth, 150},
    {NBDSPEC_BUG(OffsetIsCutTo32Bits), Family::kWidth, 150},
    {NBDSPEC_BUG(ContextIdIsWrong), Family::kRule, 150},
    {NBDSPEC_BUG(ContextsAreSwapped), Family::kOrder, 150},
    {NBDSPEC_BUG(SecondContextIsMissing), Family::kLost, 150},
    {NBDSPEC_BUG(UnalignedBeginIsRoundedDown), Family::kEdge, 150},
    {NBDSPEC_BUG(UnalignedTailIsRoundedDown), Family::kEdge, 25'000},
    {NBDSPEC_BUG(UnalignedTailIsRoundedUp), Family::kEdge, 300},
    {NBDSPEC_BUG(LastDescriptorIsEmpty), Family::kRule, 450},
    {NBDSPEC_BUG(EveryFifthDescriptorIsMerged), Family::kShape, 45'000},
    {NBDSPEC_BUG(StatusIsStaleAfterTrim), Family::kStale, 5000},
    {NBDSPEC_BUG(StatusIsStaleAfterWrite), Family::kStale, 1500},
    {NBDSPEC_BUG(StatusOfTheTailIsOfTheBlockBefore), Family::kEdge, 25'000},
    {NBDSPEC_BUG(OutOfBoundsIsAnswered), Family::kClip, 400},
    {NBDSPEC_BUG(ContextsSurviveAFailedSet), Family::kStale, 5500},
    {NBDSPEC_BUG(WriteIsAppliedLate), Family::kOrder, 350},
    {NBDSPEC_BUG(WriteLosesItsLastByte), Family::kEdge, 400},
    {NBDSPEC_BUG(TrimEndsOneByteLate), Family::kEdge, 600},
    {NBDSPEC_BUG(TrimIsForgotten), Family::kLost, 300},
    {NBDSPEC_BUG(TrimKeepsTheFirstByte), Family::kEdge, 300},
    {NBDSPEC_BUG(NoHoleIsForgotten), Family::kBits, 700},
    {NBDSPEC_BUG(ZeroIsCutTo16Bits), Family::kWidth, 2000},
    {NBDSPEC_BUG(FuaWriteIsForgotten), Family::kLost, 100},
    {NBDSPEC_BUG(CookiesAreSwapped), Family::kOrder, 100},
    {NBDSPEC_BUG(ReadHasAWrongLastByte), Family::kEdge, 150},
    {NBDSPEC_BUG(ReadIsOfBeforeTheLastWrite), Family::kStale, 2500},
    {NBDSPEC_BUG(ReadCallsDataAHole), Family::kBits, 15'000},
    {NBDSPEC_BUG(ReadLeavesOutTheHoles), Family::kBits, 350},
    {NBDSPEC_BUG(DoneIsOnTheFirstChunk), Family::kOrder, 1500},
    {NBDSPEC_BUG(ReplyComesTwice), Family::kRule, 100},
    {NBDSPEC_BUG(EighthReplyIsMissing), Family::kShape, 100},
};

#undef NBDSPEC_BUG

FindBytesDisagreement WithBug(ExchangeBug bug) {
  return [bug](engine::ByteView input) {
    return FindBlockStatusExchangeDisagreement(
        engine::ReadScript(input, kExchangeLimits),
        [bug](engine::Export& served, std::uint8_t) { return std::make_unique<MutantExchange>(bug, served); });
  };
}

}  // namespace

CanaryTarget BlockStatusExchangeCanaries() {
  return {
      .name = "block_status_exchange",
      .inputs = {.bytes_max = ScriptBytesMax(kExchangeLimits), .script = kExchangeLimits},
      .right = {WithBug(ExchangeBug::kNone)},
      .canaries = CanariesOf<ExchangeBug>(kPlantedBugs, WithBug),
  };
}

}  // namespace nbdspec::fuzz
