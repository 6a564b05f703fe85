// SPDX-License-Identifier: BSD-3-Clause
// Checks of block sizes: how they are advertised, when they are demanded, and what becomes of requests that are
// unaligned, too large or past the end. Spec: proto.md, "Size constraints", "NBD_INFO_BLOCK_SIZE".
#include <bit>

#include "conformance/checks/options/haggling.h"
#include "conformance/checks/transmission/asking.h"

namespace nbdspec::conformance {

namespace {

std::string SizesText(const InfoBlockSize& block) {
  return fmt::format("minimum {}, preferred {}, maximum {}", block.minimum, block.preferred, block.maximum);
}

// --- What is advertised ---

// What block sizes must be on an export of so many bytes.
struct SizesRule {
  std::string_view expected;
  bool (*holds)(const InfoBlockSize& block, std::uint64_t export_size);
};
constexpr SizesRule kMinimumIsPowerOf2 = {"a power of 2 as minimum",
                                          [](const auto& block, auto) { return std::has_single_bit(block.minimum); }};
constexpr SizesRule kMinimumIsSmall = {"a minimum of at most 65536",
                                       [](const auto& block, auto) { return block.minimum <= 65536; }};
constexpr SizesRule kPreferredIsPowerOf2 = {
    "a power of 2 as preferred size", [](const auto& block, auto) { return std::has_single_bit(block.preferred); }};
constexpr SizesRule kPreferredIsLarge = {
    "a preferred size of at least 512 and the minimum",
    [](const auto& block, auto) { return block.preferred >= std::max(block.minimum, 512U); }};
constexpr SizesRule kMaximumHoldsPreferred = {"a maximum not below preferred",
                                              [](const auto& block, auto) { return block.maximum >= block.preferred; }};
constexpr SizesRule kMaximumIsLarge = {"a maximum of at least 1048576",
                                       [](const auto& block, auto) { return block.maximum >= kMiB; }};
constexpr SizesRule kSizeIsWholeBlocks = {"a multiple of the minimum",
                                          [](const auto& block, auto size) { return size % block.minimum == 0; }};

// Judges the block sizes that GO returns by `rule`, on an export of at least `size_min` bytes.
template <const SizesRule& rule, std::uint64_t size_min = 0>
Judgement SizesKeep(CheckContext& context) {
  NBDSPEC_TRY(answer, AskGo(context, {InfoType::kBlockSize}));
  if (!answer.block_size) {
    return NotApplicable("GO with a request for block sizes: " + TypesOf(answer.replies) +
                         ", without an NBD_INFO_BLOCK_SIZE of 14 bytes");
  }
  const std::string saw = fmt::format("size {}, {}", answer.info.size, SizesText(*answer.block_size));
  if (answer.info.size < size_min || (&rule == &kSizeIsWholeBlocks && answer.block_size->minimum == 0)) {
    return NotApplicable(saw);
  }
  return Require(rule.holds(*answer.block_size, answer.info.size), saw, rule.expected);
}

// --- What must be advertised ---

// Where no block sizes are advertised: a READ of one byte at offset 1 may not get EINVAL.
Judgement ServesOneByte(Session& session, std::uint64_t export_size, std::string_view allowed) {
  if (export_size < 2) {
    return NotApplicable(fmt::format("the export has {} bytes only", export_size));
  }
  NBDSPEC_TRY(answer, session.Ask(Request{.offset = 1, .length = 1}));
  return Require(answer.error() != NbdError::kEinval,
                 "READ of 1 byte at offset 1: NBD_EINVAL, and no NBD_INFO_BLOCK_SIZE", allowed);
}

Judgement AdvertisesToGo(CheckContext& context) {
  NBDSPEC_TRY(answer, EnterByGo(context, {InfoType::kBlockSize}));
  if (FindInfo(answer.replies, InfoType::kBlockSize) != nullptr) {
    return Holds();
  }
  return ServesOneByte(answer.session, answer.info.size,
                       "a server sends block sizes that it enforces when asked for them");
}

// INFO's way to ask; whether they are enforced shows only in transmission, on a second connection: some servers serve
// one client at a time.
Judgement AdvertisesToInfo(CheckContext& context) {
  NBDSPEC_TRY(info, context.AskOption(InfoOption(OptionType::kInfo, context.export_name)));
  if (!IsAcknowledged(info)) {
    return NotApplicable("INFO was answered " + TypesOf(info));
  }
  if (FindInfo(info, InfoType::kBlockSize) != nullptr) {
    return Holds();
  }
  NBDSPEC_TRY(entered, context.Enter());
  return ServesOneByte(entered.session, entered.size(), "a server with other limits than the default says so");
}

// Into transmission with a server that advertises no block sizes.
std::expected<GoAnswer, Judgement> EnterUnadvertised(CheckContext& context) {
  NBDSPEC_TRY(answer, EnterByGo(context, {InfoType::kBlockSize}));
  if (FindInfo(answer.replies, InfoType::kBlockSize) != nullptr) {
    return Stop(NotApplicable("the server advertises block sizes"));
  }
  return std::move(answer);
}

Judgement DefaultMinimumIs1(CheckContext& context) {
  NBDSPEC_TRY(answer, EnterUnadvertised(context));
  return ServesOneByte(answer.session, answer.info.size, "a minimum block size of 1 by default");
}

// READ may be refused for its length with EOVERFLOW.
Judgement DefaultMaximumIs32M(CheckContext& context) {
  NBDSPEC_TRY(answer, EnterUnadvertised(context));
  constexpr std::uint32_t kLength = kPayloadBytesDefaultMax;
  if (answer.info.size < kLength) {
    return NotApplicable(fmt::format("the export has {} bytes only", answer.info.size));
  }
  constexpr std::string_view kAllowed = "payloads of 33554432 bytes by default";
  const auto read = answer.session.Ask(Request{.length = kLength});
  if (!read) {
    return MayNotDisconnect(read.error(), "READ of 32 MiB: ", kAllowed);
  }
  const std::uint32_t error = read->error();
  return Require(error == NbdError::kOk || error == NbdError::kEoverflow, "READ of 32 MiB: " + ErrorName(error),
                 kAllowed);
}

// --- NBD_REP_ERR_BLOCK_SIZE_REQD ---

bool IsSizeRequired(const Replies& replies) { return EndsIn(replies, OptionReplyType::kErrBlockSizeReqd); }

Judgement NotRequiredOfWhoAsked(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  for (const std::uint32_t option : {OptionType::kInfo, OptionType::kGo}) {
    NBDSPEC_TRY(replies, session.Ask(InfoOption(option, context.export_name)));
    if (IsSizeRequired(replies)) {
      return Broken(OptionName(option) + " with a request for block sizes: " + TypesOf(replies),
                    "any reply but NBD_REP_ERR_BLOCK_SIZE_REQD");
    }
  }
  return Holds();
}

Judgement NeverRequired(CheckContext& context) {
  NBDSPEC_TRY(answer, AskGo(context, {}));
  return Require(!IsSizeRequired(answer.replies), TypesOf(answer.replies),
                 "clients that do not ask for block sizes are let in too");
}

// GO without requests, of a server with the default limits, must not fail for that.
Judgement NotRequiredByDefault(CheckContext& context) {
  const InfoBlockSize& block = context.profile.block_size;
  return block.minimum > 1 || block.maximum < kPayloadBytesDefaultMax
             ? NotApplicable("the server has block sizes of its own: " + SizesText(block))
             : NeverRequired(context);
}

Judgement RequiredAfterInfo(CheckContext& context) {
  NBDSPEC_TRY(answer, AskGo(context, {}));
  return IsSizeRequired(answer.replies)
             ? Require(FindInfo(answer.replies, InfoType::kBlockSize) != nullptr, TypesOf(answer.replies),
                       "NBD_INFO_BLOCK_SIZE before NBD_REP_ERR_BLOCK_SIZE_REQD")
             : NotApplicable("GO without requests was answered " + TypesOf(answer.replies));
}

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
  return ReadsCleanly(entered.session, entered.reply->size, context.profile.block_size.minimum);
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
  NBDSPEC_TRY(block, FirstBlock(entered.session, entered.reply->size, context.profile.block_size.minimum));
  const auto answer = entered.session.Ask(WriteOf(1, {block[1]}));
  return answer ? Holds()
                : Broken("WRITE of 1 byte at offset 1: " + answer.error().text, "an error, or the byte is written");
}

// A failed WRITE leaves the block as it was, a successful one changes its byte only; one without a reply may have done
// either. The block is looked at on the same connection while it lives: others need not see the change yet.
Judgement UnalignedWriteHarmsNothing(CheckContext& context) {
  NBDSPEC_TRY(entered, EnterByGo(context, {}));
  const std::uint32_t minimum = context.profile.block_size.minimum;
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
  constexpr std::uint32_t kLength = kPayloadBytesDefaultMax;
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
    if (!IsOffered(entered, command) || (Changes(command) && !context.Offers(Feature::kWritable))) {
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
  Judgement judgement = batch.endings.empty() ? JudgeBy(RuleOf(kBlockStatusReqOneSingle), batch.exchanges.front())
                                              : AsJudgement(batch.endings.back());
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

std::vector<Check> BlockSizeChecks() {
  constexpr Setup kStrict = Setup::kStrictBlockSize;
  constexpr Features kMinimumWritable = Feature::kMinimumAboveOne | Feature::kWritable;
  return {
      {kBlockSizeServerAdvertise,
       "A server that refuses a READ of one byte at offset 1 gave block sizes when INFO asked for them.",
       AdvertisesToInfo, Feature::kInfo, kStrict},
      {kBlockSizeServerAdvertiseUnlessOob,
       "A server that refuses a READ of one byte at offset 1 gave block sizes to GO.", AdvertisesToGo, Feature::kGo,
       kStrict},
      {kRepInfoBlockSizeRequired, "GO's request for block sizes is answered where they are enforced.", AdvertisesToGo,
       Feature::kGo, kStrict},
      {kBlockSizeDefaultMin1,
       "Without advertised block sizes a READ of one byte at offset 1 is not refused with EINVAL.", DefaultMinimumIs1,
       Feature::kGo},
      {kBlockSizeDefaultMax32m, "Without advertised block sizes a READ of 32 MiB is served.", DefaultMaximumIs32M,
       Feature::kGo},
      {kBlockSizeMinPowerOf2, "The minimum block size is a power of two.", SizesKeep<kMinimumIsPowerOf2>, Feature::kGo},
      {kSub<kBlockSizeMinPowerOf2, "strict">, "The minimum block size that is enforced is a power of two.",
       SizesKeep<kMinimumIsPowerOf2>, Feature::kGo, kStrict},
      {kBlockSizeMinCap65536, "The minimum block size is at most 65536.", SizesKeep<kMinimumIsSmall>, Feature::kGo,
       kStrict},
      {kBlockSizeExportSizeMultipleOfMin, "The export's size is a multiple of the minimum block size.",
       SizesKeep<kSizeIsWholeBlocks>, Feature::kGo, kStrict},
      {kBlockSizePreferredPowerOf2, "The preferred block size is a power of two.", SizesKeep<kPreferredIsPowerOf2>,
       Feature::kGo},
      {kBlockSizePreferredFloor, "The preferred block size is at least 512 and the minimum.",
       SizesKeep<kPreferredIsLarge>, Feature::kGo},
      {kSub<kBlockSizePreferredFloor, "strict">, "The preferred block size is at least the minimum that is enforced.",
       SizesKeep<kPreferredIsLarge>, Feature::kGo, kStrict},
      {kBlockSizeMaxFloorPreferred, "The maximum payload is at least the preferred block size.",
       SizesKeep<kMaximumHoldsPreferred>, Feature::kGo},
      {kBlockSizeMaxFloor1m, "The maximum payload is at least 1 MiB, on an export of that size.",
       SizesKeep<kMaximumIsLarge, kMiB>, Feature::kGo},
      {kOptionInfoBsreqNotIfAsked, "INFO and GO that request block sizes do not get ERR_BLOCK_SIZE_REQD.",
       NotRequiredOfWhoAsked, Feature::kGo, kStrict},
      {kOptionInfoBsreqNotDefault,
       "GO without requests does not get ERR_BLOCK_SIZE_REQD where the limits are the default ones.",
       NotRequiredByDefault, Feature::kGo},
      {kBlockSizeServerNoNeedlessRefusal,
       "Clients that do not ask for block sizes are let in where the limits are the default ones.",
       NotRequiredByDefault, Feature::kGo},
      {kOptionInfoBsreqInfoFirst, "INFO_BLOCK_SIZE precedes ERR_BLOCK_SIZE_REQD.", RequiredAfterInfo, Feature::kGo,
       kStrict},
      {kInteropBlockSizeServerNotRequired,
       "Clients that do not ask for block sizes are let in even where they are enforced.", NeverRequired, Feature::kGo,
       kStrict},
      {kBlockSizeServerCleanError,
       "A client that entered by EXPORT_NAME gets an error or the right byte for a READ of one byte.",
       EnteredByNameReadsCleanly, Feature::kMinimumAboveOne, kStrict},
      {kSub<kBlockSizeServerCleanError, "write">,
       "A client that entered by EXPORT_NAME gets a reply to a WRITE of one byte.", EnteredByNameWritesCleanly,
       kMinimumWritable, kStrict},
      {kBlockSizeServerNoCorruption, "A WRITE of one byte changes that byte or, refused, nothing.",
       UnalignedWriteHarmsNothing, kMinimumWritable, kStrict},
      {kOptionInfoUnsolicitedNoAssumption,
       "A client that received block sizes without a request for them gets an error or the right byte.",
       VolunteeredIsNotRelied, Feature::kGo | Feature::kMinimumAboveOne, kStrict},
      {kBlockSizeServerUnalignedEinval, "READ with an unaligned offset or length gets EINVAL.",
       RefusesUnaligned<CommandType::kRead>, Feature::kMinimumAboveOne, kStrict},
      {kSub<kBlockSizeServerUnalignedEinval, "write">, "An unaligned WRITE gets EINVAL.",
       RefusesUnaligned<CommandType::kWrite>, kMinimumWritable, kStrict},
      {kSub<kBlockSizeServerUnalignedEinval, "block-status">, "An unaligned BLOCK_STATUS gets EINVAL.",
       RefusesUnaligned<CommandType::kBlockStatus>, Feature::kMinimumAboveOne | Feature::kBaseAllocation, kStrict},
      {kSub<kBlockSizeServerUnalignedEinval, "cache">, "An unaligned CACHE gets EINVAL.",
       RefusesUnaligned<CommandType::kCache>, Feature::kMinimumAboveOne | Feature::kCache, kStrict},
      {kSub<kBlockSizeServerUnalignedEinval, "trim">, "An unaligned TRIM gets EINVAL.",
       RefusesUnaligned<CommandType::kTrim>, kMinimumWritable | Feature::kTrim, kStrict},
      {kSub<kBlockSizeServerUnalignedEinval, "write-zeroes">, "An unaligned WRITE_ZEROES gets EINVAL.",
       RefusesUnaligned<CommandType::kWriteZeroes>, kMinimumWritable | Feature::kWriteZeroes, kStrict},
      {kBlockSizeDosNotUnder32mServer,
       "A WRITE of 32 MiB, more than the maximum payload, does not make the server disconnect.", LargeWriteIsNoAttack,
       Feature::kWritable},
      {kBlockSizeServerEffectNoDisconnect,
       "CACHE, TRIM and WRITE_ZEROES of more than the maximum payload do not make the server disconnect.",
       LargeEffectIsServed},
      {kBlockSizeServerCommandLimits,
       "BLOCK_STATUS of the whole export with REQ_ONE gets one descriptor for each context.", ReqOneIsHonoured,
       Feature::kBaseAllocation},
      {kTransmissionBoundsServerEinval, "A READ past the end gets EINVAL.", RefusesPastEnd<CommandType::kRead>},
      {kSub<kTransmissionBoundsServerEinval, "write">, "A WRITE past the end gets ENOSPC or EINVAL.",
       RefusesPastEnd<CommandType::kWrite>, Feature::kWritable},
  };
}

}  // namespace nbdspec::conformance
