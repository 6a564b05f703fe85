// SPDX-License-Identifier: BSD-3-Clause
// Every way for libnbd to be wrong of mutant_libnbd.h is found by the comparison of the fuzz target libnbd_client.

#include <gtest/gtest.h>

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/script/script_bytes.h"
#include "fuzz/canary/canary.h"
#include "fuzz/live/libnbd/libnbd_client_differential.h"
#include "fuzz/live/libnbd/mutant_libnbd.h"

namespace nbdspec::fuzz {
namespace {

constexpr std::size_t kBytesMax = 969;  // The head, and 48 steps of a script.

struct PlantedBug {
  LibnbdBug bug;
  const char* name;
  std::uint64_t inputs_max;
};

void PrintTo(const PlantedBug& planted, std::ostream* out) { *out << planted.name; }

#define NBDSPEC_BUG(name) LibnbdBug::k##name, #name

constexpr PlantedBug kPlantedBugs[] = {
    {NBDSPEC_BUG(DataHasAWrongByte), 100},
    {NBDSPEC_BUG(HoleIsTakenForData), 100},
    {NBDSPEC_BUG(HoleIsShort), 100},
    {NBDSPEC_BUG(EntryIsOneTooLong), 100},
    {NBDSPEC_BUG(EntryFlagsAreSwapped), 100},
    {NBDSPEC_BUG(LastEntryIsLost), 100},
    {NBDSPEC_BUG(ContextsAreSwapped), 100},
    {NBDSPEC_BUG(ErrorIsAnotherOne), 100},
    {NBDSPEC_BUG(ErrorIsNotSeen), 100},
    {NBDSPEC_BUG(ErrorOffsetIsOneTooHigh), 2950},
    {NBDSPEC_BUG(ReplyIsNeverSeen), 100},
    {NBDSPEC_BUG(RepliesAreSwapped), 100},
    {NBDSPEC_BUG(SizeIsCutTo32Bits), 100},
    {NBDSPEC_BUG(DfIsNotSeen), 100},
    {NBDSPEC_BUG(OffsetIsCutTo32Bits), 100},
    {NBDSPEC_BUG(FuaIsNotSent), 100},
    {NBDSPEC_BUG(WriteHasAWrongLastByte), 100},
    {NBDSPEC_BUG(CallbacksAreInReverse), 100},
    {NBDSPEC_BUG(EntriesAreSwapped), 100},
    {NBDSPEC_BUG(EntriesAreOfTheWrongOffset), 100},
    {NBDSPEC_BUG(ChunkIsElsewhere), 100},
    {NBDSPEC_BUG(CompletesTwice), 100},
    {NBDSPEC_BUG(FirstErrorIsForgotten), 200},
    {NBDSPEC_BUG(CallbackIsToldNoError), 100},
    {NBDSPEC_BUG(DataIsStale), 100},
};

#undef NBDSPEC_BUG

// The seeds as bytes, for a mutation of text is mostly no script.
std::vector<engine::Bytes> Seeds() {
  std::vector<engine::Bytes> seeds = SeedsOf("libnbd_client");
  for (engine::Bytes& seed : seeds) {
    seed = engine::EncodeScript(engine::ReadScript(seed, engine::kNoScriptLimits));
  }
  return seeds;
}

FindBytesDisagreement WithBug(LibnbdBug bug) {
  return [bug](engine::ByteView input) {
    return FindLibnbdClientDisagreement(engine::ReadScript(input, kLibnbdLimits), SpoilersFor(bug));
  };
}

class LibnbdClientCanary : public testing::TestWithParam<PlantedBug> {};

TEST_P(LibnbdClientCanary, IsFoundByTheFuzzTarget) {
  const CanaryRuns runs = {.runs_max = GetParam().inputs_max, .bytes_max = kBytesMax, .start = Seeds()};
  const auto found = HasFound(runs, WithBug(GetParam().bug));
  EXPECT_TRUE(found);
  RecordProperty("found", found.message());
}

INSTANTIATE_TEST_SUITE_P(AllBugs, LibnbdClientCanary, testing::ValuesIn(kPlantedBugs),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(LibnbdClientCanary, LibnbdIsNotAccused) {
  const CanaryRuns runs = {.runs_max = 3000, .bytes_max = kBytesMax, .start = Seeds()};
  EXPECT_TRUE(HasAccusedNobody(runs, WithBug(LibnbdBug::kNone)));
}

}  // namespace
}  // namespace nbdspec::fuzz
