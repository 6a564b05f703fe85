// SPDX-License-Identifier: BSD-3-Clause
// Which errors come, and for which request. Spec: proto.md, "Error values", "Size constraints", "Request types".

#include <array>

#include "engine/exchange/rule_facts.h"
#include "engine/spec/ids.h"

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
template <Reason reason>
Ruling Refused(const Exchange& exchange) {
  if (!exchange.legality.Has(reason)) {
    return Inapplicable("no such request was answered");
  }
  const ErrorSet allowed = ErrorsFor(exchange.legality, exchange.request.type);
  return allowed.Contains(exchange.answer.error()) ? Kept() : Violated(allowed.Text(), AnswerText(exchange.answer));
}

template <Reason reason>
Ruling Fails(const Exchange& exchange) {
  if (!exchange.legality.Has(reason)) {
    return Inapplicable("no such request was answered");
  }
  return exchange.answer.has_failed() ? Kept() : Violated("an error", "success");
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
constexpr Facts kZeroing = kDone | Fact::kWriteZeroes;
constexpr Facts kFailed = kDone | Fact::kFailed;

constexpr auto kRules = std::to_array<Rule>({
    {spec::kErrorCodeAllowedSet, Fact::kError, IsDefined},
    {spec::kErrorNoEnomem, Fact::kError, NoEnomem},
    {spec::kErrorEoverflowLimited, Fact::kError, EoverflowLimited},
    {spec::kErrorEnotsupLimited, Fact::kError, EnotsupLimited},
    {spec::kTransmissionReadSimpleErrorCode, kFailed | Fact::kRead | Fact::kSimple, FailsWithAnError},
    {spec::kTransmissionWriteErrorCode, kFailed | Fact::kWrite, FailsWithAnError},
    {spec::kCacheErrorCode, kFailed | Fact::kCache, FailsWithAnError},
    {spec::kWriteZeroesErrorCode, kFailed | Fact::kWriteZeroes, FailsWithAnError},
    {spec::kErrorUnknownCommand, kDone, Refused<Reason::kUnknownCommand>},
    {spec::kErrorUnknownFlag, kDone, Refused<Reason::kUnknownFlag>},
    {spec::kErrorInapplicableFlag, kDone, Refused<Reason::kInapplicableFlag>},
    {spec::kCacheRejectUnknownFlags, kDone | Fact::kCache, Fails<Reason::kUnknownFlag>},
    {spec::kTransmissionBoundsServerEinval, kDone, Refused<Reason::kPastEnd>},
    {spec::kTransmissionReadOutOfBounds, kDone | Fact::kRead, Refused<Reason::kPastEnd>},
    {spec::kTransmissionWriteOutOfBounds, kDone | Fact::kWrite, Refused<Reason::kPastEnd>},
    {spec::kTransmissionTrimOutOfBounds, kDone | Fact::kTrim, Refused<Reason::kPastEnd>},
    {spec::kWriteZeroesOutOfBounds, kZeroing, Refused<Reason::kPastEnd>},
    {spec::kBlockSizeServerUnalignedEinval, kDone, Refused<Reason::kMisaligned>},
    {spec::kEflagsReadOnlyErrorWrites, kDone, Fails<Reason::kReadOnly>},
    {spec::kTransmissionWriteReadOnly, kFailed | Fact::kWrite, Refused<Reason::kReadOnly>},
    {spec::kTransmissionTrimReadOnly, kFailed | Fact::kTrim, Refused<Reason::kReadOnly>},
    {spec::kWriteZeroesReadOnly, kFailed | Fact::kWriteZeroes, Refused<Reason::kReadOnly>},
    {spec::kWriteZeroesNoFastNoEnotsup, kZeroing, NoEnotsup<true>},
    {spec::kWriteZeroesUnadvertisedNoEnotsup, kZeroing, NoEnotsup<false>},
    {spec::kWriteZeroesUnadvertisedEinval, kZeroing | Fact::kFast, Refused<Reason::kFlagNotOffered>},
    {spec::kWriteZeroesFastNoEoverflow, kZeroing | Fact::kFast, FastZeroNoEoverflow},
});

}  // namespace

std::span<const Rule> ErrorRules() { return kRules; }

}  // namespace nbdspec::engine
