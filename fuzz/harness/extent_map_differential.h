// SPDX-License-Identifier: BSD-3-Clause
// A map and an oracle, taken through the same steps, and everything that can be asked compared after each.
//
// The map is a template parameter so that canary tests can pass one with a planted bug, and another implementation
// can be checked the same way. It needs Add, Clear, ForEach, Lookup, extent_count and CheckInvariants, as ExtentMap.

#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/base/error.h"
#include "engine/extents/extent.h"
#include "engine/oracle/bitmap_oracle.h"
#include "engine/oracle/last_writer_oracle.h"
#include "engine/script/script.h"
#include "fuzz/harness/disagreement.h"

namespace nbdspec::fuzz {

template <typename Map, typename Oracle>
class ExtentMapDifferential {
 public:
  // Both outlive this, and are equal so far.
  ExtentMapDifferential(Map& map, Oracle& oracle) : map_(map), oracle_(oracle) {}

  // Takes both through `step`, then compares the whole maps.
  std::optional<Disagreement> Take(const engine::Step& step) {
    auto found = std::visit([this](const auto& kind) { return this->Do(kind); }, step);
    return found ? found : CompareWhole();
  }

  // The whole map: every extent, their count, and its own idea of what it should be.
  std::optional<Disagreement> CompareWhole() {
    map_.CheckInvariants();
    const engine::ForEachStep whole{.bounds = {.begin = 0, .end = oracle_.size()}};
    const Visits expected{.extents = oracle_.Extents(whole.bounds)};
    if (const Visits saw = ForEach(whole); saw != expected) {
      return Disagreement{.where = "the whole map", .expected = Describe(expected), .saw = Describe(saw)};
    }
    if (map_.extent_count() != expected.extents.size()) {
      return Disagreement{.where = "extent_count",
                          .expected = std::to_string(expected.extents.size()),
                          .saw = std::to_string(map_.extent_count())};
    }
    return std::nullopt;
  }

 private:
  using Extents = std::vector<engine::Extent>;
  using Answer = std::expected<void, engine::ErrorCode>;

  // What a ForEach showed, and whether it said that no visit was refused.
  struct Visits {
    Extents extents;
    bool has_ended = true;
    bool operator==(const Visits&) const = default;
  };

  std::optional<Disagreement> Do(const engine::AddStep& step) {
    const Answer expected = oracle_.Add(step.offset, step.length, step.type);
    const Answer saw = map_.Add(step.offset, step.length, step.type);
    if (expected != saw) {
      return Disagreement{.where = "its result", .expected = Describe(expected), .saw = Describe(saw)};
    }
    return std::nullopt;
  }

  std::optional<Disagreement> Do(const engine::ClearStep&) {
    oracle_.Clear();
    map_.Clear();
    return std::nullopt;
  }

  std::optional<Disagreement> Do(const engine::ForEachStep& step) {
    Visits expected{.extents = oracle_.Extents(step.bounds)};
    if (step.stop_at != 0 && expected.extents.size() >= step.stop_at) {
      expected.extents.resize(step.stop_at);
      expected.has_ended = false;
    }
    const Visits saw = ForEach(step);
    if (expected != saw) {
      return Disagreement{.where = "what it visits", .expected = Describe(expected), .saw = Describe(saw)};
    }
    return std::nullopt;
  }

  std::optional<Disagreement> Do(const engine::LookupStep& step) {
    if (step.offset >= oracle_.size()) {
      return std::nullopt;  // ExtentMap aborts on it, as documented.
    }
    const engine::Extent saw = map_.Lookup(step.offset);
    for (const engine::Extent& extent : oracle_.Extents({.begin = 0, .end = oracle_.size()})) {
      if (extent.range.Contains(step.offset) && extent != saw) {
        return Disagreement{.where = "its result", .expected = engine::Print(extent), .saw = engine::Print(saw)};
      }
    }
    return std::nullopt;
  }

  Visits ForEach(const engine::ForEachStep& step) const {
    Visits visits;
    visits.has_ended = map_.ForEach(step.bounds, [&](engine::Extent extent) {
      visits.extents.push_back(extent);
      return visits.extents.size() != step.stop_at;
    });
    return visits;
  }

  static std::string Describe(const Answer& answer) {
    return answer ? "success" : std::string(engine::Describe(answer.error()));
  }

  static std::string Describe(const Visits& visits) {
    std::string text;
    for (const engine::Extent& extent : visits.extents) {
      text += engine::Print(extent) + "; ";
    }
    return text + (visits.has_ended ? "to the end" : "stopped");
  }

  Map& map_;
  Oracle& oracle_;
};

template <typename Oracle, typename Map>
std::optional<Disagreement> FindDisagreementWith(const engine::Script& script, Map& map) {
  Oracle oracle(script.size, script.initial);
  ExtentMapDifferential<Map, Oracle> both(map, oracle);
  if (auto found = both.CompareWhole()) {
    found->where = "before the first step: " + found->where;
    return found;
  }
  for (std::size_t i = 0; i < script.steps.size(); ++i) {
    if (auto found = both.Take(script.steps[i])) {
      found->where =
          "after step " + std::to_string(i + 1) + ", " + engine::Print(script.steps[i]) + ": " + found->where;
      return found;
    }
  }
  return std::nullopt;
}

// The first disagreement between `map` and an oracle. `map` has the script's size and initial type, unchanged.
template <typename Map>
std::optional<Disagreement> FindExtentMapDisagreement(const engine::Script& script, Map map) {
  // Small enough that a cell per byte costs less than finding the last writer.
  constexpr std::uint64_t kBitmapSizeMax = 256;
  if (script.size <= kBitmapSizeMax) {
    return FindDisagreementWith<engine::BitmapOracle>(script, map);
  }
  return FindDisagreementWith<engine::LastWriterOracle>(script, map);
}

}  // namespace nbdspec::fuzz
