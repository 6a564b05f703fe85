// SPDX-License-Identifier: BSD-3-Clause
// Checks of limits at work: what becomes of requests that are unaligned, too large or past the end. Spec: proto.md,
// "Size constraints".
#include <fmt/format.h>

#include <algorithm>

#include "conformance/checks/options/haggling.h"
#include "conformance/checks/transmission/asking.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

namespace {

// --- Enforcement against clients that did not ask ---

// The bytes of the first minimum block. Errors: it cannot be read, or the limits cannot be probed on such an export.
std::expected<Bytes, Judgement> FirstBlock(Session& session, std::uint64_t export_size, std::uint32_t minimum) {
  constexpr std::uint32_t kMinimumMax = 65536;
  if (minimum < 2 || minimum > kMinimumMax || export_size / 4 < minimum) {
    return Stop(
        NotApplicable(fmt::format("an export of {} bytes with a minimum block size of {}", export_size, minimum)));
  }
  return ReadBytes(session, {.begin = 0, .end = minimum});
}

// READ of one byte inside the first block: an error, or that byte.
Judgement ReadsCleanly(Session& session, std::uint64_t export_size, std::uint32_t minimum) {
  NBDSPEC_TRY(block, FirstBlock(session, export_size, minimum));
  constexpr std::string_view kAllowed = "an error, or the right byte";
  const auto answer = session.Ask(Request{.offset = 1, .length = 1});
  if (!answer || answer->error() != NbdError::kOk) {
    return answer ? Holds() : Broken("READ of 1 byte at offset 1: " + answer.error().text, kAllowed);
  }
  return Require(answer->simple && answer->simple->data == Bytes{block[1]},
                 "READ of 1 byte at offset 1: a byte that differs from the whole block's", kAllowed);
}

Judgement EnteredByNameReadsCleanly(CheckContext& context) {
  NBDSPEC_TRY(entered, EnterByName(context));
  return ReadsCleanly(entered.session, entered.reply->size, context.profile().block_size.minimum);
}

// Entered by GO without a request for block sizes, which the server may send all the same.
Judgement VolunteeredIsNotRelied(CheckContext& context) {
  NBDSPEC_TRY(entered, EnterByGo(context, {}));
  if (!entered.block_size || entered.block_size->minimum < 2) {
    return NotApplicable("no minimum block size above 1 is volunteered");
  }
  return ReadsCleanly(entered.session, entered.info.size, entered.block_size->minimum);
}

Judgement EnteredByNameWritesCleanly(CheckContext& context) {
  NBDSPEC_TRY(entered, EnterByName(context));
  NBDSPEC_TRY(block, FirstBlock(entered.session, entered.reply->size, context.profile().block_size.minimum));
  const auto answer = entered.session.Ask(WriteOf(1, {block[1]}));
  return answer ? Holds()
                : Broken("WRITE of 1 byte at offset 1: " + answer.error().text, "an error, or the byte is written");
}

// A failed WRITE leaves the block as it was, a successful one changes its byte only; one without a reply may have done
// either. The block is looked at on the same connection while it lives: others need not see the change yet.
Judgement UnalignedWriteHarmsNothing(CheckContext& context) {
  NBDSPEC_TRY(entered, EnterByGo(context, {}));
  const std::uint32_t minimum = context.profile().block_size.minimum;
  NBDSPEC_TRY(before, FirstBlock(entered.session, entered.info.size, minimum));
  const auto other = static_cast<std::uint8_t>(before[1] ^ 0xff);
  const auto answer = entered.session.Ask(WriteOf(1, {other}));
  if (!answer) {
    NBDSPEC_TRY(again, context.Enter());
    entered.session = std::move(again.session);
  }
  NBDSPEC_TRY(after, FirstBlock(entered.session, entered.info.size, minimum));
  Bytes wanted = before;
  if (answer ? answer->error() == NbdError::kOk : after[1] == other) {
    wanted[1] = other;
  }
  Judgement judgement = Compare(after, wanted, 0, "a refused request changes nothing");
  judgement.saw +=
      " after a WRITE of 1 byte at offset 1: " + (answer ? ErrorName(answer->error()) : answer.error().text);
  return judgement.holds() ? Holds() : judgement;
}

// --- Enforcement against clients that did ask ---

// Applies the rule of the check. Such a request is a client's fault, so the server may close the connection for it.
Judgement RefusesOrEnds(CheckContext& context, Entered& entered, Request request) {
  const Batch batch = AskOnce(entered, std::move(request));
  if (batch.endings.empty()) {
    return JudgeFirst(context, batch);
  }
  const ReceiveError& ended = batch.endings.back();
  return Require(ended.is_disconnect(), ended.text, "an error, or the end of the connection");
}

// An unaligned `command`; the data of a WRITE is what is there already.
template <std::uint16_t command>
Judgement RefusesUnaligned(CheckContext& context) {
  NBDSPEC_TRY(entered, command == CommandType::kBlockStatus ? context.EnterWithAll() : context.Enter());
  const std::uint32_t minimum = entered.block_size().minimum;
  NBDSPEC_TRY(block, FirstBlock(entered.session, entered.size(), minimum));
  if (command == CommandType::kWrite) {
    return RefusesOrEnds(context, entered, WriteOf(1, {block.begin() + 1, block.end()}));
  }
  Judgement judgement = RefusesOrEnds(context, entered, {.type = command, .offset = 1, .length = minimum});
  if (command == CommandType::kBlockStatus || !judgement.holds()) {
    return judgement;
  }
  NBDSPEC_TRY(again, context.Enter());
  return RefusesOrEnds(context, again, {.type = command, .length = minimum + 1});
}

// --- Past the maximum payload and past the end ---

// WRITE of 32 MiB, which may be more than the server takes, and past the end too: no reason to disconnect.
Judgement LargeWriteIsNoAttack(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  constexpr std::uint32_t kLength = engine::kPayloadBytesDefaultMax;
  if (entered.block_size().maximum >= kLength) {
    return NotApplicable(fmt::format("the server takes {} bytes", entered.block_size().maximum));
  }
  const auto answer = entered.session.Ask(WriteOf(0, Bytes(kLength)));
  return answer ? Holds() : MayNotDisconnect(answer.error(), "WRITE of 32 MiB: ", "an error");
}

Judgement LargeEffectIsServed(CheckContext& context) {
  Judgement result = NotApplicable("no command without a payload may be used");
  // The harmless one first.
  for (const std::uint16_t command : {CommandType::kCache, CommandType::kTrim, CommandType::kWriteZeroes}) {
    NBDSPEC_TRY(entered, context.Enter());
    const bool is_offered = !LegalityOf({.type = command}, *entered.agreed).is_illegal();
    if (!is_offered || (engine::Changes(command) && !context.Offers(Feature::kWritable))) {
      continue;
    }
    const std::uint32_t block = std::max(512U, entered.block_size().minimum);
    const std::uint64_t length = std::uint64_t{entered.block_size().maximum} / block * block + block;
    if (length > entered.size() || length > UINT32_MAX) {
      return NotApplicable(fmt::format("an export of {} bytes with a maximum payload of {}", entered.size(),
                                       entered.block_size().maximum));
    }
    const auto answer = entered.session.Ask(Request{.type = command, .length = static_cast<std::uint32_t>(length)});
    if (!answer) {
      return MayNotDisconnect(answer.error(), fmt::format("{} of {} bytes: ", CommandName(command), length),
                              "success, NBD_EOVERFLOW or NBD_EINVAL");
    }
    result = Holds();
  }
  return result;
}

// The one limit of this kind that shows from outside: REQ_ONE allows one descriptor.
Judgement ReqOneIsHonoured(CheckContext& context) {
  NBDSPEC_TRY(entered, context.EnterWithAll());
  const std::uint64_t block = std::max(512U, entered.block_size().minimum);
  const std::uint64_t length = std::min<std::uint64_t>(entered.size(), 1 << 30) / block * block;
  if (length == 0) {
    return NotApplicable(fmt::format("the export has {} bytes only", entered.size()));
  }
  const Batch batch =
      AskOnce(entered, RequestFor(CommandType::kBlockStatus, {.begin = 0, .end = length}, CommandFlag::kReqOne));
  Judgement judgement =
      batch.endings.empty() ? JudgeByRule(spec::kBlockStatusReqOneSingle, batch) : AsJudgement(batch.endings.back());
  return judgement.kind == Judgement::Kind::kNotApplicable
             ? Inconclusive("BLOCK_STATUS: " + ErrorName(batch.first().error()))
             : judgement;
}

// `length` bytes at the end of the export and as many past it.
template <std::uint16_t command>
Judgement RefusesPastEnd(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  const std::uint64_t block = std::max(512U, entered.block_size().minimum);
  if (entered.size() < block || entered.size() > INT64_MAX || block > 65536) {
    return NotApplicable(fmt::format("the export has {} bytes", entered.size()));
  }
  const std::uint64_t begin = entered.size() / block * block - block;
  return RefusesOrEnds(context, entered,
                       command == CommandType::kWrite
                           ? WriteOf(begin, Bytes(4 * block))
                           : RequestFor(command, {.begin = begin, .end = begin + 4 * block}));
}

}  // namespace

