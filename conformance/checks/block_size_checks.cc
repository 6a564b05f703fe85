// SPDX-License-Identifier: BSD-3-Clause
// Checks of block sizes: how they are advertised, and when they are demanded. Spec: proto.md, "Size constraints",
// "NBD_INFO_BLOCK_SIZE".
#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "conformance/checks/check.h"
#include "conformance/checks/haggling.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::InfoBlockSize;
using engine::InfoType;
using engine::NbdError;
using engine::OptionReplyType;
using engine::OptionType;
using engine::Request;

namespace {

constexpr std::uint32_t kMiB = 1 << 20;

std::string SizesText(const InfoBlockSize& block) {
  return fmt::format("minimum {}, preferred {}, maximum {}", block.minimum, block.preferred, block.maximum);
}

// --- What is advertised ---

struct Advertised {
  InfoBlockSize block;
  engine::InfoExport info;
};

std::expected<Advertised, Judgement> AskBlockSize(CheckContext& context) {
  auto answer = AskGo(context, {InfoType::kBlockSize});
  if (!answer) {
    return std::unexpected(std::move(answer).error());
  }
  if (!answer->block_size) {
    return std::unexpected(NotApplicable("GO with a request for block sizes: " + TypesOf(answer->replies) +
                                         ", without an NBD_INFO_BLOCK_SIZE of 14 bytes"));
  }
  return Advertised{.block = *answer->block_size, .info = answer->info};
}

Judgement MinimumIsPowerOf2(CheckContext& context) {
  NBDSPEC_TRY(said, AskBlockSize(context));
  return std::has_single_bit(said.block.minimum) ? Holds() : Broken(SizesText(said.block), "a power of 2 as minimum");
}

Judgement MinimumIsSmall(CheckContext& context) {
  NBDSPEC_TRY(said, AskBlockSize(context));
  return said.block.minimum <= 65536 ? Holds() : Broken(SizesText(said.block), "a minimum of at most 65536");
}

Judgement PreferredIsPowerOf2(CheckContext& context) {
  NBDSPEC_TRY(said, AskBlockSize(context));
  return std::has_single_bit(said.block.preferred) ? Holds()
                                                   : Broken(SizesText(said.block), "a power of 2 as preferred size");
}

Judgement PreferredIsLarge(CheckContext& context) {
  NBDSPEC_TRY(said, AskBlockSize(context));
  return said.block.preferred >= std::max(said.block.minimum, 512U)
             ? Holds()
             : Broken(SizesText(said.block), "a preferred size of at least 512 and the minimum");
}

Judgement MaximumHoldsPreferred(CheckContext& context) {
  NBDSPEC_TRY(said, AskBlockSize(context));
  return said.block.maximum >= said.block.preferred ? Holds()
                                                    : Broken(SizesText(said.block), "a maximum not below preferred");
}

Judgement MaximumIsLarge(CheckContext& context) {
  NBDSPEC_TRY(said, AskBlockSize(context));
  if (said.info.size < kMiB) {
    return NotApplicable(fmt::format("the export has {} bytes only", said.info.size));
  }
  return said.block.maximum >= kMiB ? Holds() : Broken(SizesText(said.block), "a maximum of at least 1048576");
}

Judgement SizeIsWholeBlocks(CheckContext& context) {
  NBDSPEC_TRY(said, AskBlockSize(context));
  if (said.block.minimum == 0) {
    return NotApplicable("a minimum of 0");
  }
  return said.info.size % said.block.minimum == 0
             ? Holds()
             : Broken(fmt::format("size {}, {}", said.info.size, SizesText(said.block)), "a multiple of the minimum");
}

// --- What must be advertised ---

// Whether a READ of one byte at offset 1 gets EINVAL. Errors: no reply, or too small an export.
std::expected<bool, Judgement> RefusesOneByte(Session& session, std::uint64_t export_size) {
  if (export_size < 2) {
    return std::unexpected(NotApplicable(fmt::format("the export has {} bytes only", export_size)));
  }
  const auto answer = session.Ask(Request{.offset = 1, .length = 1});
  if (!answer) {
    return std::unexpected(AsJudgement(answer.error()));
  }
  return answer->error() == NbdError::kEinval;
}

constexpr std::string_view kRefusedUnsaid = "READ of 1 byte at offset 1: NBD_EINVAL, and no NBD_INFO_BLOCK_SIZE";

Judgement AdvertisesToGo(CheckContext& context) {
  NBDSPEC_TRY(answer, EnterByGo(context, {InfoType::kBlockSize}));
  if (FindInfo(answer.replies, InfoType::kBlockSize) != nullptr) {
    return Holds();
  }
  NBDSPEC_TRY(refuses, RefusesOneByte(answer.session, answer.info.size));
  return refuses ? Broken(std::string(kRefusedUnsaid), "block sizes that are enforced are told when asked for")
                 : Holds();
}

// INFO's way to ask; whether they are enforced shows only in transmission.
Judgement AdvertisesToInfo(CheckContext& context) {
  std::vector<engine::OptionReply> info;
  {  // On a connection that ends here: some servers serve one client at a time.
    NBDSPEC_TRY(session, context.Haggle());
    NBDSPEC_TRY(replies, session.Ask(InfoOption(OptionType::kInfo, context.export_name(), {InfoType::kBlockSize})));
    info = std::move(replies);
  }
  if (info.back().type != OptionReplyType::kAck || FindInfo(info, InfoType::kBlockSize) != nullptr) {
    return info.back().type == OptionReplyType::kAck ? Holds() : NotApplicable("INFO was answered " + TypesOf(info));
  }
  NBDSPEC_TRY(entered, context.Enter());
  NBDSPEC_TRY(refuses, RefusesOneByte(entered.session, entered.info.size));
  return refuses ? Broken(std::string(kRefusedUnsaid), "a server with other limits than the default says so") : Holds();
}

Judgement DefaultMinimumIs1(CheckContext& context) {
  NBDSPEC_TRY(answer, EnterByGo(context, {InfoType::kBlockSize}));
  if (FindInfo(answer.replies, InfoType::kBlockSize) != nullptr) {
    return NotApplicable("the server advertises block sizes");
  }
  NBDSPEC_TRY(refuses, RefusesOneByte(answer.session, answer.info.size));
  return refuses ? Broken("READ of 1 byte at offset 1: NBD_EINVAL", "a minimum block size of 1 by default") : Holds();
}

// READ may be refused for its length with EOVERFLOW.
Judgement DefaultMaximumIs32M(CheckContext& context) {
  NBDSPEC_TRY(answer, EnterByGo(context, {InfoType::kBlockSize}));
  if (FindInfo(answer.replies, InfoType::kBlockSize) != nullptr) {
    return NotApplicable("the server advertises block sizes");
  }
  constexpr std::uint32_t kLength = engine::kPayloadBytesDefaultMax;
  if (answer.info.size < kLength) {
    return NotApplicable(fmt::format("the export has {} bytes only", answer.info.size));
  }
  const std::string allowed = "payloads of 33554432 bytes by default";
  const auto read = answer.session.Ask(Request{.length = kLength});
  if (!read) {
    return read.error().is_disconnect() ? Broken("READ of 32 MiB: " + read.error().text, allowed)
                                        : AsJudgement(read.error());
  }
  const std::uint32_t error = read->error();
  return error == NbdError::kOk || error == NbdError::kEoverflow
             ? Holds()
             : Broken("READ of 32 MiB: " + engine::ErrorName(error), allowed);
}

// --- NBD_REP_ERR_BLOCK_SIZE_REQD ---

bool IsSizeRequired(const std::vector<engine::OptionReply>& replies) {
  return replies.back().type == OptionReplyType::kErrBlockSizeReqd;
}

Judgement NotRequiredOfWhoAsked(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  for (const std::uint32_t option : {OptionType::kInfo, OptionType::kGo}) {
    NBDSPEC_TRY(replies, session.Ask(InfoOption(option, context.export_name(), {InfoType::kBlockSize})));
    if (IsSizeRequired(replies)) {
      return Broken(engine::OptionName(option) + " with a request for block sizes: " + TypesOf(replies),
                    "any reply but NBD_REP_ERR_BLOCK_SIZE_REQD");
    }
  }
  return Holds();
}

// GO without requests, of a server with the default limits, must not fail for that.
Judgement NotRequiredByDefault(CheckContext& context) {
  const InfoBlockSize& block = context.profile().block_size;
  if (block.minimum > 1 || block.maximum < engine::kPayloadBytesDefaultMax) {
    return NotApplicable("the server has block sizes of its own: " + SizesText(block));
  }
  NBDSPEC_TRY(answer, AskGo(context, {}));
  return IsSizeRequired(answer.replies) ? Broken(TypesOf(answer.replies) + ", though " + SizesText(block),
                                                 "a client that does not ask for default block sizes is let in")
                                        : Holds();
}

Judgement NeverRequired(CheckContext& context) {
  NBDSPEC_TRY(answer, AskGo(context, {}));
  return IsSizeRequired(answer.replies) ? Broken(TypesOf(answer.replies), "clients that do not ask are let in too")
                                        : Holds();
}

Judgement RequiredAfterInfo(CheckContext& context) {
  NBDSPEC_TRY(answer, AskGo(context, {}));
  if (!IsSizeRequired(answer.replies)) {
    return NotApplicable("GO without requests was answered " + TypesOf(answer.replies));
  }
  return FindInfo(answer.replies, InfoType::kBlockSize) != nullptr
             ? Holds()
             : Broken(TypesOf(answer.replies), "NBD_INFO_BLOCK_SIZE before NBD_REP_ERR_BLOCK_SIZE_REQD");
}

}  // namespace

