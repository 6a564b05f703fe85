// SPDX-License-Identifier: BSD-3-Clause
// Random scripts for a server: what it offers, mostly; the same seed gives the same script for the same offer.
//
// Each script has a mood: how much it pipelines, how small its hot part of the export is, whether requests crowd in a
// few places there, how polite it is. Offsets prefer edges of earlier steps, multiples of the sizes that servers care
// about, and the end, each with -1 and +1.

#pragma once

#include <cstdint>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/script/script.h"
#include "fuzz/live/connection/live_connection.h"

namespace nbdspec::fuzz {

struct RandomScriptOptions {
  int steps_max = 64;
  bool only_offered = false;
  bool power_cuts = false;                        // Some scripts have one in the middle, and most end with one.
  int connections = 1;                            // Used only where the offer has CAN_MULTI_CONN.
  std::uint32_t payload_bytes_max = 256 << 10;    // Of a READ or WRITE.
  std::vector<engine::OptionStep> haggling = {};  // How the script begins.
  bool explores = false;                        // It asks for the block status of all windows alone, if that is there.
  std::vector<engine::ByteRange> extents = {};  // What is of interest as long as nothing was written there.
};

// `offer` is what `haggling` gets; `windows` are the parts of the export to stay in.
engine::Script RandomScript(std::uint64_t seed, const Offer& offer, const std::vector<engine::ByteRange>& windows,
                            const RandomScriptOptions& options);

}  // namespace nbdspec::fuzz
