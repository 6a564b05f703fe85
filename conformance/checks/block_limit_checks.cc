// SPDX-License-Identifier: BSD-3-Clause
// Checks of limits at work: what becomes of requests that are unaligned, too large or past the end. Spec: proto.md,
// "Size constraints".
#include <fmt/format.h>

#include <algorithm>

#include "conformance/checks/check.h"
#include "conformance/checks/haggling.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::CommandFlag;
using engine::CommandType;
using engine::NbdError;
using engine::Request;

namespace {

// --- Enforcement against clients that did not ask ---

// Why the limits cannot be probed on an export of `export_size` bytes; nothing when they can.
std::optional<Judgement> TooOdd(std::uint64_t export_size, std::uint32_t minimum) {
  constexpr std::uint32_t kMinimumMax = 65536;
  if (minimum >= 2 && minimum <= kMinimumMax && export_size / 4 >= minimum) {
    return {};
  }
  return NotApplicable(fmt::format("an export of {} bytes with a minimum block size of {}", export_size, minimum));
}

// The bytes of the first minimum block.
std::expected<engine::Bytes, Judgement> FirstBlock(Session& session, std::uint32_t minimum) {
  const auto answer = session.Ask(Request{.length = minimum});
  if (!answer) {
    return std::unexpected(AsJudgement(answer.error()));
  }
  if (!answer->simple || answer->error() != NbdError::kOk) {
    return std::unexpected(
        Inconclusive(fmt::format("READ of {} bytes at 0: {}", minimum, engine::ErrorName(answer->error()))));
  }
  return answer->simple->data;
}

// READ of one byte inside the first block: an error, or that byte.
Judgement ReadsCleanly(Session& session, std::uint64_t export_size, std::uint32_t minimum) {
  if (auto odd = TooOdd(export_size, minimum)) {
    return std::move(*odd);
  }
  NBDSPEC_TRY(block, FirstBlock(session, minimum));
  const std::string allowed = "an error, or the right byte";
  const auto answer = session.Ask(Request{.offset = 1, .length = 1});
  if (!answer) {
    return Broken("READ of 1 byte at offset 1: " + answer.error().text, allowed);
  }
  if (answer->error() != NbdError::kOk) {
    return Holds();
  }
  return answer->simple && answer->simple->data == engine::Bytes{block[1]}
             ? Holds()
             : Broken("READ of 1 byte at offset 1: a byte that differs from the whole block's", allowed);
}

Judgement EnteredByNameReadsCleanly(CheckContext& context) {
  NBDSPEC_TRY(entered, EnterByName(context));
  return ReadsCleanly(entered.session, entered.reply->size, context.profile().block_size.minimum);
}

// Entered by GO without a request for block sizes, told of them or not.
Judgement VolunteeredIsNotRelied(CheckContext& context) {
  NBDSPEC_TRY(entered, EnterByGo(context, {}));
  if (!entered.block_size || entered.block_size->minimum < 2) {
    return NotApplicable("no minimum block size above 1 is volunteered");
  }
  return ReadsCleanly(entered.session, entered.info.size, entered.block_size->minimum);
}

Judgement EnteredByNameWritesCleanly(CheckContext& context) {
  NBDSPEC_TRY(entered, EnterByName(context));
  const std::uint32_t minimum = context.profile().block_size.minimum;
  if (auto odd = TooOdd(entered.reply->size, minimum)) {
    return std::move(*odd);
  }
  NBDSPEC_TRY(block, FirstBlock(entered.session, minimum));
  const auto answer =
      entered.session.Ask(Request{.type = CommandType::kWrite, .offset = 1, .length = 1, .payload = {block[1]}});
  return answer ? Holds()
                : Broken("WRITE of 1 byte at offset 1: " + answer.error().text, "an error, or the byte is written");
}

// A failed WRITE leaves the block as it was, a successful one changes its byte only; one without a reply may have done
// either. The block is looked at on the same connection while it lives: others need not see the change yet.
Judgement UnalignedWriteHarmsNothing(CheckContext& context) {
  NBDSPEC_TRY(entered, EnterByGo(context, {}));
  const std::uint32_t minimum = context.profile().block_size.minimum;
  if (auto odd = TooOdd(entered.info.size, minimum)) {
    return std::move(*odd);
  }
  NBDSPEC_TRY(before, FirstBlock(entered.session, minimum));
  const auto other = static_cast<std::uint8_t>(before[1] ^ 0xff);
  const auto answer =
      entered.session.Ask(Request{.type = CommandType::kWrite, .offset = 1, .length = 1, .payload = {other}});
  if (!answer) {
    NBDSPEC_TRY(again, context.Enter());
    entered.session = std::move(again.session);
  }
  NBDSPEC_TRY(after, FirstBlock(entered.session, minimum));
  engine::Bytes wanted = before;
  if (answer ? answer->error() == NbdError::kOk : after[1] == other) {
    wanted[1] = other;
  }
  const auto differs = std::ranges::mismatch(wanted, after).in1 - wanted.begin();
  return after == wanted
             ? Holds()
             : Broken(fmt::format("after a WRITE of 1 byte at offset 1 ({}) the byte at {} is wrong",
                                  answer ? engine::ErrorName(answer->error()) : answer.error().text, differs),
                      "a refused request changes nothing");
}

// --- Enforcement against clients that did ask ---

// Such a request is a client's fault, so the server may close the connection for it.
Judgement RefusesUnaligned(Session& session, const Request& request, std::string_view what) {
  const auto answer = session.Ask(request);
  if (!answer) {
    return answer.error().is_disconnect() ? Holds() : Broken(answer.error().text, "NBD_EINVAL");
  }
  return answer->error() == NbdError::kEinval ? Holds()
                                              : Broken(fmt::format("{} of {} bytes at {}: {}", what, request.length,
                                                                   request.offset, engine::ErrorName(answer->error())),
                                                       "NBD_EINVAL");
}

Judgement UnalignedRead(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  const std::uint32_t minimum = entered.block_size.minimum;
  if (auto odd = TooOdd(entered.info.size, minimum)) {
    return std::move(*odd);
  }
  Judgement offset = RefusesUnaligned(entered.session, {.offset = 1, .length = minimum}, "READ");
  if (offset.kind != Judgement::Kind::kHolds) {
    return offset;
  }
  NBDSPEC_TRY(again, context.Enter());
  return RefusesUnaligned(again.session, {.length = minimum + 1}, "READ");
}

Judgement UnalignedWrite(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  const std::uint32_t minimum = entered.block_size.minimum;
  if (auto odd = TooOdd(entered.info.size, minimum)) {
    return std::move(*odd);
  }
  NBDSPEC_TRY(block, FirstBlock(entered.session, minimum));
  return RefusesUnaligned(
      entered.session,
      {.type = CommandType::kWrite, .offset = 1, .length = minimum - 1, .payload = {block.begin() + 1, block.end()}},
      "WRITE");
}

Judgement UnalignedBlockStatus(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter({.structured_replies = true, .contexts = {std::string(engine::kBaseAllocation)}}));
  const std::uint32_t minimum = entered.block_size.minimum;
  if (auto odd = TooOdd(entered.info.size, minimum)) {
    return std::move(*odd);
  }
  return RefusesUnaligned(entered.session, {.type = CommandType::kBlockStatus, .offset = 1, .length = minimum},
                          "BLOCK_STATUS");
}

