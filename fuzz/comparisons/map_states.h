// SPDX-License-Identifier: BSD-3-Clause
// What libFuzzer sees of a map's state, besides coverage: the code of a map is soon covered, its states are not. The
// targets count them, and the planted bugs (fuzz/canary) are looked for with the same counters.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/extents/small_shape.h"
#include "fuzz/comparisons/extent_map_differential.h"

namespace nbdspec::fuzz {

using TreeEventCounts = decltype(engine::tree_event_counts);

// Whether anything is counted.
inline bool counts_states = true;

// That a map has, or had, so many extents.
void CountExtents(std::uint64_t count);

// What has happened to a tree since `before`, how often, and how high it is.
void CountTree(const TreeEventCounts& before, std::size_t height);

template <typename Map>
class ObservedMap : public Map {
 public:
  using Map::Map;

  auto Add(std::uint64_t offset, std::uint64_t length, engine::ExtentType type) {
    [[maybe_unused]] const TreeEventCounts before = engine::tree_event_counts;
    const auto result = Map::Add(offset, length, type);
    CountExtents(this->extent_count());
    if constexpr (requires { this->height(); }) {
      CountTree(before, this->height());
    }
    return result;
  }
};

// The row of a target whose subject is `Map`.
template <typename Map>
FuzzTarget MapTarget(std::string_view name, std::string_view subject, std::string_view against) {
  return {.name = name,
          .subject = subject,
          .against = against,
          .inputs = ScriptKind(kExtentMapLimits),
          .find_in_script =
              [](const engine::Script& script) {
                static CellOracle oracle;  // Kept for its memory.
                return FindExtentMapDisagreement(script, ObservedMap<Map>(script.size, script.initial), oracle);
              },
          .check_runs = 200'000};
}

}  // namespace nbdspec::fuzz
