// SPDX-License-Identifier: BSD-3-Clause
// Checks of transmission flags and command flags. Spec: proto.md, "Transmission flags", "Command flags".
#include <fmt/format.h>

#include <algorithm>

#include "conformance/checks/exchange.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::ByteRange;
using engine::CommandFlag;
using engine::CommandType;
using engine::NbdError;
using engine::Request;
using engine::TransmissionFlag;

namespace {

std::string FlagsText(const Entered& entered) {
  return "transmission flags " + engine::TransmissionFlagNames(entered.info.flags);
}

bool Has(const Entered& entered, std::uint16_t flag) { return (entered.info.flags & flag) != 0; }

// A small request that is legal where its command is offered. Nothing when there is no place for it, or it would write
// where that is not allowed.
std::optional<Request> SmallRequest(CheckContext& context, const Entered& entered, std::uint16_t command,
                                    std::uint16_t flags) {
  const auto scratch = ScratchRange(entered, 1);
  const bool writes =
      command == CommandType::kWrite || command == CommandType::kTrim || command == CommandType::kWriteZeroes;
  if (command == CommandType::kFlush) {
    return RequestFor(command, {}, flags);
  }
  if (!scratch || (writes && !context.profile().features.Has(Feature::kWritable))) {
    return {};
  }
  return command == CommandType::kWrite ? WriteOf(scratch->begin, Pattern(scratch->length(), context.random()()), flags)
                                        : RequestFor(command, *scratch, flags);
}

// That a flag of the server is set means that it knows the command or flag: NBD_EINVAL denies it.
Judgement NotInvalid(CheckContext& context, Entered& entered, std::uint16_t command, std::uint16_t flags) {
  const auto request = SmallRequest(context, entered, command, flags);
  if (!request) {
    return NotApplicable("the export is too small, or may not be written to");
  }
  NBDSPEC_TRY(answer, entered.session.Ask(*request));
  return answer.error() == NbdError::kEinval
             ? Broken(fmt::format("{}: NBD_EINVAL, with {}", engine::Describe(*request), FlagsText(entered)),
                      "what is offered is known")
             : Holds();
}

template <std::uint16_t command, std::uint16_t flags>
Judgement Works(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter(WithStructured(context)));
  return NotInvalid(context, entered, command, flags);
}

Judgement WriteZeroesWorks(CheckContext& context) {
  Judgement plain = Works<CommandType::kWriteZeroes, 0>(context);
  return plain.kind == Judgement::Kind::kHolds ? Works<CommandType::kWriteZeroes, CommandFlag::kNoHole>(context)
                                               : plain;
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
  NBDSPEC_TRY(entered, context.Enter(WithStructured(context)));
  bool any = false;
  for (const Offer& offer : kOffers) {
    if (!Has(entered, offer.flag)) {
      continue;
    }
    Judgement judgement = NotInvalid(context, entered, offer.command, offer.command_flags);
    if (judgement.kind == Judgement::Kind::kBroken || judgement.kind == Judgement::Kind::kInconclusive) {
      return judgement;
    }
    any = any || judgement.kind == Judgement::Kind::kHolds;
  }
  return any ? Holds() : NotApplicable("no flag is set whose feature could be tried: " + FlagsText(entered));
}

Judgement HasFlags(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  return Has(entered, TransmissionFlag::kHasFlags) ? Holds() : Broken(FlagsText(entered), "HAS_FLAGS is set");
}

Judgement DfClearWithoutStructured(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  return Has(entered, TransmissionFlag::kSendDf)
             ? Broken(FlagsText(entered) + " without structured replies", "SEND_DF is clear")
             : Holds();
}

Judgement FastZeroNeedsWriteZeroes(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter(WithStructured(context)));
  if (!Has(entered, TransmissionFlag::kSendFastZero)) {
    return NotApplicable("SEND_FAST_ZERO is clear");
  }
  return Has(entered, TransmissionFlag::kSendWriteZeroes)
             ? Holds()
             : Broken(FlagsText(entered), "SEND_FAST_ZERO only with SEND_WRITE_ZEROES");
}

Judgement FlushAndFua(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  if (Has(entered, TransmissionFlag::kReadOnly)) {
    return NotApplicable("the export is read-only");
  }
  const bool both = Has(entered, TransmissionFlag::kSendFlush) && Has(entered, TransmissionFlag::kSendFua);
  return both ? Holds() : Broken(FlagsText(entered), "SEND_FLUSH and SEND_FUA where data can be written");
}

