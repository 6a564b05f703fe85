// SPDX-License-Identifier: BSD-3-Clause
// The tree inside ExtentMap with very small nodes: what the real one does with 10^5 extents, this does with 50.
#include "engine/extents/small_shape.h"
#include "fuzz/comparisons/extent_map_differential.h"

namespace nbdspec::fuzz {

FuzzTarget BoundaryTreeTarget() {
  return MapTarget<engine::ShapedExtentMap<engine::SmallShape>>(
      "boundary_tree", "the tree inside `ExtentMap`, with small nodes, after every step", "the same");
}

}  // namespace nbdspec::fuzz
