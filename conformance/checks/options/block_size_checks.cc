// SPDX-License-Identifier: BSD-3-Clause
// Checks of block sizes: how they are advertised, and when they are demanded. Spec: proto.md, "Size constraints",
// "NBD_INFO_BLOCK_SIZE".
#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "conformance/checks/options/haggling.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

namespace {

constexpr std::uint32_t kMiB = 1 << 20;

std::string SizesText(const InfoBlockSize& block) {
  return fmt::format("minimum {}, preferred {}, maximum {}", block.minimum, block.preferred, block.maximum);
}

// --- What is advertised ---

// What block sizes break on an export of so many bytes: what is expected instead; empty when nothing.
using SizesRule = std::string_view (*)(const InfoBlockSize& block, std::uint64_t export_size);

std::string_view MinimumIsPowerOf2(const InfoBlockSize& block, std::uint64_t) {
  return std::has_single_bit(block.minimum) ? "" : "a power of 2 as minimum";
}
std::string_view MinimumIsSmall(const InfoBlockSize& block, std::uint64_t) {
  return block.minimum <= 65536 ? "" : "a minimum of at most 65536";
}
std::string_view PreferredIsPowerOf2(const InfoBlockSize& block, std::uint64_t) {
  return std::has_single_bit(block.preferred) ? "" : "a power of 2 as preferred size";
}
std::string_view PreferredIsLarge(const InfoBlockSize& block, std::uint64_t) {
  return block.preferred >= std::max(block.minimum, 512U) ? "" : "a preferred size of at least 512 and the minimum";
}
std::string_view MaximumHoldsPreferred(const InfoBlockSize& block, std::uint64_t) {
  return block.maximum >= block.preferred ? "" : "a maximum not below preferred";
}
std::string_view MaximumIsLarge(const InfoBlockSize& block, std::uint64_t) {
  return block.maximum >= kMiB ? "" : "a maximum of at least 1048576";
}
std::string_view SizeIsWholeBlocks(const InfoBlockSize& block, std::uint64_t size) {
  return size % block.minimum == 0 ? "" : "a multiple of the minimum";
}

// Judges the block sizes that GO returns by `rule`, on an export of at least `size_min` bytes.
template <SizesRule rule, std::uint64_t size_min = 0>
Judgement SizesKeep(CheckContext& context) {
  NBDSPEC_TRY(answer, AskGo(context, {InfoType::kBlockSize}));
  if (!answer.block_size) {
    return NotApplicable("GO with a request for block sizes: " + TypesOf(answer.replies) +
                         ", without an NBD_INFO_BLOCK_SIZE of 14 bytes");
  }
  const std::string saw = fmt::format("size {}, {}", answer.info.size, SizesText(*answer.block_size));
  if (answer.info.size < size_min || (rule == SizeIsWholeBlocks && answer.block_size->minimum == 0)) {
    return NotApplicable(saw);
  }
  const std::string_view expected = rule(*answer.block_size, answer.info.size);
  return Require(expected.empty(), saw, expected);
}

// --- What must be advertised ---

// Whether a READ of one byte at offset 1 gets EINVAL. Errors: no reply, or too small an export.
std::expected<bool, Judgement> RefusesOneByte(Session& session, std::uint64_t export_size) {
  if (export_size < 2) {
    return Stop(NotApplicable(fmt::format("the export has {} bytes only", export_size)));
  }
  NBDSPEC_TRY(answer, session.Ask(Request{.offset = 1, .length = 1}));
  return answer.error() == NbdError::kEinval;
}

Judgement MustNotRefuse(bool refuses, std::string_view allowed) {
  return Require(!refuses, "READ of 1 byte at offset 1: NBD_EINVAL, and no NBD_INFO_BLOCK_SIZE", allowed);
}

Judgement AdvertisesToGo(CheckContext& context) {
  NBDSPEC_TRY(answer, EnterByGo(context, {InfoType::kBlockSize}));
  if (FindInfo(answer.replies, InfoType::kBlockSize) != nullptr) {
    return Holds();
  }
  NBDSPEC_TRY(refuses, RefusesOneByte(answer.session, answer.info.size));
  return MustNotRefuse(refuses, "a server sends block sizes that it enforces when asked for them");
}

// INFO's way to ask; whether they are enforced shows only in transmission, on a second connection: some servers serve
// one client at a time.
Judgement AdvertisesToInfo(CheckContext& context) {
  NBDSPEC_TRY(info, context.AskOption(InfoOption(OptionType::kInfo, context.export_name())));
  if (!IsAcknowledged(info)) {
    return NotApplicable("INFO was answered " + TypesOf(info));
  }
  if (FindInfo(info, InfoType::kBlockSize) != nullptr) {
    return Holds();
  }
  NBDSPEC_TRY(entered, context.Enter());
  NBDSPEC_TRY(refuses, RefusesOneByte(entered.session, entered.size()));
  return MustNotRefuse(refuses, "a server with other limits than the default says so");
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
  NBDSPEC_TRY(refuses, RefusesOneByte(answer.session, answer.info.size));
  return MustNotRefuse(refuses, "a minimum block size of 1 by default");
}

// READ may be refused for its length with EOVERFLOW.
Judgement DefaultMaximumIs32M(CheckContext& context) {
  NBDSPEC_TRY(answer, EnterUnadvertised(context));
  constexpr std::uint32_t kLength = engine::kPayloadBytesDefaultMax;
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
    NBDSPEC_TRY(replies, session.Ask(InfoOption(option, context.export_name())));
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
  const InfoBlockSize& block = context.profile().block_size;
  return block.minimum > 1 || block.maximum < engine::kPayloadBytesDefaultMax
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

}  // namespace

std::vector<Check> BlockSizeChecks() {
  constexpr Setup kStrict = Setup::kStrictBlockSize;
  return {
      {spec::kBlockSizeServerAdvertise,
       "A server that refuses a READ of one byte at offset 1 gave block sizes when INFO asked for them.",
       AdvertisesToInfo, Feature::kInfo, kStrict},
      {spec::kBlockSizeServerAdvertiseUnlessOob,
       "A server that refuses a READ of one byte at offset 1 gave block sizes to GO.", AdvertisesToGo, Feature::kGo,
       kStrict},
      {spec::kRepInfoBlockSizeRequired, "GO's request for block sizes is answered where they are enforced.",
       AdvertisesToGo, Feature::kGo, kStrict},
      {spec::kBlockSizeDefaultMin1,
       "Without advertised block sizes a READ of one byte at offset 1 is not refused with EINVAL.", DefaultMinimumIs1,
       Feature::kGo},
      {spec::kBlockSizeDefaultMax32m, "Without advertised block sizes a READ of 32 MiB is served.", DefaultMaximumIs32M,
       Feature::kGo},
      {spec::kBlockSizeMinPowerOf2, "The minimum block size is a power of two.", SizesKeep<MinimumIsPowerOf2>,
       Feature::kGo},
      {spec::kSub<spec::kBlockSizeMinPowerOf2, "strict">, "The minimum block size that is enforced is a power of two.",
       SizesKeep<MinimumIsPowerOf2>, Feature::kGo, kStrict},
      {spec::kBlockSizeMinCap65536, "The minimum block size is at most 65536.", SizesKeep<MinimumIsSmall>, Feature::kGo,
       kStrict},
      {spec::kBlockSizeExportSizeMultipleOfMin, "The export's size is a multiple of the minimum block size.",
       SizesKeep<SizeIsWholeBlocks>, Feature::kGo, kStrict},
      {spec::kBlockSizePreferredPowerOf2, "The preferred block size is a power of two.", SizesKeep<PreferredIsPowerOf2>,
       Feature::kGo},
      {spec::kBlockSizePreferredFloor, "The preferred block size is at least 512 and the minimum.",
       SizesKeep<PreferredIsLarge>, Feature::kGo},
      {spec::kSub<spec::kBlockSizePreferredFloor, "strict">,
       "The preferred block size is at least the minimum that is enforced.", SizesKeep<PreferredIsLarge>, Feature::kGo,
       kStrict},
      {spec::kBlockSizeMaxFloorPreferred, "The maximum payload is at least the preferred block size.",
       SizesKeep<MaximumHoldsPreferred>, Feature::kGo},
      {spec::kBlockSizeMaxFloor1m, "The maximum payload is at least 1 MiB, on an export of that size.",
       SizesKeep<MaximumIsLarge, kMiB>, Feature::kGo},
      {spec::kOptionInfoBsreqNotIfAsked, "INFO and GO that request block sizes do not get ERR_BLOCK_SIZE_REQD.",
       NotRequiredOfWhoAsked, Feature::kGo, kStrict},
      {spec::kOptionInfoBsreqNotDefault,
       "GO without requests does not get ERR_BLOCK_SIZE_REQD where the limits are the default ones.",
       NotRequiredByDefault, Feature::kGo},
      {spec::kBlockSizeServerNoNeedlessRefusal,
       "Clients that do not ask for block sizes are let in where the limits are the default ones.",
       NotRequiredByDefault, Feature::kGo},
      {spec::kOptionInfoBsreqInfoFirst, "INFO_BLOCK_SIZE precedes ERR_BLOCK_SIZE_REQD.", RequiredAfterInfo,
       Feature::kGo, kStrict},
      {spec::kInteropBlockSizeServerNotRequired,
       "Clients that do not ask for block sizes are let in even where they are enforced.", NeverRequired, Feature::kGo,
       kStrict},
  };
}

}  // namespace nbdspec::conformance
