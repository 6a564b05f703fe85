// SPDX-License-Identifier: BSD-3-Clause
// Shapes of BoundaryTree for tests: they count what happens, and one has nodes so small that 40 boundaries are a tree
// four levels high.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "engine/extents/boundary_tree_impl.h"
#include "engine/extents/extent_map.h"

namespace nbdspec::engine {

// How often each event happened, to any tree of a counting shape.
inline std::array<std::uint64_t, static_cast<std::size_t>(TreeEvent::kCount)> tree_event_counts = {};

struct CountedShape : CacheLineShape {
  static void Note(TreeEvent event) { ++tree_event_counts[static_cast<std::size_t>(event)]; }
};

// Eight narrow or four wide keys to a leaf, three children to an inner node.
struct SmallShape : CountedShape {
  static constexpr unsigned kNarrowPerLine = 2;
  static constexpr unsigned kInnerPerLine = 2;
};

}  // namespace nbdspec::engine