// --- Past the maximum payload and past the end ---

// WRITE of 32 MiB, which may be more than the server takes, and past the end too: no reason to disconnect.
Judgement LargeWriteIsNoAttack(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  constexpr std::uint32_t kLength = engine::kPayloadBytesDefaultMax;
  if (entered.block_size.maximum >= kLength) {
    return NotApplicable(fmt::format("the server takes {} bytes", entered.block_size.maximum));
  }
  const auto answer = entered.session.Ask(
      Request{.type = CommandType::kWrite, .length = kLength, .payload = engine::Bytes(kLength, 0)});
  if (answer || !answer.error().is_disconnect()) {
    return answer ? Holds() : AsJudgement(answer.error());
  }
  return Broken("WRITE of 32 MiB: " + answer.error().text, "an error");
}

// The commands without a payload that are offered, the harmless one first.
std::vector<std::uint16_t> EffectCommands(const Profile& profile) {
  std::vector<std::uint16_t> commands;
  const bool writable = profile.features.Has(Feature::kWritable);
  if (profile.features.Has(Feature::kCache)) {
    commands.push_back(CommandType::kCache);
  }
  if (writable && profile.features.Has(Feature::kTrim)) {
    commands.push_back(CommandType::kTrim);
  }
  if (writable && profile.features.Has(Feature::kWriteZeroes)) {
    commands.push_back(CommandType::kWriteZeroes);
  }
  return commands;
}

