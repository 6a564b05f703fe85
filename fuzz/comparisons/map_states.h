// SPDX-License-Identifier: BSD-3-Clause
// What libFuzzer sees of a map's state, besides coverage: the code of a map is soon covered, its states are not. The
// targets count them, and the planted bugs (fuzz/canary) are looked for with the same counters.

#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/extents/small_shape.h"

namespace nbdspec::fuzz {

using TreeEventCounts = decltype(engine::tree_event_counts);

// Whether anything is counted.
inline bool counts_states = true;

// That a map has, or had, so many extents.
void CountExtents(std::uint64_t count);

// What has happened to a tree since `before`, how often, and how high it is.
void CountTree(const TreeEventCounts& before, std::size_t height);

}  // namespace nbdspec::fuzz
