// SPDX-License-Identifier: BSD-3-Clause
// Random handshakes: what a connection asks for comes in any order, with other options among it, again and again, in
// pieces or several options in one write; what it means is judged by what was negotiated.

#pragma once

#include <cstdint>
#include <vector>

#include "engine/script/script.h"

namespace nbdspec::fuzz {

// `usual`, or as much of it as its order lets through, with more. The same seed gives the same. Where `only_offered`,
// no unknown option and no other export is asked for.
std::vector<engine::OptionStep> RandomHaggling(std::uint64_t seed, const std::vector<engine::OptionStep>& usual,
                                               bool only_offered);

}  // namespace nbdspec::fuzz
