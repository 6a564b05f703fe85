// SPDX-License-Identifier: BSD-3-Clause
// PowerCut: what of a disk's volatile changes the power takes with it, and what it leaves.

#pragma once

#include <cstdint>

namespace nbdspec::engine {

// What a power cut keeps of the changes that are not durable. A disk may have written any of them, in any order, and
// may lose power within one.
struct PowerCut {
  enum class Keeps : std::uint8_t { kNothing, kEverything, kAllButOne, kOnlyOne, kSome };
  Keeps keeps = Keeps::kNothing;
  std::uint64_t one = 0;   // Which change, modulo their count: kAllButOne, kOnlyOne.
  std::uint64_t seed = 0;  // Chooses: kSome, and which sectors of a torn change are kept.
  bool tears = false;      // Of the chosen one (kAllButOne, kOnlyOne) or of any (kSome) only some sectors are kept.
  bool operator==(const PowerCut&) const = default;
};

inline constexpr int kPowerCutKeepsCount = static_cast<int>(PowerCut::Keeps::kSome) + 1;

}  // namespace nbdspec::engine
