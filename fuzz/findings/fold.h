// SPDX-License-Identifier: BSD-3-Clause
// Which findings of several runs are one, and what is left of them when they are put together. Pure.

#pragma once

#include <cstdint>
#include <vector>

#include "fuzz/findings/finding.h"

namespace nbdspec::fuzz {

// Whether `a` and `b` look like one finding: of one key, one public name or none, on one target, with one assertion
// that failed. What looks alike may still be two bugs: whether it is one, only a run shows.
bool LooksTheSame(const Finding& a, const Finding& b);

// Whether a reader is served better by `a`: it is reproduced and `b` is not, or else it is smaller.
bool IsBetter(const Finding& a, const Finding& b);

// Who has seen `finding`, which was read from the disk; of one that an older nbdspec kept, nobody that is named.
std::vector<Sighting> SightingsOf(const Finding& finding);

// All of both; a run that is in both has seen it as often as the one says that says more. It matters not which is
// first, nor how often the same is added.
std::vector<Sighting> Together(std::vector<Sighting> some, const std::vector<Sighting>& others);

std::uint64_t CountOf(const std::vector<Sighting>& sightings);

}  // namespace nbdspec::fuzz
