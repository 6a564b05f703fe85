// SPDX-License-Identifier: BSD-3-Clause
// MutantHaggling: makes the reference server wrong about metadata contexts in one named way, by what it lets the
// server hear and say.

#pragma once

#include <vector>

#include "engine/server/interposer.h"

namespace nbdspec::fuzz {

enum class HagglingBug {
  kNone,
  // What survives that should not.
  kMalformedSetKeepsTheOldOnes,
  kSetOfUnknownExportKeepsTheOldOnes,
  kTooLongSetKeepsTheOldOnes,
  kEmptySetKeepsTheOldOnes,
  kGoOfAnotherExportKeepsThem,
  kExportNameOfAnotherExportKeepsThem,
  kSecondSetIsAdded,
  kIdsAreThoseOfTheFirstSet,
  // What does not survive that should.
  kListForgetsThem,
  kInfoForgetsThem,
  kRefusedGoForgetsThem,
  kStructuredReplyForgetsThem,
  kExportNameForgetsThem,
  // What is selected and listed.
  kListSelects,
  kSetWithoutStructuredRepliesIsAccepted,
  kStructuredReplyWithDataIsAccepted,
  kWildcardSelects,
  kWildcardListsNothing,
  kEmptyListListsNothing,
  kEmptySetSelectsAll,
  kNamesMayBeCutShort,
  kNamesMayBeInUpperCase,
  kDuplicateQueriesAreAnsweredTwice,
  kOnlyTheFirstQueryCounts,
  kUnknownNamespaceIsRefused,
  kExportWithoutContextsHasThem,
  // How it is said.
  kIdsAreSwapped,
  kIdsAreShared,
  kListedContextsHaveIds,
  kListIsAnsweredAsSet,
  kAckComesFirst,
  kUnknownExportIsInvalid,
  kMalformedIsUnknown,
  kMalformedIsAcknowledged,
  kSetWithoutStructuredRepliesIsUnsupported,
  kExtendedHeadersAreAcknowledged,
  // What is answered.
  kStatusLeavesOutTheLastContext,
  kStatusHasAContextTwice,
  kStatusWithoutContextsIsEnotsup,
  kStatusWithoutContextsIsEmpty,
  kReqOneHasTwoDescriptors,
};

class MutantHaggling : public engine::Interposer {
 public:
  explicit MutantHaggling(HagglingBug bug) : bug_(bug) {}

  bool BeforeServer(engine::ClientMessage& heard, const engine::ConnectionState& state) override;
  void AfterServer(const engine::ClientMessage* heard, const engine::ConnectionState& state,
                   std::vector<engine::ServerMessage>& said) override;

 private:
  using Said = std::vector<engine::ServerMessage>;

  void RewriteQueries(engine::Option& option) const;
  void SpoilSet(const engine::Option& option, Said& said) const;
  void SpoilContexts(const engine::Option& option, Said& said) const;
  void SpoilOption(const engine::Option& option, Said& said) const;
  void RememberState(const engine::Option& option, const Said& said);
  void SpoilStatus(const engine::Request& request, const engine::ConnectionState& state, Said& said) const;

  HagglingBug bug_;
  std::vector<engine::MetaContext> first_;   // What the first SET_META_CONTEXT selected.
  std::vector<engine::MetaContext> latest_;  // And the latest that selected any.
  std::vector<engine::MetaContext> stale_;   // Answered without being selected.
  bool is_forgotten_ = false;                // Selected without being answered.
};

}  // namespace nbdspec::fuzz
