// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/comparisons/extent_map_differential.h"

#include <algorithm>
#include <iterator>

#include "engine/extents/boundary_tree.h"
#include "engine/extents/extent_map.h"

namespace nbdspec::fuzz {
namespace {

// Volatile, or the stores would be optimised away.
__attribute__((section("__libfuzzer_extra_counters"), used)) volatile std::uint8_t extents_seen[128];
__attribute__((section("__libfuzzer_extra_counters"), used)) volatile std::uint8_t events_seen[64];
__attribute__((section("__libfuzzer_extra_counters"), used)) volatile std::uint8_t heights_seen[16];

static_assert(static_cast<std::size_t>(engine::TreeEvent::kCount) <= std::size(events_seen));

template <std::size_t kSize>
void Mark(volatile std::uint8_t (&seen)[kSize], std::uint64_t value) {
  seen[std::min<std::uint64_t>(value, kSize - 1)] = 1;
}

}  // namespace

void CountExtents(std::uint64_t count) {
  if (counts_states) {
    // A counter for each size keeps a script for each, and the largest are dear: from here on sixteen share one.
    constexpr std::uint64_t kEachTo = 64;
    Mark(extents_seen, count <= kEachTo ? count : kEachTo + (count - kEachTo) / 16);
  }
}

void CountTree(const TreeEventCounts& before, std::size_t height) {
  if (!counts_states) {
    return;
  }
  Mark(heights_seen, height);
  for (std::size_t i = 0; i < before.size(); ++i) {
    const std::uint64_t times = engine::tree_event_counts[i] - before[i];
    events_seen[i] = static_cast<std::uint8_t>(std::min<std::uint64_t>(255, events_seen[i] + times));
  }
}

// Here, because a map's branches are soon all seen, and this file's do not guide.
FuzzTarget ExtentMapTarget() {
  return MapTarget<engine::ExtentMap>("extent_map", "`ExtentMap`, after every step", "the bitmap and the last writer");
}

}  // namespace nbdspec::fuzz
