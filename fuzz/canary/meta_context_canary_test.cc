// SPDX-License-Identifier: BSD-3-Clause
// Every way to be wrong of MutantHaggling is found by the fuzz target's comparison, in time.

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <ostream>
#include <string>
#include <vector>

#include "engine/base/bytes.h"
#include "fuzz/canary/canary.h"
#include "fuzz/canary/mutant_haggling.h"
#include "fuzz/harness/disagreement.h"
#include "fuzz/harness/meta_context_differential.h"

namespace nbdspec::fuzz {
namespace {

constexpr std::size_t kBytesMax = 64;

struct PlantedBug {
  HagglingBug bug;
  const char* name;
  std::uint64_t inputs_max;  // Random inputs within which the fuzz target finds it.
};

void PrintTo(const PlantedBug& planted, std::ostream* out) { *out << planted.name; }

#define NBDSPEC_BUG(name) HagglingBug::k##name, #name

constexpr PlantedBug kPlantedBugs[] = {
    {NBDSPEC_BUG(MalformedSetKeepsTheOldOnes), 850},
    {NBDSPEC_BUG(SetOfUnknownExportKeepsTheOldOnes), 900},
    {NBDSPEC_BUG(TooLongSetKeepsTheOldOnes), 650},
    {NBDSPEC_BUG(EmptySetKeepsTheOldOnes), 100},
    {NBDSPEC_BUG(GoOfAnotherExportKeepsThem), 100},
    {NBDSPEC_BUG(ExportNameOfAnotherExportKeepsThem), 200},
    {NBDSPEC_BUG(SecondSetIsAdded), 100},
    {NBDSPEC_BUG(IdsAreThoseOfTheFirstSet), 150},
    {NBDSPEC_BUG(ListForgetsThem), 350},
    {NBDSPEC_BUG(InfoForgetsThem), 850},
    {NBDSPEC_BUG(RefusedGoForgetsThem), 850},
    {NBDSPEC_BUG(StructuredReplyForgetsThem), 850},
    {NBDSPEC_BUG(ExportNameForgetsThem), 200},
    {NBDSPEC_BUG(ListSelects), 450},
    {NBDSPEC_BUG(SetWithoutStructuredRepliesIsAccepted), 100},
    {NBDSPEC_BUG(StructuredReplyWithDataIsAccepted), 250},
    {NBDSPEC_BUG(WildcardSelects), 350},
    {NBDSPEC_BUG(WildcardListsNothing), 800},
    {NBDSPEC_BUG(EmptyListListsNothing), 300},
    {NBDSPEC_BUG(EmptySetSelectsAll), 100},
    {NBDSPEC_BUG(NamesMayBeCutShort), 250},
    {NBDSPEC_BUG(NamesMayBeInUpperCase), 200},
    {NBDSPEC_BUG(DuplicateQueriesAreAnsweredTwice), 200},
    {NBDSPEC_BUG(OnlyTheFirstQueryCounts), 100},
    {NBDSPEC_BUG(UnknownNamespaceIsRefused), 200},
    {NBDSPEC_BUG(ExportWithoutContextsHasThem), 300},
    {NBDSPEC_BUG(IdsAreSwapped), 200},
    {NBDSPEC_BUG(IdsAreShared), 100},
    {NBDSPEC_BUG(ListedContextsHaveIds), 300},
    {NBDSPEC_BUG(ListIsAnsweredAsSet), 100},
    {NBDSPEC_BUG(AckComesFirst), 100},
    {NBDSPEC_BUG(UnknownExportIsInvalid), 100},
    {NBDSPEC_BUG(MalformedIsUnknown), 100},
    {NBDSPEC_BUG(MalformedIsAcknowledged), 150},
    {NBDSPEC_BUG(SetWithoutStructuredRepliesIsUnsupported), 100},
    {NBDSPEC_BUG(ExtendedHeadersAreAcknowledged), 250},
    {NBDSPEC_BUG(StatusLeavesOutTheLastContext), 200},
    {NBDSPEC_BUG(StatusHasAContextTwice), 100},
    {NBDSPEC_BUG(StatusWithoutContextsIsEnotsup), 100},
    {NBDSPEC_BUG(StatusWithoutContextsIsEmpty), 100},
    {NBDSPEC_BUG(ReqOneHasTwoDescriptors), 700},
};

#undef NBDSPEC_BUG

FindBytesDisagreement WithBug(HagglingBug bug) {
  return [bug](engine::ByteView input) {
    MutantHaggling mutant(bug);
    return FindMetaContextDisagreement(input, &mutant);
  };
}

// The mutant without a bug, and the server itself.
TEST(MetaContextCanary, TheRightServerIsNotAccused) {
  const CanaryRuns runs = {.runs_max = 5000, .bytes_max = kBytesMax, .start = SeedsOf("meta_context")};
  EXPECT_TRUE(HasAccusedNobody(runs, WithBug(HagglingBug::kNone)));
  EXPECT_TRUE(HasAccusedNobody(runs, [](engine::ByteView input) { return FindMetaContextDisagreement(input); }));
}

class MetaContextCanary : public testing::TestWithParam<PlantedBug> {};

TEST_P(MetaContextCanary, IsFoundByTheFuzzTarget) {
  const CanaryRuns runs = {.runs_max = GetParam().inputs_max, .bytes_max = kBytesMax, .start = SeedsOf("meta_context")};
  const auto found = HasFound(runs, WithBug(GetParam().bug));
  EXPECT_TRUE(found);
  RecordProperty("found", found.message());
}

INSTANTIATE_TEST_SUITE_P(AllBugs, MetaContextCanary, testing::ValuesIn(kPlantedBugs),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace nbdspec::fuzz
