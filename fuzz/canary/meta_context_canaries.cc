// SPDX-License-Identifier: BSD-3-Clause
// The planted bugs of the target meta_context: those of MutantHaggling.

#include <string>
#include <vector>

#include "engine/base/bytes.h"
#include "fuzz/canary/canary.h"
#include "fuzz/canary/mutant_haggling.h"
#include "fuzz/canary/registry.h"
#include "fuzz/comparisons/disagreement.h"
#include "fuzz/comparisons/meta_context_differential.h"

namespace nbdspec::fuzz {
namespace {

constexpr std::size_t kBytesMax = 64;

#define NBDSPEC_BUG(name) HagglingBug::k##name, #name

constexpr PlantedBug<HagglingBug> kPlantedBugs[] = {
    {NBDSPEC_BUG(MalformedSetKeepsTheOldOnes), Family::kStale, 700},
    {NBDSPEC_BUG(SetOfUnknownExportKeepsTheOldOnes), Family::kStale, 7500},
    {NBDSPEC_BUG(TooLongSetKeepsTheOldOnes), Family::kStale, 5500},
    {NBDSPEC_BUG(EmptySetKeepsTheOldOnes), Family::kStale, 1500},
    {NBDSPEC_BUG(GoOfAnotherExportKeepsThem), Family::kStale, 700},
    {NBDSPEC_BUG(ExportNameOfAnotherExportKeepsThem), Family::kStale, 450},
    {NBDSPEC_BUG(SecondSetIsAdded), Family::kRule, 250},
    {NBDSPEC_BUG(IdsAreThoseOfTheFirstSet), Family::kStale, 7000},
    {NBDSPEC_BUG(ListForgetsThem), Family::kLost, 15'000},
    {NBDSPEC_BUG(InfoForgetsThem), Family::kLost, 8000},
    {NBDSPEC_BUG(RefusedGoForgetsThem), Family::kError, 30'000},
    {NBDSPEC_BUG(StructuredReplyForgetsThem), Family::kLost, 2000},
    {NBDSPEC_BUG(ExportNameForgetsThem), Family::kLost, 2500},
    {NBDSPEC_BUG(ListSelects), Family::kRule, 200},
    {NBDSPEC_BUG(SetWithoutStructuredRepliesIsAccepted), Family::kLost, 250},
    {NBDSPEC_BUG(StructuredReplyWithDataIsAccepted), Family::kRule, 100},
    {NBDSPEC_BUG(WildcardSelects), Family::kRule, 500},
    {NBDSPEC_BUG(WildcardListsNothing), Family::kLost, 650},
    {NBDSPEC_BUG(EmptyListListsNothing), Family::kLost, 200},
    {NBDSPEC_BUG(EmptySetSelectsAll), Family::kRule, 350},
    {NBDSPEC_BUG(NamesMayBeCutShort), Family::kRule, 1500},
    {NBDSPEC_BUG(NamesMayBeInUpperCase), Family::kRule, 850},
    {NBDSPEC_BUG(DuplicateQueriesAreAnsweredTwice), Family::kRule, 2000},
    {NBDSPEC_BUG(OnlyTheFirstQueryCounts), Family::kRule, 200},
    {NBDSPEC_BUG(UnknownNamespaceIsRefused), Family::kError, 200},
    {NBDSPEC_BUG(ExportWithoutContextsHasThem), Family::kLost, 1500},
    {NBDSPEC_BUG(IdsAreSwapped), Family::kOrder, 15'000},
    {NBDSPEC_BUG(IdsAreShared), Family::kRule, 2500},
    {NBDSPEC_BUG(ListedContextsHaveIds), Family::kRule, 200},
    {NBDSPEC_BUG(ListIsAnsweredAsSet), Family::kRule, 100},
    {NBDSPEC_BUG(AckComesFirst), Family::kOrder, 100},
    {NBDSPEC_BUG(UnknownExportIsInvalid), Family::kError, 150},
    {NBDSPEC_BUG(MalformedIsUnknown), Family::kError, 100},
    {NBDSPEC_BUG(MalformedIsAcknowledged), Family::kRule, 100},
    {NBDSPEC_BUG(SetWithoutStructuredRepliesIsUnsupported), Family::kError, 250},
    {NBDSPEC_BUG(ExtendedHeadersAreAcknowledged), Family::kRule, 100},
    {NBDSPEC_BUG(StatusLeavesOutTheLastContext), Family::kLost, 15'000},
    {NBDSPEC_BUG(StatusHasAContextTwice), Family::kRule, 1500},
    {NBDSPEC_BUG(StatusWithoutContextsIsEnotsup), Family::kError, 100},
    {NBDSPEC_BUG(StatusWithoutContextsIsEmpty), Family::kLost, 100},
    {NBDSPEC_BUG(ReqOneHasTwoDescriptors), Family::kReqOne, 1500},
};

#undef NBDSPEC_BUG

FindBytesDisagreement WithBug(HagglingBug bug) {
  return [bug](engine::ByteView input) {
    MutantHaggling mutant(bug);
    return FindMetaContextDisagreement(input, &mutant);
  };
}

}  // namespace

CanaryTarget MetaContextCanaries() {
  return {
      .name = "meta_context",
      .inputs = {.bytes_max = kBytesMax},
      .right = {WithBug(HagglingBug::kNone), [](engine::ByteView input) { return FindMetaContextDisagreement(input); }},
      .canaries = CanariesOf<HagglingBug>(kPlantedBugs, WithBug),
  };
}

}  // namespace nbdspec::fuzz
