// SPDX-License-Identifier: BSD-3-Clause
// MutantSession: makes the reference server wrong in one named way, by what it lets the server hear and say.

#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/server/interposer.h"

namespace nbdspec::fuzz {

enum class SessionBug {
  kNone,
  // Option haggling.
  kListHasNoFinalAck,
  kListNamesAnExportTwice,
  kOptionReplyNamesAnotherOption,
  kUnknownExportIsCalledInvalid,
  kDfIsOfferedWithoutStructuredReplies,
  kBlockSizeIsWithheld,
  kListedContextsHaveIds,
  kSelectedContextsShareAnId,
  kContextsSurviveALaterSet,
  kPadIsSentDespiteNoZeroes,
  kAbortIsNotAcknowledged,
  // Transmission.
  kCookieIsCutTo32Bits,
  kFlushIsAnsweredTwice,
  kEmptyWriteIsNotAnswered,
  kReadHasASimpleReplyInStructuredMode,
  kWriteHasAChunkInSimpleMode,
  kLastByteOfUnalignedWriteIsLost,
  kTrimIsForgotten,
  kNoHoleIsForgotten,
  kReadOfOneByteIsWrong,
  kReadLeavesOutAChunk,
  kDfReadComesInTwoChunks,
  kDoneIsOnTheFirstChunk,
  kZeroIsClaimedOverData,
  kReqOneHasTwoDescriptors,
  kLastDescriptorIsEmpty,
  kBlockIndexStaysZero,
  kErrorIs999,
  kWritePastTheEndIsEinval,
  kReadOnlyIsEinval,
  kUnknownFlagsAreIgnored,
  kDataFollowsDisc,
  kDiscLeavesTheConnectionOpen,
  // Between sessions.
  kEverySecondSessionIsSilentToList,
};

class MutantSession : public engine::Interposer {
 public:
  // `number` of the session, from 0.
  explicit MutantSession(SessionBug bug, std::uint64_t number = 0) : bug_(bug), number_(number) {}

  bool BeforeServer(engine::ClientMessage& heard, const engine::ConnectionState& state) override;
  void AfterServer(const engine::ClientMessage* heard, const engine::ConnectionState& state,
                   std::vector<engine::ServerMessage>& said) override;

 private:
  using Said = std::vector<engine::ServerMessage>;

  void SpoilOption(const engine::Option& option, const engine::ConnectionState& state, Said& said);
  void SpoilContexts(const engine::Option& option, Said& said);
  void SpoilInformation(const engine::ConnectionState& state, Said& said) const;
  void SpoilAnswer(const engine::Request& request, const engine::ConnectionState& state, Said& said);
  void SpoilRead(const engine::Request& request, const engine::ConnectionState& state, Said& said) const;
  void SpoilStatus(const engine::Request& request, const engine::ConnectionState& state, Said& said) const;
  void SpoilError(Said& said) const;

  SessionBug bug_;
  std::uint64_t number_;
  std::vector<engine::MetaContext> stale_;  // Selected once, for kContextsSurviveALaterSet.
};

}  // namespace nbdspec::fuzz
