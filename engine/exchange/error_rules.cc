// SPDX-License-Identifier: BSD-3-Clause
// Which errors come, and for which request. Spec: proto.md, "Error values", "Size constraints", "Request types".

#include <array>

#include "engine/exchange/rule_facts.h"

namespace nbdspec::engine {
namespace {

std::string AnswerText(const Answer& answer) {
  return answer.error() == NbdError::kOk && answer.has_failed() ? "an error chunk with error 0"
         : answer.error() == NbdError::kOk                      ? "success"
                                                                : ErrorName(answer.error());
}

// --- Any request ---

// Violated where an error that came is one that `is_wrong` picks. An error chunk with error 0 is another rule's
// violation.
template <typename IsWrong>
Ruling NoError(const Exchange& exchange, IsWrong is_wrong, std::string_view expected) {
  const auto judge = [&](std::uint32_t error) {
    return error != NbdError::kOk && is_wrong(error) ? Violated(std::string(expected), ErrorName(error)) : Kept();
  };
  if (exchange.answer.simple()) {
    return judge(exchange.answer.simple()->error);
  }
  bool any = false;
  for (const ReplyChunk& chunk : exchange.answer.chunks()) {
    any = any || chunk.error;
    Ruling ruling = chunk.error ? judge(chunk.error->error) : Kept();
    if (ruling.is_violated()) {
      return ruling;
    }
  }
  return any ? Kept() : Inapplicable("no error came that can be taken apart");
}

Ruling IsDefined(const Exchange& exchange) {
  return NoError(
      exchange, [](std::uint32_t error) { return !kDefinedErrors.Contains(error); },
      "one of the errors 1, 5, 12, 22, 28, 75, 95, 108");
}

Ruling NoEnomem(const Exchange& exchange) {
  return NoError(
      exchange, [](std::uint32_t error) { return error == NbdError::kEnomem; }, "another error than NBD_ENOMEM");
}

// READ may overflow where DF or structured replies are offered; commands without data where they ask for more than the
// maximum payload.
Ruling EoverflowLimited(const Exchange& exchange) {
  const Negotiated& agreed = *exchange.negotiated;
  const bool may_overflow =
      exchange.Is(CommandType::kRead)
          ? agreed.structured_replies || agreed.Has(TransmissionFlag::kSendDf)
          : !exchange.Is(CommandType::kWrite) && exchange.request.length > agreed.block_size.maximum;
  return NoError(
      exchange, [&](std::uint32_t error) { return error == NbdError::kEoverflow && !may_overflow; },
      "NBD_EOVERFLOW only for READ where DF is offered, or above the maximum payload");
}

Ruling EnotsupLimited(const Exchange& exchange) {
  const bool may_be =
      exchange.Is(CommandType::kWriteZeroes) && exchange.negotiated->Has(TransmissionFlag::kSendFastZero);
  return NoError(
      exchange, [&](std::uint32_t error) { return error == NbdError::kEnotsup && !may_be; },
      "NBD_ENOTSUP only for WRITE_ZEROES where FAST_ZERO is offered");
}

Ruling FailsWithAnError(const Exchange& exchange) {
  const Answer& answer = exchange.answer;
  return kDefinedErrors.Contains(answer.error()) ? Kept()
                                                 : Violated("one of the errors of the protocol", AnswerText(answer));
}

// --- Requests that no client may send ---

// A request that is illegal for `reason` gets an error that the specification names for it. Where success is another
// rule's violation, the table asks for an error.
template <Reason reason, bool any_error = false>
Ruling Refused(const Exchange& exchange) {
  if (!exchange.legality.Has(reason)) {
    return Inapplicable("no such request was answered");
  }
  if (any_error) {
    return exchange.answer.has_failed() ? Kept() : Violated("an error", "success");
  }
  const ErrorSet allowed = ErrorsFor(exchange.legality, exchange.request.type);
  return allowed.Contains(exchange.answer.error()) ? Kept() : Violated(allowed.Text(), AnswerText(exchange.answer));
}

template <Reason reason>
constexpr auto Fails = Refused<reason, /*any_error=*/true>;

Ruling NoUnexpectedPayload(const Exchange& exchange) {
  const bool has_form = exchange.Is(CommandType::kWrite) || exchange.Is(CommandType::kBlockStatus);
  return exchange.HasFlag(CommandFlag::kPayloadLen) && !has_form
             ? Refused<Reason::kInapplicableFlag>(exchange)
             : Inapplicable("no command with a payload that it has no form for was answered");
}

// --- FAST_ZERO ---

// ENOTSUP without FAST_ZERO; and, where it is not offered, also with it.
template <bool is_offered>
Ruling NoEnotsup(const Exchange& exchange) {
  const bool is_fast = exchange.HasFlag(CommandFlag::kFastZero);
  if (exchange.negotiated->Has(TransmissionFlag::kSendFastZero) != is_offered || (is_offered && is_fast)) {
    return Inapplicable(is_offered ? "no WRITE_ZEROES without FAST_ZERO was answered where it is offered"
                                   : "SEND_FAST_ZERO is set");
  }
  return exchange.answer.error() == NbdError::kEnotsup
             ? Violated("success or another error",
                        Text("WRITE_ZEROES with the flags ", CommandFlagNames(exchange.request.flags), ": NBD_ENOTSUP"))
             : Kept();
}

Ruling FastZeroNoEoverflow(const Exchange& exchange) {
  return exchange.answer.error() == NbdError::kEoverflow
             ? Violated("success or NBD_ENOTSUP, whatever the length",
                        Text("WRITE_ZEROES of ", exchange.request.length, " bytes with FAST_ZERO: NBD_EOVERFLOW"))
             : Kept();
}

constexpr Facts kDone = Fact::kComplete;
constexpr Facts kIllegal = kDone | Fact::kIllegal;
constexpr Facts kZeroing = kDone | Fact::kWriteZeroes;
constexpr Facts kFailed = kDone | Fact::kFailed;

constexpr auto kRules = std::to_array<Rule>({
    {kErrorCodeAllowedSet, Fact::kError, IsDefined},
    {kErrorNoEnomem, Fact::kError, NoEnomem},
    {kErrorEoverflowLimited, Fact::kError, EoverflowLimited},
    {kErrorEnotsupLimited, Fact::kError, EnotsupLimited},
    {kTransmissionReadSimpleErrorCode, kFailed | Fact::kRead | Fact::kSimple, FailsWithAnError},
    {kTransmissionWriteErrorCode, kFailed | Fact::kWrite, FailsWithAnError},
    {kCacheErrorCode, kFailed | Fact::kCache, FailsWithAnError},
    {kWriteZeroesErrorCode, kFailed | Fact::kWriteZeroes, FailsWithAnError},
    {kErrorUnknownCommand, kIllegal, Refused<Reason::kUnknownCommand>},
    {kErrorUnknownFlag, kIllegal, Refused<Reason::kUnknownFlag>},
    {kErrorInapplicableFlag, kIllegal, Refused<Reason::kInapplicableFlag>},
    {kCacheRejectUnknownFlags, kIllegal | Fact::kCache, Fails<Reason::kUnknownFlag>},
    {kTransmissionBoundsServerEinval, kIllegal, Refused<Reason::kPastEnd>},
    {kTransmissionReadOutOfBounds, kIllegal | Fact::kRead, Refused<Reason::kPastEnd>},
    {kTransmissionWriteOutOfBounds, kIllegal | Fact::kWrite, Refused<Reason::kPastEnd>},
    {kTransmissionTrimOutOfBounds, kIllegal | Fact::kTrim, Refused<Reason::kPastEnd>},
    {kWriteZeroesOutOfBounds, kZeroing | Fact::kIllegal, Refused<Reason::kPastEnd>},
    {kBlockSizeServerUnalignedEinval, kIllegal, Refused<Reason::kMisaligned>},
    {kEflagsReadOnlyErrorWrites, kIllegal, Fails<Reason::kReadOnly>},
    {kTransmissionWriteReadOnly, kFailed | Fact::kWrite | Fact::kIllegal, Refused<Reason::kReadOnly>},
    {kTransmissionTrimReadOnly, kFailed | Fact::kTrim | Fact::kIllegal, Refused<Reason::kReadOnly>},
    {kWriteZeroesReadOnly, kFailed | Fact::kWriteZeroes | Fact::kIllegal, Refused<Reason::kReadOnly>},
    {kWriteZeroesNoFastNoEnotsup, kZeroing, NoEnotsup<true>},
    {kWriteZeroesUnadvertisedNoEnotsup, kZeroing, NoEnotsup<false>},
    {kWriteZeroesUnadvertisedEinval, kZeroing | Fact::kFast | Fact::kIllegal, Refused<Reason::kFlagNotOffered>},
    {kWriteZeroesFastNoEoverflow, kZeroing | Fact::kFast, FastZeroNoEoverflow},
    {kExtPayloadLenEinval, kIllegal | Fact::kExtended, NoUnexpectedPayload},
});

}  // namespace

std::span<const Rule> ErrorRules() { return kRules; }

}  // namespace nbdspec::engine
