// SPDX-License-Identifier: BSD-3-Clause
// Checks of transmission flags and command flags, and of which errors come, and for what: requests that must fail,
// judged by the rules of engine/exchange. Spec: proto.md, "Transmission flags", "Command flags", "Error values", "Size
// constraints", "Request types".
#include "conformance/checks/transmission/asking.h"

namespace nbdspec::conformance {

namespace {

std::string FlagsText(const Entered& entered) {
  return "transmission flags " + TransmissionFlagNames(entered.agreed->info.flags);
}

// A small request that is legal where its command is offered. Errors: there is no place for it, or it would write where
// that is not allowed.
std::expected<Request, Judgement> SmallRequest(CheckContext& context, const Entered& entered, std::uint16_t command,
                                               std::uint16_t flags) {
  if (command == CommandType::kFlush) {
    return RequestFor(command, {}, flags);
  }
  NBDSPEC_TRY(scratch, ScratchRange(entered, 1));
  if (Changes(command) && !context.Offers(Feature::kWritable)) {
    return Stop(NotApplicable("the export may not be written to"));
  }
  return command == CommandType::kWrite ? WriteOf(scratch.begin, Pattern(scratch.length(), context.random()), flags)
                                        : RequestFor(command, scratch, flags);
}

// That a flag of the server is set means that it knows the command or flag: NBD_EINVAL denies it.
Judgement NotInvalid(CheckContext& context, Entered& entered, std::uint16_t command, std::uint16_t flags) {
  NBDSPEC_TRY(request, SmallRequest(context, entered, command, flags));
  NBDSPEC_TRY(answer, entered.session.Ask(request));
  return Require(answer.error() != NbdError::kEinval,
                 fmt::format("{}: NBD_EINVAL, with {}", Describe(request), FlagsText(entered)),
                 "what is offered is known");
}

template <std::uint16_t command, std::uint16_t... flags>
Judgement Works(CheckContext& context) {
  for (const std::uint16_t each : {flags...}) {
    NBDSPEC_TRY(entered, context.EnterWithChunks());
    Judgement judgement = NotInvalid(context, entered, command, each);
    if (!judgement.holds()) {
      return judgement;
    }
  }
  return Holds();
}

Judgement UnsupportedClear(CheckContext& context) {
  struct Offer {
    std::uint16_t flag, command, command_flags;
  };
  constexpr Offer kOffers[] = {
      {TransmissionFlag::kSendFlush, CommandType::kFlush, 0},
      {TransmissionFlag::kSendFua, CommandType::kWrite, CommandFlag::kFua},
      {TransmissionFlag::kSendTrim, CommandType::kTrim, 0},
      {TransmissionFlag::kSendWriteZeroes, CommandType::kWriteZeroes, 0},
      {TransmissionFlag::kSendWriteZeroes, CommandType::kWriteZeroes, CommandFlag::kNoHole},
      {TransmissionFlag::kSendFastZero, CommandType::kWriteZeroes, CommandFlag::kFastZero},
      {TransmissionFlag::kSendDf, CommandType::kRead, CommandFlag::kDf},
  };
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  bool any = false;
  for (const Offer& offer : kOffers) {
    if (!entered.Has(offer.flag)) {
      continue;
    }
    Judgement judgement = NotInvalid(context, entered, offer.command, offer.command_flags);
    if (judgement.is_broken() || judgement.kind == Judgement::Kind::kInconclusive) {
      return judgement;
    }
    any = any || judgement.holds();
  }
  return any ? Holds() : NotApplicable("no flag is set whose feature could be tried: " + FlagsText(entered));
}

Judgement HasFlags(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  return Require(entered.Has(TransmissionFlag::kHasFlags), FlagsText(entered), "HAS_FLAGS is set");
}

Judgement DfClearWithoutStructured(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  return Require(!entered.Has(TransmissionFlag::kSendDf), FlagsText(entered) + " without structured replies",
                 "SEND_DF is clear");
}

Judgement FastZeroNeedsWriteZeroes(CheckContext& context) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  return entered.Has(TransmissionFlag::kSendFastZero)
             ? Require(entered.Has(TransmissionFlag::kSendWriteZeroes), FlagsText(entered),
                       "SEND_FAST_ZERO only with SEND_WRITE_ZEROES")
             : NotApplicable("SEND_FAST_ZERO is clear");
}

// How many content chunks answer a READ of `range`; nothing where it fails, or no chunk answers it.
std::expected<std::optional<std::size_t>, Judgement> ContentChunks(Session& session, ByteRange range,
                                                                   std::uint16_t flags) {
  NBDSPEC_TRY(answer, session.Ask(RequestFor(CommandType::kRead, range, flags)));
  const auto is_content = [](const Chunk& chunk) {
    return chunk.type == ChunkType::kOffsetData || chunk.type == ChunkType::kOffsetHole;
  };
  const auto count = static_cast<std::size_t>(std::ranges::count_if(answer.chunks, is_content));
  return answer.error() == NbdError::kOk && count > 0 ? std::optional(count) : std::nullopt;
}

// A range of which a READ brings several content chunks. Errors: no READ does so.
std::expected<ByteRange, Judgement> FindFragmented(Entered& entered) {
  constexpr std::uint64_t kReadBytes = 1 << 20;
  constexpr std::uint64_t kReads = 32;
  const ByteRange searched = {.begin = 0, .end = std::min(UsableBytes(entered), kReads * kReadBytes)};
  for (const ByteRange range : PiecesOf(searched, std::min(kReadBytes, PayloadBytesMax(entered)))) {
    NBDSPEC_TRY(count, ContentChunks(entered.session, range, 0));
    if (count && *count > 1) {
      return range;
    }
  }
  return Stop(NotApplicable("SEND_DF is clear, and no READ comes in several content chunks"));
}

// Who passes over DF as over any unknown flag does not support it: it is supported where it alone makes one chunk of
// several, each time.
Judgement DfOfferedWhereSupported(CheckContext& context) {
  constexpr int kTries = 4;
  NBDSPEC_TRY(entered, context.Enter({.structured_replies = true}));
  if (entered.Has(TransmissionFlag::kSendDf)) {
    return Holds();
  }
  NBDSPEC_TRY(range, FindFragmented(entered));
  for (int i = 0; i < kTries; ++i) {
    const auto whole = ContentChunks(entered.session, range, CommandFlag::kDf);
    const auto parts = ContentChunks(entered.session, range, /*flags=*/1U << 15);
    const auto again = ContentChunks(entered.session, range, 0);
    if (!whole || !parts || !again) {
      return Holds();  // No client may ask this: the server may end the connection.
    }
    if (*whole != std::size_t{1} || *parts == std::size_t{1} || again->value_or(0) < 2) {
      return Holds();
    }
  }
  return Broken(fmt::format("READs of [{}, {}) bring several content chunks, and with DF one, each of {} times; {}",
                            range.begin, range.end, kTries, FlagsText(entered)),
                "SEND_DF is set where DF is supported");
}

// NBD_ENOTSUP, which says that zeroing is not fast, in answer to FAST_ZERO and to nothing else.
Judgement FastZeroOfferedWhereSupported(CheckContext& context) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  if (entered.Has(TransmissionFlag::kSendFastZero)) {
    return Holds();
  }
  for (const std::uint16_t flags : {CommandFlag::kFastZero, std::uint16_t{1U << 15}, std::uint16_t{0}}) {
    NBDSPEC_TRY(request, SmallRequest(context, entered, CommandType::kWriteZeroes, flags));
    const auto answer = entered.session.Ask(request);
    if (!answer || (answer->error() == NbdError::kEnotsup) != (flags == CommandFlag::kFastZero)) {
      return Holds();
    }
  }
  return Broken("WRITE_ZEROES with FAST_ZERO gets NBD_ENOTSUP, and without it another answer; " + FlagsText(entered),
                "SEND_FAST_ZERO is set where FAST_ZERO is supported");
}

