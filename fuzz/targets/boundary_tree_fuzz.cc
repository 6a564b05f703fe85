// SPDX-License-Identifier: BSD-3-Clause
// Fuzzes the tree inside ExtentMap with very small nodes: what the real one does with 10^5 extents, this does with 50.

#include <cstddef>
#include <cstdint>

#include "engine/extents/small_shape.h"
#include "engine/script/script_bytes.h"
#include "fuzz/comparisons/disagreement.h"
#include "fuzz/comparisons/extent_map_differential.h"
#include "fuzz/comparisons/map_states.h"
#include "fuzz/inputs/script_mutator.h"

namespace nbdspec::fuzz {
namespace {

constexpr engine::ScriptLimits kLimits = {.steps_max = 64};

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

// Kept from one input to the next for their memory.
engine::ScriptDecoder decoder;
engine::Script script;
CellOracle oracle;
ScriptInputs inputs(kLimits);

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  decoder.Read({data, size}, kLimits, script);
  AbortOnDisagreement("boundary_tree", script, [](const engine::Script& candidate) {
    return FindExtentMapDisagreement(candidate, ObservedTree(candidate.size, candidate.initial), oracle);
  });
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned seed) {
  return inputs.Mutate(data, size, size_max, seed);
}

extern "C" std::size_t LLVMFuzzerCustomCrossOver(const std::uint8_t* one, std::size_t one_size,
                                                 const std::uint8_t* other, std::size_t other_size, std::uint8_t* out,
                                                 std::size_t size_max, unsigned seed) {
  return inputs.Cross({one, one_size}, {other, other_size}, {out, size_max}, seed);
}

}  // namespace nbdspec::fuzz