// A command that succeeds without FUA must not be refused for it.
Judgement FuaAcceptAll(CheckContext& context) {
  EnterOptions options = WithStructured(context);
  if (context.profile().features.Has(Feature::kBaseAllocation)) {
    options.contexts = {std::string(engine::kBaseAllocation)};
  }
  NBDSPEC_TRY(entered, context.Enter(options));
  std::vector<std::uint16_t> commands = {CommandType::kRead, CommandType::kWrite};
  const auto add = [&](bool offered, std::uint16_t command) {
    if (offered) {
      commands.push_back(command);
    }
  };
  add(Has(entered, TransmissionFlag::kSendFlush), CommandType::kFlush);
  add(Has(entered, TransmissionFlag::kSendTrim), CommandType::kTrim);
  add(Has(entered, TransmissionFlag::kSendCache), CommandType::kCache);
  add(Has(entered, TransmissionFlag::kSendWriteZeroes), CommandType::kWriteZeroes);
  add(!entered.contexts.empty(), CommandType::kBlockStatus);
  bool any = false;
  for (const std::uint16_t command : commands) {
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
    if (judgement.kind != Judgement::Kind::kHolds) {
      return judgement;
    }
  }
  return any ? Holds() : NotApplicable("no command succeeded even without FUA");
}

// --- Read-only exports -----------------------------------------------------------------------------------------

// A range of one cell that reads as zeroes, from some cells spread over the export.
std::optional<ByteRange> FindZeroes(Entered& entered) {
  constexpr std::uint64_t kPlaces = 64;
  const std::uint64_t grid = GridOf(entered);
  const std::uint64_t usable = UsableBytes(entered);
  const std::uint64_t stride = std::max(grid, usable / kPlaces / grid * grid);
  for (std::uint64_t begin = 0; begin < usable; begin += stride) {
    const ByteRange range = {.begin = begin, .end = begin + grid};
    const auto bytes = ReadBytes(entered.session, range);
    if (!bytes) {
      return {};
    }
    if (std::ranges::all_of(*bytes, [](std::uint8_t byte) { return byte == 0; })) {
      return range;
    }
  }
  return {};
}

// A write that changes nothing even if the server does it in spite of READ_ONLY.
std::expected<Request, Judgement> HarmlessWrite(Entered& entered, std::uint16_t command) {
  if (!Has(entered, TransmissionFlag::kReadOnly)) {
    return std::unexpected(NotApplicable("the export is not read-only"));
  }
  if (command == CommandType::kWrite && UsableBytes(entered) > 0) {
    auto bytes = ReadBytes(entered.session, {.begin = 0, .end = GridOf(entered)});
    return bytes ? std::expected<Request, Judgement>(WriteOf(0, std::move(*bytes))) : std::unexpected(bytes.error());
  }
  const auto zeroes = FindZeroes(entered);
  const std::uint16_t flag =
      command == CommandType::kTrim ? TransmissionFlag::kSendTrim : TransmissionFlag::kSendWriteZeroes;
  if (!zeroes || !Has(entered, flag)) {
    return std::unexpected(NotApplicable(zeroes ? engine::CommandName(command) + " is not offered"
                                                : "the export has no zeroes where a write would do no harm"));
  }
  return RequestFor(command, *zeroes);
}

// How the write of a read-only export is answered.
std::expected<Batch, Judgement> TryToWrite(CheckContext& context, std::uint16_t command) {
  auto entered = context.Enter(WithStructured(context));
  if (!entered) {
    return std::unexpected(std::move(entered).error());
  }
  auto write = HarmlessWrite(*entered, command);
  if (!write) {
    return std::unexpected(std::move(write).error());
  }
  write->cookie = entered->session.NextCookie();
  return AskOnce(entered->session, *write, /*legal=*/false);
}

Judgement ReadOnlyErrors(CheckContext& context) {
  Judgement result = NotApplicable("no write could be tried");
  for (const std::uint16_t command : {CommandType::kWrite, CommandType::kTrim, CommandType::kWriteZeroes}) {
    const auto batch = TryToWrite(context, command);
    if (!batch) {
      continue;
    }
    const Exchange& exchange = batch->exchanges.front();
    if (exchange.complete && exchange.answer.error() == NbdError::kOk) {
      return Broken(engine::CommandName(command) + " succeeded on a read-only export", "an error");
    }
    if (exchange.ended && !exchange.ended->is_disconnect()) {
      return AsJudgement(*exchange.ended);
    }
    result = Holds();
  }
  return result;
}

