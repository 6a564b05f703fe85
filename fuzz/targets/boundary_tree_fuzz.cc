// SPDX-License-Identifier: BSD-3-Clause
// Fuzzes the tree inside ExtentMap with very small nodes: what the real one does with 10^5 extents, this does with 50.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "engine/extents/small_shape.h"
#include "engine/script/script_bytes.h"
#include "fuzz/harness/disagreement.h"
#include "fuzz/harness/extent_map_differential.h"
#include "fuzz/harness/script_mutator.h"

namespace nbdspec::fuzz {
namespace {

constexpr engine::ScriptLimits kLimits = {.steps_max = 64};

// Counted by libFuzzer as coverage: what happened to the tree, how often, and how high it got.
__attribute__((section("__libfuzzer_extra_counters"), used)) volatile std::uint8_t events_seen[64];
__attribute__((section("__libfuzzer_extra_counters"), used)) volatile std::uint8_t heights_seen[16];

static_assert(static_cast<std::size_t>(engine::TreeEvent::kCount) <= std::size(events_seen));

class ObservedTree : public engine::ShapedExtentMap<engine::SmallShape> {
 public:
  using ShapedExtentMap::ShapedExtentMap;

  std::expected<void, engine::ErrorCode> Add(std::uint64_t offset, std::uint64_t length, engine::ExtentType type) {
    engine::tree_event_counts = {};
    const auto result = ShapedExtentMap::Add(offset, length, type);
    for (std::size_t i = 0; i < engine::tree_event_counts.size(); ++i) {
      events_seen[i] =
          static_cast<std::uint8_t>(std::min<std::uint64_t>(255, events_seen[i] + engine::tree_event_counts[i]));
    }
    heights_seen[std::min<std::size_t>(height(), std::size(heights_seen) - 1)] = 1;
    return result;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  AbortOnDisagreement("boundary_tree", engine::ReadScript({data, size}, kLimits), [](const engine::Script& script) {
    return FindExtentMapDisagreement(script, ObservedTree(script.size, script.initial));
  });
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned seed) {
  return MutateScriptInput(data, size, size_max, seed, kLimits);
}

extern "C" std::size_t LLVMFuzzerCustomCrossOver(const std::uint8_t* one, std::size_t one_size,
                                                 const std::uint8_t* other, std::size_t other_size, std::uint8_t* out,
                                                 std::size_t size_max, unsigned seed) {
  return CrossScriptInputs({one, one_size}, {other, other_size}, {out, size_max}, seed, kLimits);
}

}  // namespace nbdspec::fuzz
