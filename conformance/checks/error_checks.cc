// SPDX-License-Identifier: BSD-3-Clause
// Checks of which errors come, and for what. Spec: proto.md, "Error values", "Size constraints", "Request types".
#include <fmt/format.h>

#include <algorithm>

#include "conformance/checks/survey.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::CommandFlag;
using engine::CommandType;
using engine::NbdError;
using engine::Request;
using engine::TransmissionFlag;

namespace {

// --- Every error of a survey -----------------------------------------------------------------------------------

// The errors that answered a request, simple or in chunks.
std::vector<std::uint32_t> ErrorsOf(const Exchange& exchange) {
  std::vector<std::uint32_t> errors;
  if (exchange.answer.simple && exchange.answer.simple->error != NbdError::kOk) {
    errors.push_back(exchange.answer.simple->error);
  }
  for (const engine::Chunk& chunk : exchange.answer.chunks) {
    const auto error = chunk.is_error() ? engine::DecodeErrorPayload(chunk.type, chunk.payload) : std::nullopt;
    if (error) {
      errors.push_back(error->error);
    }
  }
  return errors;
}

// Broken when an error of `exchange` is one that `is_wrong` picks.
template <typename Wrong>
Judgement JudgeErrors(const Exchange& exchange, Wrong is_wrong, std::string allowed) {
  const std::vector<std::uint32_t> errors = ErrorsOf(exchange);
  const auto wrong = std::ranges::find_if(errors, is_wrong);
  if (wrong != errors.end()) {
    return Broken(engine::ErrorName(*wrong), std::move(allowed));
  }
  return errors.empty() ? NotApplicable("no error came") : Holds();
}

// An error of 0 in a chunk is another requirement's breach.
Judgement AllowedSet(const Survey&, const Exchange& exchange) {
  return JudgeErrors(
      exchange, [](std::uint32_t error) { return error != NbdError::kOk && !IsDefinedError(error); },
      "one of the errors 1, 5, 12, 22, 28, 75, 95, 108");
}

Judgement NoEnomem(const Survey&, const Exchange& exchange) {
  return JudgeErrors(exchange, [](std::uint32_t error) { return error == NbdError::kEnomem; }, "NBD_ENOMEM is avoided");
}

// READ may overflow where DF or structured replies are offered; commands without data where they ask for more than the
// maximum payload.
Judgement EoverflowLimited(const Survey& survey, const Exchange& exchange) {
  const bool df = survey.structured || (survey.info.flags & TransmissionFlag::kSendDf) != 0;
  const bool may_overflow = exchange.is_read() ? df
                                               : exchange.request.type != CommandType::kWrite &&
                                                     exchange.request.length > survey.block_size.maximum;
  return JudgeErrors(
      exchange, [&](std::uint32_t error) { return error == NbdError::kEoverflow && !may_overflow; },
      "NBD_EOVERFLOW only for READ where DF is offered, or above the maximum payload");
}

Judgement EnotsupLimited(const Survey& survey, const Exchange& exchange) {
  const bool may_be =
      exchange.request.type == CommandType::kWriteZeroes && (survey.info.flags & TransmissionFlag::kSendFastZero) != 0;
  return JudgeErrors(
      exchange, [&](std::uint32_t error) { return error == NbdError::kEnotsup && !may_be; },
      "NBD_ENOTSUP only for WRITE_ZEROES where FAST_ZERO is offered");
}

// --- Requests that must be refused -----------------------------------------------------------------------------

using MakeRequest = std::optional<Request> (*)(const Entered& entered);

// Asks what `make` makes and judges the error. Nothing made: there is nothing to ask.
Judgement Refused(CheckContext& context, MakeRequest make, std::initializer_list<std::uint32_t> allowed) {
  EnterOptions options = WithStructured(context);
  if (context.profile().features.Has(Feature::kBaseAllocation)) {
    options.contexts = {std::string(engine::kBaseAllocation)};
  }
  NBDSPEC_TRY(entered, context.Enter(options));
  auto request = UsableBytes(entered) == 0 ? std::nullopt : make(entered);
  if (!request) {
    return NotApplicable("the export is too small, or lacks what would be asked for");
  }
  request->cookie = entered.session.NextCookie();
  return JudgeRefusal(AskOnce(entered.session, *request, /*legal=*/false), allowed);
}

// Several requests, each on a connection of its own.
Judgement RefusedEach(CheckContext& context, std::initializer_list<MakeRequest> all,
                      std::initializer_list<std::uint32_t> allowed) {
  Judgement result = NotApplicable("nothing could be asked");
  for (const MakeRequest make : all) {
    Judgement judgement = Refused(context, make, allowed);
    if (judgement.kind == Judgement::Kind::kBroken) {
      return judgement;
    }
    if (result.kind != Judgement::Kind::kHolds) {
      result = std::move(judgement);
    }
  }
  return result;
}

// A request for the first cell, with flags that it may not have.
template <std::uint16_t command, std::uint16_t flags>
std::optional<Request> FirstCell(const Entered& entered) {
  return RequestFor(command, {.begin = 0, .end = GridOf(entered)}, flags);
}

// A cell that begins where the export ends, or after it.
template <std::uint16_t command>
std::optional<Request> AtEnd(const Entered& entered) {
  const std::uint64_t grid = GridOf(entered);
  const std::uint64_t end = (std::min(entered.info.size, engine::kExportBytesMax) + grid - 1) / grid * grid;
  return RequestFor(command, {.begin = end, .end = end + grid});
}

// Two cells of which only the first lies in the export.
template <std::uint16_t command>
std::optional<Request> AcrossEnd(const Entered& entered) {
  const std::uint64_t usable = UsableBytes(entered);
  return RequestFor(command, {.begin = usable - GridOf(entered), .end = usable + GridOf(entered)});
}

// The last cell below 2^64: its end is no 64-bit offset.
template <std::uint16_t command>
std::optional<Request> AtTop(const Entered& entered) {
  const std::uint64_t grid = GridOf(entered);
  const std::uint64_t begin = (~std::uint64_t{0} / grid - 1) * grid;
  Request request = RequestFor(command, {.begin = begin, .end = begin + grid});
  request.length = static_cast<std::uint32_t>(2 * grid);
  return request;
}

std::optional<Request> WriteAtEnd(const Entered& entered) {
  const auto range = AtEnd<CommandType::kWrite>(entered);
  return WriteOf(range->offset, engine::Bytes(range->length));
}

// The first of its cells may be overwritten by a server that does the part that it can.
std::optional<Request> WriteAcrossEnd(const Entered& entered) {
  const auto range = AcrossEnd<CommandType::kWrite>(entered);
  return WriteOf(range->offset, Pattern(range->length, /*seed=*/1));
}

template <std::uint16_t flags>
std::optional<Request> FlaggedWrite(const Entered& entered) {
  const auto scratch = ScratchRange(entered, 1);
  return scratch ? std::optional(WriteOf(scratch->begin, Pattern(scratch->length(), 2), flags)) : std::nullopt;
}

std::optional<Request> NoHoleStatus(const Entered& entered) {
  return entered.contexts.empty() ? std::nullopt : FirstCell<CommandType::kBlockStatus, CommandFlag::kNoHole>(entered);
}

constexpr std::uint16_t kUnknownFlag = 1U << 15;

Judgement ReadPastEnd(CheckContext& context) {
  constexpr std::uint16_t kRead = CommandType::kRead;
  return RefusedEach(context, {AtEnd<kRead>, AcrossEnd<kRead>, AtTop<kRead>}, {NbdError::kEinval});
}
Judgement TrimPastEnd(CheckContext& context) {
  return RefusedEach(context, {AtEnd<CommandType::kTrim>, AcrossEnd<CommandType::kTrim>}, {NbdError::kEinval});
}
Judgement WritePastEnd(CheckContext& context) {
  return RefusedEach(context, {WriteAtEnd, WriteAcrossEnd}, {NbdError::kEnospc, NbdError::kEinval});
}
Judgement WriteZeroesPastEnd(CheckContext& context) {
  return RefusedEach(context, {AtEnd<CommandType::kWriteZeroes>, AcrossEnd<CommandType::kWriteZeroes>},
                     {NbdError::kEnospc, NbdError::kEinval});
}

Judgement UnknownCommand(CheckContext& context) {
  return RefusedEach(context, {FirstCell<0x7fff, 0>, FirstCell<0xffff, 0>}, {NbdError::kEinval});
}
Judgement UnknownReadFlag(CheckContext& context) {
  return Refused(context, FirstCell<CommandType::kRead, kUnknownFlag>, {NbdError::kEinval});
}
Judgement UnknownWriteFlag(CheckContext& context) {
  return Refused(context, FlaggedWrite<kUnknownFlag>, {NbdError::kEinval});
}
Judgement ReadWithReqOne(CheckContext& context) {
  return Refused(context, FirstCell<CommandType::kRead, CommandFlag::kReqOne>, {NbdError::kEinval});
}
Judgement WriteWithDf(CheckContext& context) {
  return Refused(context, FlaggedWrite<CommandFlag::kDf>, {NbdError::kEinval});
}
Judgement StatusWithNoHole(CheckContext& context) { return Refused(context, NoHoleStatus, {NbdError::kEinval}); }

// --- Errors that must be some error ----------------------------------------------------------------------------

Judgement ErrorOf(CheckContext& context, MakeRequest make) {
  NBDSPEC_TRY(entered, context.Enter(WithStructured(context)));
  auto request = UsableBytes(entered) == 0 ? std::nullopt : make(entered);
  if (!request) {
    return NotApplicable("the export is too small");
  }
  request->cookie = entered.session.NextCookie();
  return JudgeErrorIsDefined(AskOnce(entered.session, *request, /*legal=*/false));
}

Judgement WriteErrorCode(CheckContext& context) { return ErrorOf(context, WriteAtEnd); }
Judgement CacheErrorCode(CheckContext& context) { return ErrorOf(context, AtEnd<CommandType::kCache>); }
Judgement WriteZeroesErrorCode(CheckContext& context) { return ErrorOf(context, AtEnd<CommandType::kWriteZeroes>); }

constexpr Features kWritable = {Feature::kWritable};
constexpr Features kWriteZeroes = {Feature::kWriteZeroes, Feature::kWritable};

}  // namespace

