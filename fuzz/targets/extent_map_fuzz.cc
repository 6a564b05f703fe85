// SPDX-License-Identifier: BSD-3-Clause
// Fuzzes ExtentMap: one script, the map and a naive oracle, the same answers after every step.

#include <cstddef>
#include <cstdint>

#include "engine/extents/extent_map.h"
#include "engine/script/script_bytes.h"
#include "fuzz/harness/disagreement.h"
#include "fuzz/harness/extent_map_differential.h"

namespace nbdspec::fuzz {

// Few steps on purpose: overlaps and edges need no more, and a long script only slows the run.
static constexpr engine::ScriptLimits kLimits = {.steps_max = 32};

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  AbortOnDisagreement("extent_map", engine::ReadScript({data, size}, kLimits), [](const engine::Script& script) {
    return FindExtentMapDisagreement(script, engine::ExtentMap(script.size, script.initial));
  });
  return 0;
}

}  // namespace nbdspec::fuzz
