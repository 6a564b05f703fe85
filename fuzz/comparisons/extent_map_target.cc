// SPDX-License-Identifier: BSD-3-Clause
#include <cstdint>
#include <expected>

#include "engine/extents/extent_map.h"
#include "fuzz/comparisons/extent_map_differential.h"
#include "fuzz/comparisons/map_states.h"

namespace nbdspec::fuzz {
namespace {

class ObservedMap : public engine::ExtentMap {
 public:
  using engine::ExtentMap::ExtentMap;

  std::expected<void, engine::ErrorCode> Add(std::uint64_t offset, std::uint64_t length, engine::ExtentType type) {
    const auto result = engine::ExtentMap::Add(offset, length, type);
    CountExtents(extent_count());
    return result;
  }
};

}  // namespace

FuzzTarget ExtentMapTarget() {
  return {.name = "extent_map",
          .subject = "`ExtentMap`, after every step",
          .against = "the bitmap and the last writer",
          .inputs = ScriptKind(kExtentMapLimits),
          .find_in_script =
              [](const engine::Script& script) {
                static CellOracle oracle;  // Kept for its memory.
                return FindExtentMapDisagreement(script, ObservedMap(script.size, script.initial), oracle);
              },
          .check_runs = 200'000};
}

}  // namespace nbdspec::fuzz
