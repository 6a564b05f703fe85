// SPDX-License-Identifier: BSD-3-Clause
// Every way to be wrong of MutantExchange is found by the comparison of the fuzz target block_status_exchange, in time.

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/script/script_bytes.h"
#include "fuzz/canary/canary.h"
#include "fuzz/exchange/block_status_exchange.h"
#include "fuzz/exchange/mutant_exchange.h"

namespace nbdspec::fuzz {
namespace {

constexpr std::size_t kBytesMax = 969;  // The head, and 48 steps of a script.

struct PlantedBug {
  ExchangeBug bug;
  const char* name;
  std::uint64_t inputs_max;
};

void PrintTo(const PlantedBug& planted, std::ostream* out) { *out << planted.name; }

#define NBDSPEC_BUG(name) ExchangeBug::k##name, #name

constexpr PlantedBug kPlantedBugs[] = {
    {NBDSPEC_BUG(ReqOneIsTooLong), 100},
    {NBDSPEC_BUG(ReqOneHasTwoDescriptors), 100},
    {NBDSPEC_BUG(DescriptorsAreSwapped), 100},
    {NBDSPEC_BUG(LastDescriptorIsLost), 100},
    {NBDSPEC_BUG(MiddleDescriptorIsLost), 100},
    {NBDSPEC_BUG(FlagsAreSwapped), 150},
    {NBDSPEC_BUG(HoleIsClaimedOfZeroes), 150},
    {NBDSPEC_BUG(ZeroIsClaimedOfHoles), 300},
    {NBDSPEC_BUG(LengthIsCutTo31Bits), 100},
    {NBDSPEC_BUG(OffsetIsCutTo32Bits), 200},
    {NBDSPEC_BUG(ContextIdIsWrong), 100},
    {NBDSPEC_BUG(ContextsAreSwapped), 100},
    {NBDSPEC_BUG(SecondContextIsMissing), 100},
    {NBDSPEC_BUG(UnalignedBeginIsRoundedDown), 100},
    {NBDSPEC_BUG(UnalignedTailIsRoundedDown), 200},
    {NBDSPEC_BUG(UnalignedTailIsRoundedUp), 100},
    {NBDSPEC_BUG(LastDescriptorIsEmpty), 100},
    {NBDSPEC_BUG(EveryFifthDescriptorIsMerged), 350},
    {NBDSPEC_BUG(StatusIsStaleAfterTrim), 1800},
    {NBDSPEC_BUG(StatusIsStaleAfterWrite), 100},
    {NBDSPEC_BUG(StatusOfTheTailIsOfTheBlockBefore), 200},
    {NBDSPEC_BUG(OutOfBoundsIsAnswered), 250},
    {NBDSPEC_BUG(ContextsSurviveAFailedSet), 200},
    {NBDSPEC_BUG(WriteIsAppliedLate), 100},
    {NBDSPEC_BUG(WriteLosesItsLastByte), 100},
    {NBDSPEC_BUG(TrimEndsOneByteLate), 100},
    {NBDSPEC_BUG(TrimIsForgotten), 100},
    {NBDSPEC_BUG(TrimKeepsTheFirstByte), 100},
    {NBDSPEC_BUG(NoHoleIsForgotten), 150},
    {NBDSPEC_BUG(ZeroIsCutTo16Bits), 2400},
    {NBDSPEC_BUG(FuaWriteIsForgotten), 150},
    {NBDSPEC_BUG(CookiesAreSwapped), 100},
    {NBDSPEC_BUG(ReadHasAWrongLastByte), 200},
    {NBDSPEC_BUG(ReadIsOfBeforeTheLastWrite), 850},
    {NBDSPEC_BUG(ReadCallsDataAHole), 300},
    {NBDSPEC_BUG(ReadLeavesOutTheHoles), 100},
    {NBDSPEC_BUG(DoneIsOnTheFirstChunk), 100},
    {NBDSPEC_BUG(ReplyComesTwice), 100},
    {NBDSPEC_BUG(EighthReplyIsMissing), 100},
};

#undef NBDSPEC_BUG

// The seeds as bytes, for a mutation of text is mostly no script.
std::vector<engine::Bytes> Seeds() {
  std::vector<engine::Bytes> seeds = SeedsOf("block_status_exchange");
  for (engine::Bytes& seed : seeds) {
    seed = engine::EncodeScript(engine::ReadScript(seed, engine::kNoScriptLimits));
  }
  return seeds;
}

FindBytesDisagreement WithBug(ExchangeBug bug) {
  return [bug](engine::ByteView input) {
    return FindBlockStatusExchangeDisagreement(
        engine::ReadScript(input, kExchangeLimits),
        [bug](engine::Export& served, std::uint8_t) { return std::make_unique<MutantExchange>(bug, served); });
  };
}

class BlockStatusExchangeCanary : public testing::TestWithParam<PlantedBug> {};

TEST_P(BlockStatusExchangeCanary, IsFoundByTheFuzzTarget) {
  const auto found =
      HasFound({.runs_max = GetParam().inputs_max, .bytes_max = kBytesMax, .start = Seeds()}, WithBug(GetParam().bug));
  EXPECT_TRUE(found);
  RecordProperty("found", found.message());
}

INSTANTIATE_TEST_SUITE_P(AllBugs, BlockStatusExchangeCanary, testing::ValuesIn(kPlantedBugs),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(BlockStatusExchangeCanary, TheRightServerIsNotAccused) {
  EXPECT_TRUE(
      HasAccusedNobody({.runs_max = 5000, .bytes_max = kBytesMax, .start = Seeds()}, WithBug(ExchangeBug::kNone)));
}

}  // namespace
}  // namespace nbdspec::fuzz
