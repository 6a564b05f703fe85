// SPDX-License-Identifier: BSD-3-Clause
// A map and an oracle, taken through the same steps; all they answer is compared, and the whole maps after each change.
//
// The map is a template parameter so that canary tests can pass one with a planted bug, and another implementation
// can be checked the same way. It needs Add, Clear, ForEach, Lookup, extent_count and CheckInvariants, as ExtentMap.
// An oracle needs Add, Clear, Extents and size. Comparing is most of the work, so it allocates nothing.

#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "engine/base/byte_range.h"
#include "engine/base/error.h"
#include "engine/extents/extent.h"
#include "engine/extents/extent_map.h"
#include "engine/extents/small_shape.h"
#include "engine/oracle/oracles.h"
#include "engine/script/script.h"
#include "engine/script/script_bytes.h"
#include "fuzz/comparisons/fuzz_target.h"

namespace nbdspec::fuzz {

// What an input becomes: enough for 129 extents; more steps only slow the run.
inline constexpr engine::ScriptLimits kExtentMapLimits = {.steps_max = 64};

template <typename Map, typename Oracle>
class ExtentMapDifferential {
 public:
  // Both outlive this, and are equal so far.
  ExtentMapDifferential(Map& map, Oracle& oracle) : map_(map), oracle_(oracle) {}

  // Takes both through `step`; if it may change them, compares the whole maps.
  Found Take(const engine::Step& step) {
    if (auto found = std::visit([this](const auto& kind) { return this->Do(kind); }, step)) {
      return found;
    }
    const bool may_change =
        std::holds_alternative<engine::AddStep>(step) || std::holds_alternative<engine::ClearStep>(step);
    return may_change ? CompareWhole() : std::nullopt;
  }

  // The whole map: every extent, their count, and its own idea of what it should be.
  Found CompareWhole() {
    map_.CheckInvariants();
    const engine::ForEachStep whole{.bounds = {.begin = 0, .end = oracle_.size()}};
    const auto& expected = oracle_.Extents(whole.bounds);
    if (!Visits(whole, expected)) {
      return Differs("the whole map", whole);
    }
    return Compare("extent_count", expected.size(), map_.extent_count());
  }

 private:
  using Answer = std::expected<void, engine::ErrorCode>;

  // What a visitor checks: it visits `next` and so on up to `end`, and stops there if `stops`.
  struct Walk {
    const engine::Extent* next;
    const engine::Extent* end;
    bool stops;
    bool is_right = true;

    bool Visit(const engine::Extent& extent) {
      if (next == end || extent != *next) {
        is_right = false;
        return false;
      }
      ++next;
      return !stops || next != end;
    }
  };

  Found Do(const engine::AddStep& step) {
    const Answer expected = oracle_.Add(step.offset, step.length, step.type);
    const Answer saw = map_.Add(step.offset, step.length, step.type);
    return expected == saw ? Found() : Compare("its result", Describe(expected), Describe(saw));
  }

  Found Do(const engine::ClearStep&) {
    oracle_.Clear();
    map_.Clear();
    return std::nullopt;
  }

  Found Do(const engine::ForEachStep& step) {
    return Visits(step, oracle_.Extents(step.bounds)) ? Found() : Differs("what it visits", step);
  }

  // Steps for servers; a map has none.
  template <typename Other>
  Found Do(const Other&) {
    return std::nullopt;
  }

  Found Do(const engine::LookupStep& step) {
    if (step.offset >= oracle_.size()) {
      return std::nullopt;  // ExtentMap aborts on it, as documented.
    }
    const engine::Extent saw = map_.Lookup(step.offset);
    for (const engine::Extent& extent : oracle_.Extents({.begin = 0, .end = oracle_.size()})) {
      if (extent.range.Contains(step.offset) && extent != saw) {
        return Compare("its result", engine::Print(extent), engine::Print(saw));
      }
    }
    return std::nullopt;
  }

  // Whether the map's ForEach shows `extents` to a visitor that stops where `step` says, and says whether it did.
  bool Visits(const engine::ForEachStep& step, std::span<const engine::Extent> extents) const {
    const bool stops = step.stop_at != 0 && extents.size() >= step.stop_at;
    const std::span expected = stops ? extents.first(step.stop_at) : extents;
    Walk walk = {.next = expected.data(), .end = expected.data() + expected.size(), .stops = stops};
    const bool has_ended =
        map_.ForEach(step.bounds, [&walk](const engine::Extent& extent) { return walk.Visit(extent); });
    return walk.is_right && walk.next == walk.end && has_ended == !stops;
  }

  // The disagreement that Visits found, in words.
  Disagreement Differs(std::string where, const engine::ForEachStep& step) const {
    const auto& extents = oracle_.Extents(step.bounds);
    std::string expected;
    std::size_t count = 0;
    for (const engine::Extent& extent : extents) {
      expected += ++count <= step.stop_at || step.stop_at == 0 ? engine::Print(extent) + "; " : "";
    }
    std::string saw;
    count = 0;
    const bool has_ended = map_.ForEach(step.bounds, [&](const engine::Extent& extent) {
      saw += engine::Print(extent) + "; ";
      return ++count != step.stop_at;
    });
    return {.where = std::move(where),
            .expected = expected + (step.stop_at != 0 && extents.size() >= step.stop_at ? "stopped" : "to the end"),
            .saw = saw + (has_ended ? "to the end" : "stopped")};
  }

  static std::string Describe(const Answer& answer) {
    return answer ? "success" : std::string(engine::Describe(answer.error()));
  }

  Map& map_;
  Oracle& oracle_;
};

// The first disagreement between `map`, which has the script's size and initial type, unchanged, and the last-writer
// oracle. Not for several threads at once.
template <typename Map>
Found FindExtentMapDisagreement(const engine::Script& script, Map map) {
  static engine::LastWriterOracle oracle;  // Kept for its memory.
  oracle.Begin(script.size, script.initial);
  ExtentMapDifferential<Map, engine::LastWriterOracle> both(map, oracle);
  if (auto found = both.CompareWhole()) {
    return Under("before the first step", std::move(found));
  }
  for (std::size_t i = 0; i < script.steps.size(); ++i) {
    if (auto found = both.Take(script.steps[i])) {
      return Under("after step " + std::to_string(i + 1) + ", " + engine::Print(script.steps[i]), std::move(found));
    }
  }
  return std::nullopt;
}

// --- What libFuzzer sees of a map's state, besides coverage: the code of a map is soon covered, its states are not.
// The targets count them, and the planted bugs (fuzz/canary) are looked for with the same counters ---

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
    constexpr bool kCountsEvents = !std::is_same_v<Map, engine::ExtentMap>;  // The real tree counts none.
    [[maybe_unused]] const TreeEventCounts before = kCountsEvents ? engine::tree_event_counts : TreeEventCounts{};
    const auto result = Map::Add(offset, length, type);
    CountExtents(this->extent_count());
    if constexpr (kCountsEvents) {
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
                return FindExtentMapDisagreement(script, ObservedMap<Map>(script.size, script.initial));
              },
          .check_runs = 200'000};
}

FuzzTarget ExtentMapTarget();
FuzzTarget BoundaryTreeTarget();

}  // namespace nbdspec::fuzz