Judgement FlushAndFua(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  return entered.Has(TransmissionFlag::kReadOnly)
             ? NotApplicable("the export is read-only")
             : Require(entered.Has(TransmissionFlag::kSendFlush) && entered.Has(TransmissionFlag::kSendFua),
                       FlagsText(entered), "SEND_FLUSH and SEND_FUA where data can be written");
}

// A command that succeeds without FUA must not be refused for it.
Judgement FuaAcceptAll(CheckContext& context) {
  NBDSPEC_TRY(entered, context.EnterWithAll());
  bool any = false;
  for (std::uint16_t command = CommandType::kRead; command <= CommandType::kBlockStatus; ++command) {
    if (command == CommandType::kDisc || !IsOffered(entered, command)) {
      continue;
    }
    const auto plain = SmallRequest(context, entered, command, 0);
    if (!plain) {
      continue;
    }
    NBDSPEC_TRY(answer, entered.session.Ask(*plain));
    if (answer.error() != NbdError::kOk) {
      continue;
    }
    any = true;
    Judgement judgement = NotInvalid(context, entered, command, CommandFlag::kFua);
    if (!judgement.holds()) {
      return judgement;
    }
  }
  return any ? Holds() : NotApplicable("no command succeeded even without FUA");
}

// --- Read-only exports -----------------------------------------------------------------------------------------

