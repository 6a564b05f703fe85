// SPDX-License-Identifier: BSD-3-Clause
// Checks of which errors come, and for what: requests that must fail, judged by the rules of engine/exchange.
// Spec: proto.md, "Error values", "Size constraints", "Request types".

#include "conformance/checks/transmission/survey.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::CommandFlag;
using engine::CommandType;
using engine::Request;

namespace {

// A request that must fail; nothing where the server lacks what it would ask for.
using MakeRequest = std::optional<Request> (*)(const Entered& entered);

// Asks each on a connection of its own, since the server may end it, and applies the rule of the check.
template <MakeRequest... make>
Judgement Refused(CheckContext& context) {
  Judgement result = NotApplicable("nothing could be asked");
  for (const MakeRequest each : {make...}) {
    NBDSPEC_TRY(entered, context.EnterWithAll());
    const auto request = UsableBytes(entered) == 0 ? std::nullopt : each(entered);
    Judgement judgement = request ? JudgeFirst(context, AskOnce(entered, *request))
                                  : NotApplicable("the export is too small, or lacks what would be asked for");
    if (judgement.is_broken()) {
      return judgement;
    }
    result = result.holds() ? result : judgement;
  }
  return result;
}

// A request for the first cell, with flags that it may not have.
template <std::uint16_t command, std::uint16_t flags = 0>
std::optional<Request> FirstCell(const Entered& entered) {
  return RequestFor(command, CellAt(entered), flags);
}

// `command` for a range; a WRITE with data. The first cell of a range across the end may be overwritten by a server
// that does the part that it can.
Request Filled(std::uint16_t command, engine::ByteRange range) {
  return command == CommandType::kWrite ? WriteOf(range.begin, Pattern(range.length(), /*seed=*/1))
                                        : RequestFor(command, range);
}

// A cell that begins where the export ends, or after it.
template <std::uint16_t command>
std::optional<Request> AtEnd(const Entered& entered) {
  const std::uint64_t grid = GridOf(entered);
  return Filled(command, CellAt(entered, (std::min(entered.size(), engine::kExportBytesMax) + grid - 1) / grid * grid));
}

// Two cells of which only the first lies in the export.
template <std::uint16_t command>
std::optional<Request> AcrossEnd(const Entered& entered) {
  const std::uint64_t usable = UsableBytes(entered);
  return Filled(command, {.begin = usable - GridOf(entered), .end = usable + GridOf(entered)});
}

// From the last cell below 2^64: its end is no 64-bit offset.
template <std::uint16_t command>
std::optional<Request> AtTop(const Entered& entered) {
  const std::uint64_t grid = GridOf(entered);
  Request request = RequestFor(command, CellAt(entered, (~std::uint64_t{0} / grid - 1) * grid));
  request.length = static_cast<std::uint32_t>(2 * grid);
  return request;
}

template <std::uint16_t flags>
std::optional<Request> FlaggedWrite(const Entered& entered) {
  const auto scratch = ScratchRange(entered, 1);
  return scratch ? std::optional(WriteOf(scratch->begin, Pattern(scratch->length(), 2), flags)) : std::nullopt;
}

std::optional<Request> NoHoleStatus(const Entered& entered) {
  return entered.agreed->contexts.empty() ? std::nullopt
                                          : FirstCell<CommandType::kBlockStatus, CommandFlag::kNoHole>(entered);
}

}  // namespace

std::vector<Check> ErrorChecks() {
  constexpr std::uint16_t kUnknownFlag = 1U << 15;
  constexpr std::uint16_t kRead = CommandType::kRead;
  constexpr std::uint16_t kWrite = CommandType::kWrite;
  constexpr std::uint16_t kTrim = CommandType::kTrim;
  constexpr std::uint16_t kZero = CommandType::kWriteZeroes;
  constexpr std::uint16_t kCache = CommandType::kCache;
  constexpr Features kWritable = {Feature::kWritable};
  constexpr Features kWriteZeroes = {Feature::kWriteZeroes, Feature::kWritable};
  return {
      {spec::kErrorCodeAllowedSet, "Each error is one that the protocol defines.", OverAllReplies},
      {spec::kErrorNoEnomem, "No request gets NBD_ENOMEM.", OverAllReplies},
      {spec::kErrorEoverflowLimited, "NBD_EOVERFLOW comes only where it is documented.", OverAllReplies},
      {spec::kErrorEnotsupLimited, "NBD_ENOTSUP comes only for WRITE_ZEROES.", OverAllReplies},
      {spec::kErrorUnknownCommand, "Unknown commands get NBD_EINVAL.", Refused<FirstCell<0x7fff>, FirstCell<0xffff>>},
      {spec::kErrorUnknownFlag, "READ with flag bit 15 gets NBD_EINVAL.", Refused<FirstCell<kRead, kUnknownFlag>>},
      {spec::kSub<spec::kErrorUnknownFlag, "write">, "WRITE with flag bit 15 gets NBD_EINVAL.",
       Refused<FlaggedWrite<kUnknownFlag>>, kWritable},
      {spec::kErrorInapplicableFlag, "READ with REQ_ONE gets NBD_EINVAL.",
       Refused<FirstCell<kRead, CommandFlag::kReqOne>>},
      {spec::kSub<spec::kErrorInapplicableFlag, "write">, "WRITE with DF gets NBD_EINVAL.",
       Refused<FlaggedWrite<CommandFlag::kDf>>, kWritable},
      {spec::kSub<spec::kErrorInapplicableFlag, "block-status">,
       "BLOCK_STATUS with NO_HOLE gets NBD_EINVAL.",
       Refused<NoHoleStatus>,
       {Feature::kBaseAllocation}},
      {spec::kTransmissionReadOutOfBounds, "READ past the end of the export gets NBD_EINVAL.",
       Refused<AtEnd<kRead>, AcrossEnd<kRead>, AtTop<kRead>>},
      {spec::kTransmissionWriteOutOfBounds, "WRITE past the end of the export gets NBD_ENOSPC or NBD_EINVAL.",
       Refused<AtEnd<kWrite>, AcrossEnd<kWrite>>, kWritable},
      {spec::kTransmissionTrimOutOfBounds,
       "TRIM past the end of the export gets NBD_EINVAL.",
       Refused<AtEnd<kTrim>, AcrossEnd<kTrim>>,
       {Feature::kTrim, Feature::kWritable}},
      {spec::kWriteZeroesOutOfBounds, "WRITE_ZEROES past the end of the export gets NBD_ENOSPC or NBD_EINVAL.",
       Refused<AtEnd<kZero>, AcrossEnd<kZero>>, kWriteZeroes},
      {spec::kTransmissionWriteErrorCode, "A WRITE that fails gets one of the errors of the protocol.",
       Refused<AtEnd<kWrite>>, kWritable},
      {spec::kCacheErrorCode,
       "A CACHE that fails gets one of the errors of the protocol.",
       Refused<AtEnd<kCache>>,
       {Feature::kCache}},
      {spec::kWriteZeroesErrorCode, "A WRITE_ZEROES that fails gets one of the errors of the protocol.",
       Refused<AtEnd<kZero>>, kWriteZeroes},
  };
}

}  // namespace nbdspec::conformance
