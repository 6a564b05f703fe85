// SPDX-License-Identifier: BSD-3-Clause
// Faults of block sizes: what is advertised, and what is enforced.
#include <algorithm>

#include "engine/faults/answer_changes.h"
#include "engine/faults/fault_tables.h"
#include "engine/faults/option_changes.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine::faults {

namespace {

constexpr std::uint32_t kMinimum = 4096;  // The reference server's where it is strict.
constexpr std::uint32_t kMiB = 1 << 20;

Change WithholdsBlockSize() { return WithholdsInfo(kAnyOption, InfoType::kBlockSize); }

// Advertises a large export with default limits.
Change ClaimsToBeLarge() {
  return Both(ChangesInfoExport([](InfoExport& info) { info.size = 1 << 26; }), WithholdsBlockSize());
}

// Replies BLOCK_SIZE_REQD to GO, after what comes before the ACK if `informs`, and to clients that ask for block sizes
// only if `always`.
Change RequiresBlockSize(bool informs, bool always) {
  return ChangesOptionAnswer(OptionType::kGo, [informs, always](const Option& to, Messages& sent) {
    const auto query = DecodePayload<InfoQuery>(to.payload);
    if (query && (always || std::ranges::count(query->requests, InfoType::kBlockSize) == 0)) {
      sent.erase(informs ? sent.end() - 1 : sent.begin(), sent.end());
      sent.emplace_back(OptionReply{.option = to.option, .type = OptionReplyType::kErrBlockSizeReqd});
    }
  });
}

// Zeroes the whole block that an unaligned WRITE is in, and refuses it.
Change ZeroesBlockAndRefuses() {
  return Both(ChangesRequest(kWrite,
                             [](Request& request) {
                               if (IsUnaligned(request, kMinimum)) {
                                 request.offset = request.offset / kMinimum * kMinimum;
                                 request.length = kMinimum;
                                 request.payload.assign(kMinimum, 0);
                               }
                             }),
              Fails(kWrite, kEinval, OnUnaligned(kMinimum)));
}

// Advertises 1 MiB as the maximum payload, and disconnects on a longer request.
Change DisconnectsAbove1MiB(std::uint16_t command) {
  return Both(ChangesBlockSize([](InfoBlockSize& block) { block.maximum = kMiB; }),
              Disconnects(command, OnLonger(kMiB)));
}

}  // namespace

std::vector<Fault> BlockLimitFaults() {
  return {
      {"server_closes_on_unaligned_request",
       By(spec::kBlockSizeServerCleanError, spec::kSub<spec::kBlockSizeServerCleanError, "write">,
          spec::kOptionInfoUnsolicitedNoAssumption),
       Disconnects(kAnyCommand, OnUnaligned(kMinimum))},
      {"server_reads_wrong_byte_unaligned", spec::kBlockSizeServerCleanError,
       Answers(kRead, OnUnaligned(kMinimum),
               [](const Request& to) { return SimpleReply{.cookie = to.cookie, .data = {0xee}}; })},
      {"server_zeroes_block_of_refused_write", spec::kBlockSizeServerNoCorruption, ZeroesBlockAndRefuses()},
      {"server_fails_unaligned_request_by_eio",
       By(spec::kBlockSizeServerUnalignedEinval, spec::kSub<spec::kBlockSizeServerUnalignedEinval, "block-status">),
       Fails(kAnyCommand, kEio, OnUnaligned(kMinimum))},
      {"server_takes_unaligned_write", spec::kSub<spec::kBlockSizeServerUnalignedEinval, "write">,
       Fails(kWrite, kOk, OnUnaligned(kMinimum))},
      {"server_closes_on_large_write", spec::kBlockSizeDosNotUnder32mServer, DisconnectsAbove1MiB(kWrite)},
      {"server_closes_on_large_cache", spec::kBlockSizeServerEffectNoDisconnect, DisconnectsAbove1MiB(kCache)},
      {"server_closes_on_large_trim", spec::kBlockSizeServerEffectNoDisconnect, DisconnectsAbove1MiB(kTrim)},
      {"server_closes_on_large_write_zeroes", spec::kBlockSizeServerEffectNoDisconnect,
       DisconnectsAbove1MiB(kWriteZeroes)},
      {"server_requires_block_size_of_who_asks", spec::kOptionInfoBsreqNotIfAsked,
       RequiresBlockSize(/*informs=*/true, /*always=*/true)},
      {"server_requires_block_size",
       By(spec::kOptionInfoBsreqNotDefault, spec::kBlockSizeServerNoNeedlessRefusal,
          spec::kInteropBlockSizeServerNotRequired),
       RequiresBlockSize(/*informs=*/true, /*always=*/false)},
      {"server_requires_block_size_without_information", spec::kOptionInfoBsreqInfoFirst,
       RequiresBlockSize(/*informs=*/false, /*always=*/false)},
  };
}

