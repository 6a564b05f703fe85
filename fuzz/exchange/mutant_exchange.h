// SPDX-License-Identifier: BSD-3-Clause
// MutantExchange: makes the reference server wrong in one named way, in what it answers to requests.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/server/export.h"
#include "engine/server/interposer.h"

namespace nbdspec::fuzz {

enum class ExchangeBug {
  kNone,
  // Statuses.
  kReqOneIsTooLong,
  kReqOneHasTwoDescriptors,
  kDescriptorsAreSwapped,
  kLastDescriptorIsLost,
  kMiddleDescriptorIsLost,
  kFlagsAreSwapped,
  kHoleIsClaimedOfZeroes,
  kZeroIsClaimedOfHoles,
  kLengthIsCutTo31Bits,
  kOffsetIsCutTo32Bits,
  kContextIdIsWrong,
  kContextsAreSwapped,
  kSecondContextIsMissing,
  kUnalignedBeginIsRoundedDown,
  kUnalignedTailIsRoundedDown,
  kUnalignedTailIsRoundedUp,
  kLastDescriptorIsEmpty,
  kEveryFifthDescriptorIsMerged,
  kStatusIsStaleAfterTrim,
  kStatusIsStaleAfterWrite,
  kStatusOfTheTailIsOfTheBlockBefore,
  kOutOfBoundsIsAnswered,
  kContextsSurviveAFailedSet,
  // What changes the export.
  kWriteIsAppliedLate,
  kWriteLosesItsLastByte,
  kTrimEndsOneByteLate,
  kTrimIsForgotten,
  kTrimKeepsTheFirstByte,
  kNoHoleIsForgotten,
  kZeroIsCutTo16Bits,
  kFuaWriteIsForgotten,
  // Replies.
  kCookiesAreSwapped,
  kReadHasAWrongLastByte,
  kReadIsOfBeforeTheLastWrite,
  kReadCallsDataAHole,
  kReadLeavesOutTheHoles,
  kDoneIsOnTheFirstChunk,
  kReplyComesTwice,
  kEighthReplyIsMissing,
};

class MutantExchange : public engine::Interposer {
 public:
  // `served` outlives this.
  MutantExchange(ExchangeBug bug, engine::Export& served) : bug_(bug), served_(served) {}

  bool BeforeServer(engine::ClientMessage& heard, const engine::ConnectionState& state) override;
  void AfterServer(const engine::ClientMessage* heard, const engine::ConnectionState& state,
                   std::vector<engine::ServerMessage>& said) override;

 private:
  using Said = std::vector<engine::ServerMessage>;

  void SpoilRequest(engine::Request& request);
  void SpoilStatus(const engine::Request& request, const engine::ConnectionState& state, Said& said);
  void SpoilDescriptors(const engine::Request& request, std::vector<engine::Descriptor>& all) const;
  void SpoilRead(const engine::Request& request, Said& said) const;
  void SpoilReply(const engine::Request& request, Said& said);

  ExchangeBug bug_;
  engine::Export& served_;
  std::uint64_t request_count_ = 0;
  std::optional<engine::Request> late_;             // A write that is still to be done.
  std::optional<engine::Request> before_;           // The request before this one.
  std::vector<engine::MetaContext> selected_ = {};  // Once.
  engine::Bytes old_ = {};                          // What stood where the last write wrote.
  Said kept_ = {};                                  // For kCookiesAreSwapped.
};

}  // namespace nbdspec::fuzz
