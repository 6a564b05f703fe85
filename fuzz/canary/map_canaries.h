// SPDX-License-Identifier: BSD-3-Clause
// Planted bugs in maps, whose inputs are scripts of steps: for RapidCheck they are a property as well.

#pragma once

#include <cstdint>
#include <span>

#include "engine/base/bytes.h"
#include "engine/script/script_bytes.h"
#include "fuzz/canary/canary.h"
#include "fuzz/comparisons/extent_map_differential.h"
#include "fuzz/properties/extent_map_model.h"

namespace nbdspec::fuzz {

// The bugs of `rows` in a Mutant, which is made of a row (an empty one has no bug), a size and an initial type.
template <typename Mutant>
CanaryTarget MapCanaries(const FuzzTarget& target_row, std::span<const typename Mutant::Row> rows, bool has_notes) {
  using Row = typename Mutant::Row;
  const auto with = [](const Row& row) -> FindBytesDisagreement {
    return [row](engine::ByteView input) {
      const engine::Script script = engine::ReadScript(input, kExtentMapLimits);
      return FindExtentMapDisagreement(script, Mutant(row, script.size, script.initial));
    };
  };
  CanaryTarget target = CanariesFor(target_row, {});
  target.right.push_back(with({}));
  target.counts_states = true;
  for (const Row& row : rows) {
    const auto check = [row] {
      CheckExtentMapProperty(
          [row](std::uint64_t size, engine::ExtentType initial) { return Mutant(row, size, initial); });
    };
    target.canaries.push_back({.name = std::string(row.name),
                               .family = row.family,
                               .inputs_max = row.inputs_max,
                               .find = with(row),
                               .property = check,
                               .has_notes = has_notes});
  }
  return target;
}

}  // namespace nbdspec::fuzz