std::vector<Check> ErrorChecks() {
  return {
      {.id = spec::kErrorCodeAllowedSet,
       .claim = "Every error is one that the protocol defines.",
       .run = OverAllReplies<AllowedSet>},
      {.id = spec::kErrorNoEnomem, .claim = "Nothing is answered NBD_ENOMEM.", .run = OverAllReplies<NoEnomem>},
      {.id = spec::kErrorEoverflowLimited,
       .claim = "NBD_EOVERFLOW comes only where it is documented.",
       .run = OverAllReplies<EoverflowLimited>},
      {.id = spec::kErrorEnotsupLimited,
       .claim = "NBD_ENOTSUP comes only for WRITE_ZEROES.",
       .run = OverAllReplies<EnotsupLimited>},
      {.id = spec::kErrorUnknownCommand, .claim = "Unknown commands get NBD_EINVAL.", .run = UnknownCommand},
      {.id = spec::kErrorUnknownFlag, .claim = "READ with flag bit 15 gets NBD_EINVAL.", .run = UnknownReadFlag},
      {.id = spec::kSub<spec::kErrorUnknownFlag, "write">,
       .needs = kWritable,
       .claim = "WRITE with flag bit 15 gets NBD_EINVAL.",
       .run = UnknownWriteFlag},
      {.id = spec::kErrorInapplicableFlag, .claim = "READ with REQ_ONE gets NBD_EINVAL.", .run = ReadWithReqOne},
      {.id = spec::kSub<spec::kErrorInapplicableFlag, "write">,
       .needs = kWritable,
       .claim = "WRITE with DF gets NBD_EINVAL.",
       .run = WriteWithDf},
      {.id = spec::kSub<spec::kErrorInapplicableFlag, "block-status">,
       .needs = {Feature::kBaseAllocation},
       .claim = "BLOCK_STATUS with NO_HOLE gets NBD_EINVAL.",
       .run = StatusWithNoHole},
      {.id = spec::kTransmissionReadOutOfBounds,
       .claim = "READ past the end of the export gets NBD_EINVAL.",
       .run = ReadPastEnd},
      {.id = spec::kTransmissionWriteOutOfBounds,
       .needs = kWritable,
       .claim = "WRITE past the end of the export gets NBD_ENOSPC or NBD_EINVAL.",
       .run = WritePastEnd},
      {.id = spec::kTransmissionTrimOutOfBounds,
       .needs = {Feature::kTrim, Feature::kWritable},
       .claim = "TRIM past the end of the export gets NBD_EINVAL.",
       .run = TrimPastEnd},
      {.id = spec::kWriteZeroesOutOfBounds,
       .needs = kWriteZeroes,
       .claim = "WRITE_ZEROES past the end of the export gets NBD_ENOSPC or NBD_EINVAL.",
       .run = WriteZeroesPastEnd},
      {.id = spec::kTransmissionWriteErrorCode,
       .needs = kWritable,
       .claim = "A WRITE that fails gets one of the errors of the protocol.",
       .run = WriteErrorCode},
      {.id = spec::kCacheErrorCode,
       .needs = {Feature::kCache},
       .claim = "A CACHE that fails gets one of the errors of the protocol.",
       .run = CacheErrorCode},
      {.id = spec::kWriteZeroesErrorCode,
       .needs = kWriteZeroes,
       .claim = "A WRITE_ZEROES that fails gets one of the errors of the protocol.",
       .run = WriteZeroesErrorCode},
  };
}

}  // namespace nbdspec::conformance