Judgement LargeEffectIsServed(CheckContext& context) {
  const auto commands = EffectCommands(context.profile());
  if (commands.empty()) {
    return NotApplicable("no command without a payload may be used");
  }
  for (const std::uint16_t command : commands) {
    NBDSPEC_TRY(entered, context.Enter());
    const std::uint32_t block = std::max(512U, entered.block_size.minimum);
    const std::uint64_t length = std::uint64_t{entered.block_size.maximum} / block * block + block;
    if (length > entered.info.size || length > UINT32_MAX) {
      return NotApplicable(fmt::format("an export of {} bytes with a maximum payload of {}", entered.info.size,
                                       entered.block_size.maximum));
    }
    const auto answer = entered.session.Ask(Request{.type = command, .length = static_cast<std::uint32_t>(length)});
    if (!answer && answer.error().is_disconnect()) {
      return Broken(fmt::format("{} of {} bytes: {}", engine::CommandName(command), length, answer.error().text),
                    "success, NBD_EOVERFLOW or NBD_EINVAL");
    }
    if (!answer) {
      return AsJudgement(answer.error());
    }
  }
  return Holds();
}

// The one limit of this kind that shows from outside: REQ_ONE allows one descriptor.
Judgement ReqOneIsHonoured(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter({.structured_replies = true, .contexts = {std::string(engine::kBaseAllocation)}}));
  const std::uint64_t block = std::max(512U, entered.block_size.minimum);
  const std::uint64_t length = std::min<std::uint64_t>(entered.info.size, 1 << 30) / block * block;
  if (length == 0) {
    return NotApplicable(fmt::format("the export has {} bytes only", entered.info.size));
  }
  NBDSPEC_TRY(answer, entered.session.Ask(Request{.flags = CommandFlag::kReqOne,
                                                  .type = CommandType::kBlockStatus,
                                                  .length = static_cast<std::uint32_t>(length)}));
  bool any = false;
  for (const engine::Chunk& chunk : answer.chunks) {
    const auto status =
        chunk.type == engine::ChunkType::kBlockStatus ? engine::DecodeBlockStatus(chunk.payload) : std::nullopt;
    any = any || status.has_value();
    if (status && status->descriptors.size() > 1) {
      return Broken(fmt::format("{} descriptors in reply to REQ_ONE", status->descriptors.size()), "one descriptor");
    }
  }
  return any ? Holds() : Inconclusive("BLOCK_STATUS: " + engine::ErrorName(answer.error()));
}

// `length` bytes at the end of the export and as many past it. A client may not ask for that, so the server may close
// the connection for it.
Judgement RefusesPastEnd(CheckContext& context, std::uint16_t command, std::initializer_list<std::uint32_t> errors) {
  NBDSPEC_TRY(entered, context.Enter());
  const std::uint32_t block = std::max(512U, entered.block_size.minimum);
  if (entered.info.size < block || entered.info.size > INT64_MAX || block > 65536) {
    return NotApplicable(fmt::format("the export has {} bytes", entered.info.size));
  }
  Request request{.type = command, .offset = entered.info.size / block * block - block, .length = 4 * block};
  if (command == CommandType::kWrite) {
    request.payload.resize(request.length);
  }
  const std::string allowed = errors.size() > 1 ? "NBD_ENOSPC or NBD_EINVAL" : "NBD_EINVAL";
  const auto answer = entered.session.Ask(request);
  if (!answer) {
    return answer.error().is_disconnect() ? Holds() : Broken(answer.error().text, allowed);
  }
  return std::ranges::find(errors, answer->error()) != errors.end()
             ? Holds()
             : Broken(fmt::format("{} of {} bytes at {} of {}: {}", engine::CommandName(command), request.length,
                                  request.offset, entered.info.size, engine::ErrorName(answer->error())),
                      allowed);
}