std::vector<Fault> BlockSizeFaults() {
  return {
      {"server_withholds_block_size",
       By(spec::kBlockSizeServerAdvertise, spec::kBlockSizeServerAdvertiseUnlessOob, spec::kRepInfoBlockSizeRequired,
          Session(Family::kLost, 100)),
       WithholdsBlockSize()},
      {"server_has_unadvertised_minimum_512", spec::kBlockSizeDefaultMin1,
       Both(WithholdsBlockSize(), FailsSimply(kAnyCommand, kEinval, OnUnaligned(512)))},
      {"server_refuses_32m", spec::kBlockSizeDefaultMax32m, ClaimsToBeLarge()},
      {"server_closes_on_32m", spec::kBlockSizeDefaultMax32m,
       Both(ClaimsToBeLarge(), Disconnects(kAnyCommand, OnLonger(1 << 24)))},
      {"server_advertises_minimum_0", spec::kBlockSizeMinPowerOf2,
       ChangesBlockSize([](InfoBlockSize& block) { block.minimum = 0; })},
      {"server_advertises_minimum_3", spec::kBlockSizeMinPowerOf2,
       ChangesBlockSize([](InfoBlockSize& block) { block.minimum = 3; })},
      {"server_advertises_odd_strict_minimum", spec::kSub<spec::kBlockSizeMinPowerOf2, "strict">,
       ChangesBlockSize([](InfoBlockSize& block) { block.minimum += 512; })},
      {"server_advertises_minimum_131072", spec::kBlockSizeMinCap65536,
       ChangesBlockSize([](InfoBlockSize& block) { block.minimum = 131072; })},
      {"server_has_part_of_a_block", spec::kBlockSizeExportSizeMultipleOfMin,
       ChangesInfoExport([](InfoExport& info) { info.size -= 512; })},
      {"server_prefers_3000", spec::kBlockSizePreferredPowerOf2,
       ChangesBlockSize([](InfoBlockSize& block) { block.preferred = 3000; })},
      {"server_prefers_256", spec::kBlockSizePreferredFloor,
       ChangesBlockSize([](InfoBlockSize& block) { block.preferred = 256; })},
      {"server_prefers_less_than_minimum", spec::kSub<spec::kBlockSizePreferredFloor, "strict">,
       ChangesBlockSize([](InfoBlockSize& block) { block.preferred = block.minimum / 2; })},
      {"server_has_maximum_below_preferred", spec::kBlockSizeMaxFloorPreferred,
       ChangesBlockSize([](InfoBlockSize& block) { block.maximum = block.preferred - 1; })},
      {"server_has_64k_as_maximum", spec::kBlockSizeMaxFloor1m,
       ChangesBlockSize([](InfoBlockSize& block) { block.maximum = 1 << 16; })},
      {"server_sends_more_than_its_maximum_payload", spec::kStructuredChunkMaxPayload,
       ChangesBlockSize([](InfoBlockSize& block) { block.maximum = 4096; })},
  };
}

}  // namespace nbdspec::engine::faults
