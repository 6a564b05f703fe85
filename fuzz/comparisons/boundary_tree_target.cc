// SPDX-License-Identifier: BSD-3-Clause
// The tree inside ExtentMap with very small nodes: what the real one does with 10^5 extents, this does with 50.
#include <cstdint>
#include <expected>

#include "engine/extents/small_shape.h"
#include "fuzz/comparisons/extent_map_differential.h"
#include "fuzz/comparisons/map_states.h"

namespace nbdspec::fuzz {
namespace {

class ObservedTree : public engine::ShapedExtentMap<engine::SmallShape> {
 public:
  using ShapedExtentMap::ShapedExtentMap;

  std::expected<void, engine::ErrorCode> Add(std::uint64_t offset, std::uint64_t length, engine::ExtentType type) {
    const TreeEventCounts before = engine::tree_event_counts;
    const auto result = ShapedExtentMap::Add(offset, length, type);
    CountExtents(extent_count());
    CountTree(before, height());
    return result;
  }
};

}  // namespace

FuzzTarget BoundaryTreeTarget() {
  return {.name = "boundary_tree",
          .subject = "the tree inside `ExtentMap`, with small nodes, after every step",
          .against = "the same",
          .inputs = ScriptKind(kExtentMapLimits),
          .find_in_script =
              [](const engine::Script& script) {
                static CellOracle oracle;  // Kept for its memory.
                return FindExtentMapDisagreement(script, ObservedTree(script.size, script.initial), oracle);
              },
          .check_runs = 200'000};
}

}  // namespace nbdspec::fuzz