// Success is another requirement's breach.
template <std::uint16_t command>
Judgement ReadOnlyPerm(CheckContext& context) {
  NBDSPEC_TRY(batch, TryToWrite(context, command));
  const Exchange& exchange = batch.exchanges.front();
  if (exchange.complete && exchange.answer.error() == NbdError::kOk) {
    return NotApplicable(engine::CommandName(command) + " succeeded");
  }
  return JudgeRefusal(batch, {NbdError::kEperm});
}

}  // namespace

std::vector<Check> FlagChecks() {
  return {
      {.id = spec::kEflagsHasFlags, .claim = "HAS_FLAGS is set.", .run = HasFlags},
      {.id = spec::kEflagsUnsupportedClear,
       .claim = "No command or flag that is offered gets NBD_EINVAL.",
       .run = UnsupportedClear},
      {.id = spec::kEflagsFlushWorks,
       .needs = {Feature::kFlush},
       .claim = "FLUSH is known where SEND_FLUSH is set.",
       .run = Works<CommandType::kFlush, 0>},
      {.id = spec::kEflagsFuaWorks,
       .needs = {Feature::kFua, Feature::kWritable},
       .claim = "WRITE takes FUA where SEND_FUA is set.",
       .run = Works<CommandType::kWrite, CommandFlag::kFua>},
      {.id = spec::kEflagsTrimWorks,
       .needs = {Feature::kTrim, Feature::kWritable},
       .claim = "TRIM is known where SEND_TRIM is set.",
       .run = Works<CommandType::kTrim, 0>},
      {.id = spec::kEflagsWriteZeroesWorks,
       .needs = {Feature::kWriteZeroes, Feature::kWritable},
       .claim = "WRITE_ZEROES and NO_HOLE are known where SEND_WRITE_ZEROES is set.",
       .run = WriteZeroesWorks},
      {.id = spec::kEflagsDfClearWithoutStructured,
       .claim = "SEND_DF is clear without structured replies.",
       .run = DfClearWithoutStructured},
      {.id = spec::kEflagsFastZeroNeedsWriteZeroes,
       .claim = "SEND_FAST_ZERO is set only with SEND_WRITE_ZEROES.",
       .run = FastZeroNeedsWriteZeroes},
      {.id = spec::kEflagsReadOnlyErrorWrites,
       .needs = {Feature::kReadOnly},
       .setup = Setup::kReadOnly,
       .claim = "No write succeeds on a read-only export.",
       .run = ReadOnlyErrors},
      {.id = spec::kTransmissionWriteReadOnly,
       .needs = {Feature::kReadOnly},
       .setup = Setup::kReadOnly,
       .claim = "WRITE to a read-only export gets NBD_EPERM.",
       .run = ReadOnlyPerm<CommandType::kWrite>},
      {.id = spec::kTransmissionTrimReadOnly,
       .needs = {Feature::kReadOnly},
       .setup = Setup::kReadOnly,
       .claim = "TRIM of a read-only export gets NBD_EPERM.",
       .run = ReadOnlyPerm<CommandType::kTrim>},
      {.id = spec::kWriteZeroesReadOnly,
       .needs = {Feature::kReadOnly},
       .setup = Setup::kReadOnly,
       .claim = "WRITE_ZEROES to a read-only export gets NBD_EPERM.",
       .run = ReadOnlyPerm<CommandType::kWriteZeroes>},
      {.id = spec::kCmdflagFuaAcceptAll,
       .needs = {Feature::kFua},
       .claim = "No command is refused for FUA where SEND_FUA is set.",
       .run = FuaAcceptAll},
      {.id = spec::kCmdflagNoHoleSupport,
       .needs = {Feature::kWriteZeroes, Feature::kWritable},
       .claim = "WRITE_ZEROES takes NO_HOLE.",
       .run = Works<CommandType::kWriteZeroes, CommandFlag::kNoHole>},
      {.id = spec::kInteropFlushFuaServer,
       .claim = "An export that can be written offers FLUSH and FUA.",
       .run = FlushAndFua},
  };
}

}  // namespace nbdspec::conformance