std::vector<Check> BlockLimitChecks() {
  constexpr Features kMinimumWritable = Feature::kMinimumAboveOne | Feature::kWritable;
  constexpr Setup kStrict = Setup::kStrictBlockSize;
  return {
      {spec::kBlockSizeServerCleanError,
       "A client that entered by EXPORT_NAME gets an error or the right byte for a READ of one byte.",
       EnteredByNameReadsCleanly, Feature::kMinimumAboveOne, kStrict},
      {spec::kSub<spec::kBlockSizeServerCleanError, "write">,
       "A client that entered by EXPORT_NAME gets a reply to a WRITE of one byte.", EnteredByNameWritesCleanly,
       kMinimumWritable, kStrict},
      {spec::kBlockSizeServerNoCorruption, "A WRITE of one byte changes that byte or, refused, nothing.",
       UnalignedWriteHarmsNothing, kMinimumWritable, kStrict},
      {spec::kOptionInfoUnsolicitedNoAssumption,
       "A client that received block sizes without a request for them gets an error or the right byte.",
       VolunteeredIsNotRelied, Feature::kGo | Feature::kMinimumAboveOne, kStrict},
      {spec::kBlockSizeServerUnalignedEinval, "READ with an unaligned offset or length gets EINVAL.",
       RefusesUnaligned<CommandType::kRead>, Feature::kMinimumAboveOne, kStrict},
      {spec::kSub<spec::kBlockSizeServerUnalignedEinval, "write">, "An unaligned WRITE gets EINVAL.",
       RefusesUnaligned<CommandType::kWrite>, kMinimumWritable, kStrict},
      {spec::kSub<spec::kBlockSizeServerUnalignedEinval, "block-status">, "An unaligned BLOCK_STATUS gets EINVAL.",
       RefusesUnaligned<CommandType::kBlockStatus>, Feature::kMinimumAboveOne | Feature::kBaseAllocation, kStrict},
      {spec::kBlockSizeDosNotUnder32mServer,
       "A WRITE of 32 MiB, more than the maximum payload, does not make the server disconnect.", LargeWriteIsNoAttack,
       Feature::kWritable},
      {spec::kBlockSizeServerEffectNoDisconnect,
       "CACHE, TRIM and WRITE_ZEROES of more than the maximum payload do not make the server disconnect.",
       LargeEffectIsServed},
      {spec::kBlockSizeServerCommandLimits,
       "BLOCK_STATUS of the whole export with REQ_ONE gets one descriptor for each context.", ReqOneIsHonoured,
       Feature::kBaseAllocation},
      {spec::kTransmissionBoundsServerEinval, "A READ past the end gets EINVAL.", RefusesPastEnd<CommandType::kRead>},
      {spec::kSub<spec::kTransmissionBoundsServerEinval, "write">, "A WRITE past the end gets ENOSPC or EINVAL.",
       RefusesPastEnd<CommandType::kWrite>, Feature::kWritable},
  };
}

}  // namespace nbdspec::conformance