std::vector<Check> BlockSizeChecks() {
  return {
      {.id = spec::kBlockSizeServerAdvertise,
       .needs = {Feature::kInfo},
       .setup = Setup::kStrictBlockSize,
       .claim = "A server that refuses a READ of one byte at offset 1 gave block sizes when INFO asked for them.",
       .run = AdvertisesToInfo},
      {.id = spec::kBlockSizeServerAdvertiseUnlessOob,
       .needs = {Feature::kGo},
       .setup = Setup::kStrictBlockSize,
       .claim = "A server that refuses a READ of one byte at offset 1 gave block sizes to GO.",
       .run = AdvertisesToGo},
      {.id = spec::kRepInfoBlockSizeRequired,
       .needs = {Feature::kGo},
       .setup = Setup::kStrictBlockSize,
       .claim = "GO's request for block sizes is answered where they are enforced.",
       .run = AdvertisesToGo},
      {.id = spec::kBlockSizeDefaultMin1,
       .needs = {Feature::kGo},
       .claim = "Without advertised block sizes a READ of one byte at offset 1 is not refused with EINVAL.",
       .run = DefaultMinimumIs1},
      {.id = spec::kBlockSizeDefaultMax32m,
       .needs = {Feature::kGo},
       .claim = "Without advertised block sizes a READ of 32 MiB is served.",
       .run = DefaultMaximumIs32M},
      {.id = spec::kBlockSizeMinPowerOf2,
       .needs = {Feature::kGo},
       .claim = "The minimum block size is a power of two.",
       .run = MinimumIsPowerOf2},
      {.id = spec::kSub<spec::kBlockSizeMinPowerOf2, "strict">,
       .needs = {Feature::kGo},
       .setup = Setup::kStrictBlockSize,
       .claim = "The minimum block size that is enforced is a power of two.",
       .run = MinimumIsPowerOf2},
      {.id = spec::kBlockSizeMinCap65536,
       .needs = {Feature::kGo},
       .setup = Setup::kStrictBlockSize,
       .claim = "The minimum block size is at most 65536.",
       .run = MinimumIsSmall},
      {.id = spec::kBlockSizeExportSizeMultipleOfMin,
       .needs = {Feature::kGo},
       .setup = Setup::kStrictBlockSize,
       .claim = "The export's size is a multiple of the minimum block size.",
       .run = SizeIsWholeBlocks},
      {.id = spec::kBlockSizePreferredPowerOf2,
       .needs = {Feature::kGo},
       .claim = "The preferred block size is a power of two.",
       .run = PreferredIsPowerOf2},
      {.id = spec::kBlockSizePreferredFloor,
       .needs = {Feature::kGo},
       .claim = "The preferred block size is at least 512 and the minimum.",
       .run = PreferredIsLarge},
      {.id = spec::kSub<spec::kBlockSizePreferredFloor, "strict">,
       .needs = {Feature::kGo},
       .setup = Setup::kStrictBlockSize,
       .claim = "The preferred block size is at least the minimum that is enforced.",
       .run = PreferredIsLarge},
      {.id = spec::kBlockSizeMaxFloorPreferred,
       .needs = {Feature::kGo},
       .claim = "The maximum payload is at least the preferred block size.",
       .run = MaximumHoldsPreferred},
      {.id = spec::kBlockSizeMaxFloor1m,
       .needs = {Feature::kGo},
       .claim = "The maximum payload is at least 1 MiB, on an export of that size.",
       .run = MaximumIsLarge},
      {.id = spec::kOptionInfoBsreqNotIfAsked,
       .needs = {Feature::kGo},
       .setup = Setup::kStrictBlockSize,
       .claim = "INFO and GO that request block sizes do not get ERR_BLOCK_SIZE_REQD.",
       .run = NotRequiredOfWhoAsked},
      {.id = spec::kOptionInfoBsreqNotDefault,
       .needs = {Feature::kGo},
       .claim = "GO without requests does not get ERR_BLOCK_SIZE_REQD where the limits are the default ones.",
       .run = NotRequiredByDefault},
      {.id = spec::kBlockSizeServerNoNeedlessRefusal,
       .needs = {Feature::kGo},
       .claim = "Clients that do not ask for block sizes are let in where the limits are the default ones.",
       .run = NotRequiredByDefault},
      {.id = spec::kOptionInfoBsreqInfoFirst,
       .needs = {Feature::kGo},
       .setup = Setup::kStrictBlockSize,
       .claim = "INFO_BLOCK_SIZE goes before ERR_BLOCK_SIZE_REQD.",
       .run = RequiredAfterInfo},
      {.id = spec::kInteropBlockSizeServerNotRequired,
       .needs = {Feature::kGo},
       .setup = Setup::kStrictBlockSize,
       .claim = "Clients that do not ask for block sizes are let in even where they are enforced.",
       .run = NeverRequired},
  };
}

}  // namespace nbdspec::conformance