// A range of one cell that reads as zeroes, from some cells spread over the export.
std::expected<ByteRange, Judgement> FindZeroes(Entered& entered) {
  constexpr std::uint64_t kPlaces = 64;
  const std::uint64_t grid = GridOf(entered);
  const std::uint64_t usable = UsableBytes(entered);
  const std::uint64_t stride = std::max(grid, usable / kPlaces / grid * grid);
  for (std::uint64_t begin = 0; begin < usable; begin += stride) {
    NBDSPEC_TRY(bytes, ReadBytes(entered.session, CellAt(entered, begin)));
    if (std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; })) {
      return CellAt(entered, begin);
    }
  }
  return Stop(NotApplicable("the export has no zeroes where a write would do no harm"));
}

// A write that changes nothing even if the server does it in spite of READ_ONLY.
std::expected<Request, Judgement> HarmlessWrite(Entered& entered, std::uint16_t command) {
  if (!entered.Has(TransmissionFlag::kReadOnly) ||
      LegalityOf({.type = command}, *entered.agreed).Has(Reason::kNotOffered)) {
    return Stop(NotApplicable("the export is not read-only, or does not offer " + CommandName(command)));
  }
  if (command == CommandType::kWrite && UsableBytes(entered) > 0) {
    NBDSPEC_TRY(bytes, ReadBytes(entered.session, CellAt(entered)));
    return WriteOf(0, std::move(bytes));
  }
  NBDSPEC_TRY(zeroes, FindZeroes(entered));
  return RequestFor(command, zeroes);
}

// How the write of a read-only export is answered, by the rule of the check.
template <std::uint16_t... commands>
Judgement ReadOnly(CheckContext& context) {
  Judgement result = NotApplicable("no write could be tried");
  for (const std::uint16_t command : {commands...}) {
    NBDSPEC_TRY(entered, context.EnterWithChunks());
    const auto write = HarmlessWrite(entered, command);
    if (!write) {
      result = result.holds() ? result : write.error();
      continue;
    }
    const Batch batch = AskOnce(entered, *write);
    Judgement judgement = JudgeFirst(context, batch);
    if (judgement.is_broken() || judgement.kind == Judgement::Kind::kInconclusive) {
      return judgement;
    }
    // To end the connection is not to do the write, but shows nothing of the error that is due.
    const bool is_other_refusal = !batch.endings.empty() && sizeof...(commands) > 1;
    result = judgement.holds() || is_other_refusal || result.holds() ? Holds() : judgement;
  }
  return result;
}

// --- Errors ----------------------------------------------------------------------------------------------------

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
Request Filled(std::uint16_t command, ByteRange range) {
  return command == CommandType::kWrite ? WriteOf(range.begin, Pattern(range.length(), /*seed=*/1))
                                        : RequestFor(command, range);
}

// A cell that begins where the export ends, or after it.
template <std::uint16_t command>
std::optional<Request> AtEnd(const Entered& entered) {
  const std::uint64_t grid = GridOf(entered);
  return Filled(command, CellAt(entered, (std::min(entered.size(), kExportBytesMax) + grid - 1) / grid * grid));
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

}  // namespace

