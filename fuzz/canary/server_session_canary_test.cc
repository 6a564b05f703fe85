// SPDX-License-Identifier: BSD-3-Clause
// Every way to be wrong of MutantSession is found by the comparison of the fuzz target server_session, in time.

#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/canary/canary.h"
#include "fuzz/canary/mutant_session.h"
#include "fuzz/harness/server_session_differential.h"

namespace nbdspec::fuzz {
namespace {

struct PlantedBug {
  SessionBug bug;
  const char* name;
  std::uint64_t inputs_max;
};

void PrintTo(const PlantedBug& planted, std::ostream* out) { *out << planted.name; }

#define NBDSPEC_BUG(name) SessionBug::k##name, #name

constexpr PlantedBug kPlantedBugs[] = {
    {NBDSPEC_BUG(ListHasNoFinalAck), 450},
    {NBDSPEC_BUG(ListNamesAnExportTwice), 450},
    {NBDSPEC_BUG(OptionReplyNamesAnotherOption), 450},
    {NBDSPEC_BUG(UnknownExportIsCalledInvalid), 400},
    {NBDSPEC_BUG(DfIsOfferedWithoutStructuredReplies), 100},
    {NBDSPEC_BUG(BlockSizeIsWithheld), 100},
    {NBDSPEC_BUG(ListedContextsHaveIds), 250},
    {NBDSPEC_BUG(SelectedContextsShareAnId), 100},
    {NBDSPEC_BUG(ContextsSurviveALaterSet), 250},
    {NBDSPEC_BUG(PadIsSentDespiteNoZeroes), 150},
    {NBDSPEC_BUG(AbortIsNotAcknowledged), 1200},
    {NBDSPEC_BUG(CookieIsCutTo32Bits), 200},
    {NBDSPEC_BUG(FlushIsAnsweredTwice), 150},
    {NBDSPEC_BUG(EmptyWriteIsNotAnswered), 900},
    {NBDSPEC_BUG(ReadHasASimpleReplyInStructuredMode), 100},
    {NBDSPEC_BUG(WriteHasAChunkInSimpleMode), 100},
    {NBDSPEC_BUG(LastByteOfUnalignedWriteIsLost), 100},
    {NBDSPEC_BUG(TrimIsForgotten), 450},
    {NBDSPEC_BUG(NoHoleIsForgotten), 2200},
    {NBDSPEC_BUG(ReadOfOneByteIsWrong), 200},
    {NBDSPEC_BUG(ReadLeavesOutAChunk), 100},
    {NBDSPEC_BUG(DfReadComesInTwoChunks), 100},
    {NBDSPEC_BUG(DoneIsOnTheFirstChunk), 100},
    {NBDSPEC_BUG(ZeroIsClaimedOverData), 100},
    {NBDSPEC_BUG(ReqOneHasTwoDescriptors), 100},
    {NBDSPEC_BUG(LastDescriptorIsEmpty), 100},
    {NBDSPEC_BUG(BlockIndexStaysZero), 1350},
    {NBDSPEC_BUG(ErrorIs999), 100},
    {NBDSPEC_BUG(WritePastTheEndIsEinval), 250},
    {NBDSPEC_BUG(ReadOnlyIsEinval), 200},
    {NBDSPEC_BUG(UnknownFlagsAreIgnored), 200},
    {NBDSPEC_BUG(DataFollowsDisc), 100},
    {NBDSPEC_BUG(DiscLeavesTheConnectionOpen), 100},
    {NBDSPEC_BUG(EverySecondSessionIsSilentToList), 450},
};

#undef NBDSPEC_BUG

FindBytesDisagreement WithBug(SessionBug bug) {
  return [bug](engine::ByteView input) {
    std::uint64_t number = 0;
    return FindServerSessionDisagreement(input, [&] { return std::make_unique<MutantSession>(bug, number++); });
  };
}

TEST(ServerSessionCanary, TheRightServerIsNotAccused) {
  EXPECT_TRUE(HasAccusedNobody({.runs_max = 3000, .start = SeedsOf("server_session")}, WithBug(SessionBug::kNone)));
}

class ServerSessionCanary : public testing::TestWithParam<PlantedBug> {};

TEST_P(ServerSessionCanary, IsFoundByTheFuzzTarget) {
  const auto found =
      HasFound({.runs_max = GetParam().inputs_max, .start = SeedsOf("server_session")}, WithBug(GetParam().bug));
  EXPECT_TRUE(found);
  RecordProperty("found", found.message());
}

INSTANTIATE_TEST_SUITE_P(AllBugs, ServerSessionCanary, testing::ValuesIn(kPlantedBugs),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace nbdspec::fuzz
