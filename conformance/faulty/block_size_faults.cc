// SPDX-License-Identifier: BSD-3-Clause
// Faults for block_size_checks.cc.
#include <algorithm>
#include <iterator>

#include "conformance/faulty/fault.h"
#include "conformance/faulty/info_lies.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::ClientMessage;
using engine::ConnectionState;
using engine::InfoBlockSize;
using engine::InfoType;
using engine::Option;
using engine::OptionReply;
using engine::OptionReplyType;
using engine::OptionType;
using engine::Request;
using engine::ServerMessage;

namespace {

Fault AdvertisesWrong(std::string_view name, std::string_view check, std::function<void(InfoBlockSize&)> change) {
  return SaysWrong(name, check,
                   [change = std::move(change)](const ClientMessage*, const ConnectionState&,
                                                std::vector<ServerMessage>& said) { ChangeInfo(said, {}, change); });
}

Fault HidesBlockSize(std::string_view name, std::string_view check) {
  return SaysWrong(name, check, [](const ClientMessage*, const ConnectionState&, std::vector<ServerMessage>& said) {
    WithholdBlockSize(said);
  });
}

// GO is answered BLOCK_SIZE_REQD, after what was said before the ACK if `informs`; whoever asks for block sizes gets
// in, unless `always`.
Fault RequiresBlockSize(std::string_view name, std::string_view check, bool informs, bool always = false) {
  return AnswersOptionWrong(
      name, check, OptionType::kGo, [informs, always](const Option& to, std::vector<ServerMessage>& said) {
        const auto query = engine::DecodeInfoQuery(to.payload);
        if (!query || (!always && std::ranges::count(query->requests, InfoType::kBlockSize) > 0)) {
          return;
        }
        const OptionReply refusal{.option = to.option, .type = OptionReplyType::kErrBlockSizeReqd};
        if (!informs) {
          said.clear();
          said.emplace_back(refusal);
        } else {
          said.back() = refusal;
        }
      });
}

void RefusesUnaligned(const Request& to, std::vector<ServerMessage>& said) {
  if (to.offset % 512 != 0 || to.length % 512 != 0) {
    said = {engine::SimpleReply{.error = engine::NbdError::kEinval, .cookie = to.cookie}};
  }
}

// A large export with default limits.
void ClaimsToBeLarge(std::vector<ServerMessage>& said) {
  ChangeInfo(said, [](engine::InfoExport& info) { info.size = 1 << 26; }, {});
  WithholdBlockSize(said);
}

std::vector<Fault> AdvertisingFaults() {
  return {
      HidesBlockSize("server_enforces_untold_limits", spec::kBlockSizeServerAdvertise),
      HidesBlockSize("server_enforces_limits_hidden_from_go", spec::kBlockSizeServerAdvertiseUnlessOob),
      HidesBlockSize("server_ignores_request_for_block_size", spec::kRepInfoBlockSizeRequired),
      SaysWrong("server_has_512_as_untold_minimum", spec::kBlockSizeDefaultMin1,
                LiesAndMisbehaves(WithholdBlockSize, RefusesUnaligned)),
      SaysWrong("server_refuses_32m", spec::kBlockSizeDefaultMax32m,
                LiesAndMisbehaves(ClaimsToBeLarge, [](const Request&, std::vector<ServerMessage>&) {})),
      SaysWrong("server_closes_on_32m", spec::kBlockSizeDefaultMax32m,
                LiesAndMisbehaves(ClaimsToBeLarge,
                                  [](const Request& to, std::vector<ServerMessage>& said) {
                                    if (to.length > (1 << 24)) {
                                      said = {engine::HardDisconnect{}};
                                    }
                                  })),
      AdvertisesWrong("server_advertises_minimum_0", spec::kBlockSizeMinPowerOf2,
                      [](InfoBlockSize& block) { block.minimum = 0; }),
      AdvertisesWrong("server_advertises_minimum_3", spec::kBlockSizeMinPowerOf2,
                      [](InfoBlockSize& block) { block.minimum = 3; }),
      AdvertisesWrong("server_advertises_odd_strict_minimum", spec::kSub<spec::kBlockSizeMinPowerOf2, "strict">,
                      [](InfoBlockSize& block) { block.minimum += 512; }),
      AdvertisesWrong("server_advertises_minimum_131072", spec::kBlockSizeMinCap65536,
                      [](InfoBlockSize& block) { block.minimum = 131072; }),
      SaysWrong("server_has_part_of_a_block", spec::kBlockSizeExportSizeMultipleOfMin,
                LiesAndMisbehaves(
                    [](std::vector<ServerMessage>& said) {
                      ChangeInfo(said, [](engine::InfoExport& info) { info.size -= 512; }, {});
                    },
                    [](const Request&, std::vector<ServerMessage>&) {})),
      AdvertisesWrong("server_prefers_3000", spec::kBlockSizePreferredPowerOf2,
                      [](InfoBlockSize& block) { block.preferred = 3000; }),
      AdvertisesWrong("server_prefers_256", spec::kBlockSizePreferredFloor,
                      [](InfoBlockSize& block) { block.preferred = 256; }),
      AdvertisesWrong("server_prefers_less_than_minimum", spec::kSub<spec::kBlockSizePreferredFloor, "strict">,
                      [](InfoBlockSize& block) { block.preferred = block.minimum / 2; }),
      AdvertisesWrong("server_has_maximum_below_preferred", spec::kBlockSizeMaxFloorPreferred,
                      [](InfoBlockSize& block) { block.maximum = block.preferred - 1; }),
      AdvertisesWrong("server_has_64k_as_maximum", spec::kBlockSizeMaxFloor1m,
                      [](InfoBlockSize& block) { block.maximum = 1 << 16; }),
  };
}

}  // namespace

std::vector<Fault> BlockSizeFaults() {
  std::vector<Fault> faults = AdvertisingFaults();
  faults.push_back(RequiresBlockSize("server_requires_block_size_of_who_asks", spec::kOptionInfoBsreqNotIfAsked,
                                     /*informs=*/true, /*always=*/true));
  faults.push_back(RequiresBlockSize("server_requires_default_block_size", spec::kOptionInfoBsreqNotDefault,
                                     /*informs=*/true));
  faults.push_back(RequiresBlockSize("server_refuses_for_default_block_size", spec::kBlockSizeServerNoNeedlessRefusal,
                                     /*informs=*/true));
  faults.push_back(
      RequiresBlockSize("server_requires_untold_block_size", spec::kOptionInfoBsreqInfoFirst, /*informs=*/false));
  faults.push_back(RequiresBlockSize("server_requires_block_size", spec::kInteropBlockSizeServerNotRequired,
                                     /*informs=*/true));
  return faults;
}

}  // namespace nbdspec::conformance