std::vector<Check> FlagChecks() {
  constexpr std::uint16_t kWrite = CommandType::kWrite;
  constexpr std::uint16_t kTrim = CommandType::kTrim;
  constexpr std::uint16_t kZero = CommandType::kWriteZeroes;
  constexpr std::uint16_t kUnknownFlag = 1U << 15;
  constexpr std::uint16_t kRead = CommandType::kRead;
  constexpr std::uint16_t kCache = CommandType::kCache;
  return {
      {kEflagsHasFlags, "HAS_FLAGS is set.", HasFlags},
      {kEflagsUnsupportedClear, "No command or flag that is offered gets NBD_EINVAL.", UnsupportedClear},
      {kEflagsFlushWorks, "FLUSH is known where SEND_FLUSH is set.", Works<CommandType::kFlush, 0>, Feature::kFlush},
      {kEflagsFuaWorks, "WRITE takes FUA where SEND_FUA is set.", Works<kWrite, CommandFlag::kFua>,
       Feature::kFua | Feature::kWritable},
      {kEflagsTrimWorks, "TRIM is known where SEND_TRIM is set.", Works<kTrim, 0>, Feature::kTrim | Feature::kWritable},
      {kEflagsWriteZeroesWorks, "WRITE_ZEROES and NO_HOLE are known where SEND_WRITE_ZEROES is set.",
       Works<kZero, 0, CommandFlag::kNoHole>, kZeroing},
      {kEflagsDfClearWithoutStructured, "SEND_DF is clear without structured replies.", DfClearWithoutStructured},
      {kEflagsDfSetIfSupported, "SEND_DF is set where DF makes one content chunk of several.", DfOfferedWhereSupported,
       kChunks},
      {kEflagsFastZeroSetIfSupported, "SEND_FAST_ZERO is set where FAST_ZERO alone gets NBD_ENOTSUP.",
       FastZeroOfferedWhereSupported, kZeroing},
      {kEflagsFastZeroNeedsWriteZeroes, "SEND_FAST_ZERO is set only with SEND_WRITE_ZEROES.", FastZeroNeedsWriteZeroes},
      {kEflagsReadOnlyErrorWrites, "No write succeeds on a read-only export.", ReadOnly<kWrite, kTrim, kZero>,
       Feature::kReadOnly, Setup::kReadOnly},
      {kTransmissionWriteReadOnly, "WRITE to a read-only export gets NBD_EPERM.", ReadOnly<kWrite>, Feature::kReadOnly,
       Setup::kReadOnly},
      {kTransmissionTrimReadOnly, "TRIM of a read-only export gets NBD_EPERM.", ReadOnly<kTrim>, Feature::kReadOnly,
       Setup::kReadOnly},
      {kWriteZeroesReadOnly, "WRITE_ZEROES to a read-only export gets NBD_EPERM.", ReadOnly<kZero>, Feature::kReadOnly,
       Setup::kReadOnly},
      {kSub<kEflagsReadOnlyErrorWrites, "simple">, "No write succeeds on a read-only export by a simple reply.",
       Simply(ReadOnly<kWrite, kTrim, kZero>), Feature::kReadOnly, Setup::kReadOnly},
      {kSub<kTransmissionWriteReadOnly, "simple">, "WRITE to a read-only export gets NBD_EPERM in a simple reply.",
       Simply(ReadOnly<kWrite>), Feature::kReadOnly, Setup::kReadOnly},
      {kSub<kTransmissionTrimReadOnly, "simple">, "TRIM of a read-only export gets NBD_EPERM in a simple reply.",
       Simply(ReadOnly<kTrim>), Feature::kReadOnly, Setup::kReadOnly},
      {kSub<kWriteZeroesReadOnly, "simple">, "WRITE_ZEROES to a read-only export gets NBD_EPERM in a simple reply.",
       Simply(ReadOnly<kZero>), Feature::kReadOnly, Setup::kReadOnly},
      {kCmdflagFuaAcceptAll, "No command is refused for FUA where SEND_FUA is set.", FuaAcceptAll, Feature::kFua},
      {kCmdflagNoHoleSupport, "WRITE_ZEROES takes NO_HOLE.", Works<kZero, CommandFlag::kNoHole>, kZeroing},
      {kInteropFlushFuaServer, "An export that can be written offers FLUSH and FUA.", FlushAndFua},
      {kErrorCodeAllowedSet, "Each error is one that the protocol defines.", InBothModes()},
      {kErrorNoEnomem, "No request gets NBD_ENOMEM.", InBothModes()},
      {kErrorEoverflowLimited, "NBD_EOVERFLOW comes only where it is documented.", InBothModes()},
      {kErrorEnotsupLimited, "NBD_ENOTSUP comes only for WRITE_ZEROES.", InBothModes()},
      {kErrorUnknownCommand, "Unknown commands get NBD_EINVAL.", Refused<FirstCell<0x7fff>, FirstCell<0xffff>>},
      {kErrorUnknownFlag, "READ with flag bit 15 gets NBD_EINVAL.", Refused<FirstCell<kRead, kUnknownFlag>>},
      {kSub<kErrorUnknownFlag, "write">, "WRITE with flag bit 15 gets NBD_EINVAL.", Refused<FlaggedWrite<kUnknownFlag>>,
       kWritable},
      {kErrorInapplicableFlag, "READ with REQ_ONE gets NBD_EINVAL.", Refused<FirstCell<kRead, CommandFlag::kReqOne>>},
      {kSub<kErrorInapplicableFlag, "write">, "WRITE with DF gets NBD_EINVAL.", Refused<FlaggedWrite<CommandFlag::kDf>>,
       kWritable},
      {kSub<kErrorInapplicableFlag, "block-status">, "BLOCK_STATUS with NO_HOLE gets NBD_EINVAL.",
       Refused<FirstCell<CommandType::kBlockStatus, CommandFlag::kNoHole>>, Feature::kBaseAllocation},
      {kTransmissionReadOutOfBounds, "READ past the end of the export gets NBD_EINVAL.",
       Refused<AtEnd<kRead>, AcrossEnd<kRead>, AtTop<kRead>>},
      {kTransmissionWriteOutOfBounds, "WRITE past the end of the export gets NBD_ENOSPC or NBD_EINVAL.",
       Refused<AtEnd<kWrite>, AcrossEnd<kWrite>>, kWritable},
      {kTransmissionTrimOutOfBounds, "TRIM past the end of the export gets NBD_EINVAL.",
       Refused<AtEnd<kTrim>, AcrossEnd<kTrim>>, Feature::kTrim | Feature::kWritable},
      {kWriteZeroesOutOfBounds, "WRITE_ZEROES past the end of the export gets NBD_ENOSPC or NBD_EINVAL.",
       Refused<AtEnd<kZero>, AcrossEnd<kZero>>, kZeroing},
      {kSub<kErrorUnknownCommand, "simple">, "Unknown commands get NBD_EINVAL in a simple reply.",
       Simply(Refused<FirstCell<0x7fff>, FirstCell<0xffff>>)},
      {kSub<kErrorUnknownFlag, "simple">, "READ with flag bit 15 gets NBD_EINVAL in a simple reply.",
       Simply(Refused<FirstCell<kRead, kUnknownFlag>>)},
      {kSub<kErrorInapplicableFlag, "simple">, "READ with REQ_ONE gets NBD_EINVAL in a simple reply.",
       Simply(Refused<FirstCell<kRead, CommandFlag::kReqOne>>)},
      {kSub<kTransmissionTrimOutOfBounds, "simple">, "TRIM past the end gets NBD_EINVAL in a simple reply.",
       Simply(Refused<AtEnd<kTrim>, AcrossEnd<kTrim>>), Feature::kTrim | Feature::kWritable},
      {kSub<kWriteZeroesOutOfBounds, "simple">,
       "WRITE_ZEROES past the end gets NBD_ENOSPC or NBD_EINVAL in a simple reply.",
       Simply(Refused<AtEnd<kZero>, AcrossEnd<kZero>>), kZeroing},
      {kTransmissionWriteErrorCode, "A WRITE that fails gets one of the errors of the protocol.",
       Refused<AtEnd<kWrite>>, kWritable},
      {kSub<kTransmissionWriteErrorCode, "simple">, "A WRITE that fails gets one of the errors in a simple reply.",
       Simply(Refused<AtEnd<kWrite>>), kWritable},
      {kCacheErrorCode, "A CACHE that fails gets one of the errors of the protocol.", Refused<AtEnd<kCache>>,
       Feature::kCache},
      {kSub<kCacheErrorCode, "simple">, "A CACHE that fails gets one of the errors in a simple reply.",
       Simply(Refused<AtEnd<kCache>>), Feature::kCache},
      {kWriteZeroesErrorCode, "A WRITE_ZEROES that fails gets one of the errors of the protocol.",
       Refused<AtEnd<kZero>>, kZeroing},
      {kSub<kWriteZeroesErrorCode, "simple">, "A WRITE_ZEROES that fails gets one of the errors in a simple reply.",
       Simply(Refused<AtEnd<kZero>>), kZeroing},
  };
}

}  // namespace nbdspec::conformance