Judgement ReadPastEnd(CheckContext& context) {
  return RefusesPastEnd(context, CommandType::kRead, {NbdError::kEinval});
}

Judgement WritePastEnd(CheckContext& context) {
  return RefusesPastEnd(context, CommandType::kWrite, {NbdError::kEinval, NbdError::kEnospc});
}

}  // namespace

std::vector<Check> BlockLimitChecks() {
  return {
      {.id = spec::kBlockSizeServerCleanError,
       .needs = {Feature::kMinimumAboveOne},
       .setup = Setup::kStrictBlockSize,
       .claim = "A client let in by EXPORT_NAME gets an error or the right byte for a READ of one byte.",
       .run = EnteredByNameReadsCleanly},
      {.id = spec::kSub<spec::kBlockSizeServerCleanError, "write">,
       .needs = {Feature::kMinimumAboveOne, Feature::kWritable},
       .setup = Setup::kStrictBlockSize,
       .claim = "A client let in by EXPORT_NAME gets a reply to a WRITE of one byte.",
       .run = EnteredByNameWritesCleanly},
      {.id = spec::kBlockSizeServerNoCorruption,
       .needs = {Feature::kMinimumAboveOne, Feature::kWritable},
       .setup = Setup::kStrictBlockSize,
       .claim = "A WRITE of one byte changes that byte or, refused, nothing.",
       .run = UnalignedWriteHarmsNothing},
      {.id = spec::kOptionInfoUnsolicitedNoAssumption,
       .needs = {Feature::kGo, Feature::kMinimumAboveOne},
       .setup = Setup::kStrictBlockSize,
       .claim = "A client that did not request the block sizes it was told gets an error or the right byte.",
       .run = VolunteeredIsNotRelied},
      {.id = spec::kBlockSizeServerUnalignedEinval,
       .needs = {Feature::kMinimumAboveOne},
       .setup = Setup::kStrictBlockSize,
       .claim = "READ with an unaligned offset or length gets EINVAL.",
       .run = UnalignedRead},
      {.id = spec::kSub<spec::kBlockSizeServerUnalignedEinval, "write">,
       .needs = {Feature::kMinimumAboveOne, Feature::kWritable},
       .setup = Setup::kStrictBlockSize,
       .claim = "An unaligned WRITE gets EINVAL.",
       .run = UnalignedWrite},
      {.id = spec::kSub<spec::kBlockSizeServerUnalignedEinval, "block-status">,
       .needs = {Feature::kMinimumAboveOne, Feature::kBaseAllocation},
       .setup = Setup::kStrictBlockSize,
       .claim = "An unaligned BLOCK_STATUS gets EINVAL.",
       .run = UnalignedBlockStatus},
      {.id = spec::kBlockSizeDosNotUnder32mServer,
       .needs = {Feature::kWritable},
       .claim = "A WRITE of 32 MiB, more than the maximum payload, does not make the server disconnect.",
       .run = LargeWriteIsNoAttack},
      {.id = spec::kBlockSizeServerEffectNoDisconnect,
       .claim = "CACHE, TRIM and WRITE_ZEROES of more than the maximum payload do not make the server disconnect.",
       .run = LargeEffectIsServed},
      {.id = spec::kBlockSizeServerCommandLimits,
       .needs = {Feature::kBaseAllocation},
       .claim = "BLOCK_STATUS of the whole export with REQ_ONE gets one descriptor for each context.",
       .run = ReqOneIsHonoured},
      {.id = spec::kTransmissionBoundsServerEinval, .claim = "A READ past the end gets EINVAL.", .run = ReadPastEnd},
      {.id = spec::kSub<spec::kTransmissionBoundsServerEinval, "write">,
       .needs = {Feature::kWritable},
       .claim = "A WRITE past the end gets ENOSPC or EINVAL.",
       .run = WritePastEnd},
  };
}

}  // namespace nbdspec::conformance
