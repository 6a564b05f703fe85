// SPDX-License-Identifier: BSD-3-Clause
// Random handshakes: what a connection asks for comes in any order, with other options among it, again and again, in
// pieces or several options in one write; what it means is judged by what was negotiated.

#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/script/script.h"
#include "fuzz/live/connection/live_connection.h"

namespace nbdspec::fuzz {

// The ways to haggle that are taken in turn: `base`, with all contexts of the `offer` that it gets, with extended
// headers where the server has them, plainly.
std::vector<std::vector<engine::OptionStep>> Hagglings(const std::vector<engine::OptionStep>& base, const Offer& offer,
                                                       const std::optional<Offer>& extended);

// `usual`, or as much of it as its order lets through, with more. The same seed gives the same. Where `only_offered`,
// no unknown option and no other export is asked for.
std::vector<engine::OptionStep> RandomHaggling(std::uint64_t seed, const std::vector<engine::OptionStep>& usual,
                                               bool only_offered);

}  // namespace nbdspec::fuzz
