// SPDX-License-Identifier: BSD-3-Clause
// The planted bugs of the target boundary_tree: the map's tree, of very small nodes, wrong in one named way once
// something has happened to its nodes.
//
// It wraps the right tree, hears of its events (small_shape.h), and spoils what is in it or what comes out. So the
// bugs need maps of a certain size and shape, which no coverage of code tells from others.

#include <array>
#include <cstdint>
#include <expected>
#include <functional>
#include <utility>

#include "engine/base/byte_range.h"
#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "engine/extents/boundary_tree.h"
#include "engine/extents/extent.h"
#include "engine/extents/small_shape.h"
#include "engine/script/script_bytes.h"
#include "fuzz/canary/canary.h"
#include "fuzz/canary/registry.h"
#include "fuzz/comparisons/extent_map_differential.h"
#include "fuzz/comparisons/map_states.h"
#include "fuzz/properties/extent_map_model.h"

namespace nbdspec::fuzz {
namespace {

using engine::ByteRange;
using engine::ErrorCode;
using engine::Extent;
using engine::ExtentType;
using engine::TreeEvent;

class MutantTree {
 public:
  MutantTree(Bug bug, std::uint64_t size, engine::ExtentType initial);

  std::expected<void, engine::ErrorCode> Add(std::uint64_t offset, std::uint64_t length, engine::ExtentType type);
  void Clear();
  bool ForEach(engine::ByteRange bounds, const std::function<bool(engine::Extent)>& visit) const;
  [[nodiscard]] engine::Extent Lookup(std::uint64_t offset) const;
  [[nodiscard]] std::uint64_t extent_count() const { return map_.extent_count() + too_many_; }
  void CheckInvariants() const { map_.CheckInvariants(); }

 private:
  using Tree = engine::ShapedExtentMap<engine::SmallShape>;

  // Whether `bug` is the one planted, and `event` has happened since `before`.
  [[nodiscard]] bool Has(Bug bug, engine::TreeEvent event) const;
  void SpoilLeaves(engine::ByteRange added);
  void SpoilInners(engine::ByteRange added);
  // The extent that holds `offset` becomes one with the one before it; the first changes its type.
  void Lose(std::uint64_t offset);
  void Put(engine::ByteRange range, engine::ExtentType type);
  void CountOneMore();
  void BuildAnew();

  Bug bug_;
  Tree map_;
  engine::ExtentType initial_;
  mutable TreeEventCounts before_ = {};
  engine::ExtentType old_last_ = {};    // Of the last byte added over, before that.
  engine::ExtentType old_middle_ = {};  // Of one in the middle.
  std::uint64_t too_many_ = 0;
  std::uint64_t stale_separator_ = ~std::uint64_t{0};
  std::uint64_t append_place_ = ~std::uint64_t{0};
  std::uint64_t stale_append_place_ = ~std::uint64_t{0};
  bool has_lost_tail_ = false;
};

constexpr std::uint64_t kNowhere = ~std::uint64_t{0};

constexpr ExtentType Other(ExtentType type) { return static_cast<ExtentType>(static_cast<std::uint8_t>(type) ^ 1U); }

// In a condition: notes that the bug's code is reached.
bool Reach() { return canary_notes.is_reached = true; }
bool Trigger() { return canary_notes.is_triggered = Reach(); }

MutantTree::MutantTree(Bug bug, std::uint64_t size, ExtentType initial)
    : bug_(bug), map_(size, initial), initial_(initial) {}

bool MutantTree::Has(Bug bug, TreeEvent event) const {
  const auto index = static_cast<std::size_t>(event);
  return bug_ == bug && engine::tree_event_counts[index] != before_[index] && Reach();
}

void MutantTree::Put(ByteRange range, ExtentType type) {
  if (!range.empty() && map_.Lookup(range.begin) != Extent{.range = range, .type = type}) {
    (void)map_.Add(range.begin, range.length(), type);
    Trigger();
  }
}

void MutantTree::Lose(std::uint64_t offset) {
  if (offset >= map_.size()) {
    return;
  }
  const Extent lost = map_.Lookup(offset);
  Put(lost.range, lost.range.begin == 0 ? Other(lost.type) : map_.Lookup(lost.range.begin - 1).type);
}

void MutantTree::CountOneMore() {
  ++too_many_;
  Trigger();
}

std::expected<void, ErrorCode> MutantTree::Add(std::uint64_t offset, std::uint64_t length, ExtentType type) {
  const auto range = ByteRange::From({.offset = offset, .length = length});
  const ByteRange added = range ? Intersect(*range, {.begin = 0, .end = map_.size()}) : ByteRange{};
  if (added.empty() || !engine::IsExtentType(static_cast<std::uint8_t>(type))) {
    return map_.Add(offset, length, type);
  }
  if ((bug_ == "GrownRootForgetsTheTail"_bug && added.end == map_.size() && std::exchange(has_lost_tail_, false)) ||
      (bug_ == "AppendPlaceSurvivesClear"_bug && added.begin == std::exchange(stale_append_place_, kNowhere))) {
    Reach();
    return {};
  }
  old_last_ = map_.Lookup(added.end - 1).type;
  old_middle_ = map_.Lookup(added.begin + added.length() / 2).type;
  stale_separator_ = kNowhere;
  before_ = engine::tree_event_counts;
  const auto result = map_.Add(offset, length, type);
  CountExtents(map_.extent_count());
  CountTree(before_, map_.height());
  if (map_.height() > 0) {
    append_place_ = added.end;
  }
  SpoilLeaves(added);
  SpoilInners(added);
  return result;
}

void MutantTree::SpoilLeaves(ByteRange added) {
  if (Has("LeafSplitLosesTheExtentAfter"_bug, TreeEvent::kLeafSplit) ||
      Has("TrimmedLeafLosesItsFirst"_bug, TreeEvent::kLeafTrimmed) ||
      Has("JoinedLeavesLoseTheFirstOfTheRight"_bug, TreeEvent::kLeavesJoined)) {
    Lose(added.end);
  } else if (Has("LeafSplitLosesTheExtentBefore"_bug, TreeEvent::kLeafSplit)) {
    Lose(added.begin - (added.begin == 0 ? 0 : 1));
  } else if (Has("LeafSplitInMoreLosesTheMiddle"_bug, TreeEvent::kLeafSplitInMore) ||
             Has("AppendedLeafLosesItsFirst"_bug, TreeEvent::kLeafAppended)) {
    Lose(added.begin);
  } else if (Has("WideLeafCutsKeysTo32Bits"_bug, TreeEvent::kBecameWide)) {
    const std::uint64_t first = 1ULL << 32;
    Lose(first < map_.size() && map_.Lookup(first).range.end < map_.size() ? map_.Lookup(first).range.end : kNowhere);
  } else if (Has("NarrowLeafMovesAKey"_bug, TreeEvent::kBecameNarrow) ||
             Has("ShiftChangeMovesAKey"_bug, TreeEvent::kShiftChanged)) {
    if (added.begin > 0) {
      Put({.begin = added.begin, .end = added.begin + 1}, map_.Lookup(added.begin - 1).type);
    }
  } else if (Has("TrimmedLeafKeepsItsSeparator"_bug, TreeEvent::kLeafTrimmed)) {
    stale_separator_ = added.end;
  } else if (Has("ErasedLeafLeavesItsLast"_bug, TreeEvent::kLeafErased)) {
    Put({.begin = added.end - 1, .end = added.end}, old_last_);
  } else if (Has("JoinedLeavesAreCountedTwice"_bug, TreeEvent::kLeavesJoined)) {
    CountOneMore();
  } else if (Has("TreeIsBuiltAnewAfterAJoin"_bug, TreeEvent::kLeavesJoined)) {
    BuildAnew();
  }
}

void MutantTree::SpoilInners(ByteRange added) {
  if (Has("InnerSplitLosesTheLast"_bug, TreeEvent::kInnerSplit) ||
      Has("AppendedInnerLosesTheLast"_bug, TreeEvent::kInnerAppended)) {
    Lose(map_.size() - 1);
  } else if (Has("ErasedInnerIsStillCounted"_bug, TreeEvent::kInnerErased) ||
             Has("BackInTheMapIsCountedTwice"_bug, TreeEvent::kBackInTheMap)) {
    CountOneMore();
  } else if (Has("ErasedSubtreeLeavesARun"_bug, TreeEvent::kSubtreeErased)) {
    const std::uint64_t middle = added.begin + added.length() / 2;
    Put({.begin = middle, .end = middle + 1}, old_middle_);
  } else if (Has("JoinedInnersLoseTheFirst"_bug, TreeEvent::kInnersJoined) ||
             Has("ShrunkRootLosesTheFirst"_bug, TreeEvent::kRootShrunk)) {
    Lose(0);
  } else if (Has("GrownRootForgetsTheTail"_bug, TreeEvent::kRootGrown)) {
    has_lost_tail_ = true;
  }
}

void MutantTree::BuildAnew() {
  Tree anew(map_.size(), initial_);
  map_.ForEach({.begin = 0, .end = map_.size()}, [&anew](const Extent& extent) {
    return anew.Add(extent.range.begin, extent.range.length(), extent.type).has_value();
  });
  map_ = std::move(anew);
}

void MutantTree::Clear() {
  const bool leaves_tail =
      bug_ == "ClearLeavesTheTailOfHighTrees"_bug && map_.height() >= 2 && Reach() && map_.size() > 0;
  const Extent tail = leaves_tail ? map_.Lookup(map_.size() - 1) : Extent{};
  map_.Clear();
  too_many_ = 0;
  has_lost_tail_ = false;
  stale_separator_ = kNowhere;
  stale_append_place_ = std::exchange(append_place_, kNowhere);
  Put(tail.range, tail.type);
}

bool MutantTree::ForEach(ByteRange bounds, const std::function<bool(Extent)>& visit) const {
  if (bounds.begin == stale_separator_ && !bounds.empty() && Trigger()) {
    return visit({.range = {.begin = bounds.begin, .end = bounds.end}, .type = map_.Lookup(bounds.begin - 1).type});
  }
  before_ = engine::tree_event_counts;
  std::uint64_t last = 0;
  map_.ForEach(bounds, [&last](const Extent& extent) {
    last = extent.range.begin;
    return true;
  });
  // Scans of the whole map are what every step ends with.
  const bool is_part = bounds.begin > 0;
  const bool loses_last = (is_part && Has("ScanThatCrossesALeafLosesTheLast"_bug, TreeEvent::kScanCrossedLeaf)) ||
                          (is_part && Has("PrefetchPastTheEndLosesTheLast"_bug, TreeEvent::kPrefetchedLast)) ||
                          (is_part && Has("ScanThatCrossesAnInnerLosesTheLast"_bug, TreeEvent::kScanCrossedInner)) ||
                          Has("PrefetchAcrossInnersEndsTheScan"_bug, TreeEvent::kPrefetchedAcross);
  return map_.ForEach(bounds, [&](const Extent& extent) {
    return (loses_last && extent.range.begin == last && Trigger()) || visit(extent);
  });
}

Extent MutantTree::Lookup(std::uint64_t offset) const {
  Extent found = map_.Lookup(offset);
  if (offset == stale_separator_ && Trigger()) {
    return map_.Lookup(offset - 1);
  }
  if (bug_ == "LookupInHighTreesFindsTheExtentBefore"_bug && map_.height() >= 2 && Reach() && offset > 0 &&
      found.range.begin == offset && Trigger()) {
    return map_.Lookup(offset - 1);
  }
  if (bug_ == "LookupInHigherTreesIsShort"_bug && map_.height() >= 3 && Trigger()) {
    --found.range.end;
  }
  return found;
}

constexpr NamedBug kPlantedBugs[] = {
    {"LeafSplitLosesTheExtentAfter", Family::kShape, 100},
    {"LeafSplitLosesTheExtentBefore", Family::kShape, 100},
    {"LeafSplitInMoreLosesTheMiddle", Family::kShape, 7500},
    {"AppendedLeafLosesItsFirst", Family::kShape, 250},
    {"WideLeafCutsKeysTo32Bits", Family::kShape, 100},
    {"NarrowLeafMovesAKey", Family::kShape, 100},
    {"ShiftChangeMovesAKey", Family::kShape, 100},
    {"TrimmedLeafKeepsItsSeparator", Family::kShape, 40'000},
    {"TrimmedLeafLosesItsFirst", Family::kShape, 100},
    {"ErasedLeafLeavesItsLast", Family::kShape, 100},
    {"JoinedLeavesLoseTheFirstOfTheRight", Family::kShape, 350},
    {"JoinedLeavesAreCountedTwice", Family::kShape, 250},
    {"InnerSplitLosesTheLast", Family::kShape, 100},
    {"AppendedInnerLosesTheLast", Family::kShape, 100},
    {"ErasedInnerIsStillCounted", Family::kShape, 150},
    {"ErasedSubtreeLeavesARun", Family::kShape, 2000},
    {"JoinedInnersLoseTheFirst", Family::kShape, 650},
    {"GrownRootForgetsTheTail", Family::kShape, 100},
    {"ShrunkRootLosesTheFirst", Family::kShape, 100},
    {"BackInTheMapIsCountedTwice", Family::kShape, 100},
    {"AppendPlaceSurvivesClear", Family::kShape, 15'000},
    {"ClearLeavesTheTailOfHighTrees", Family::kShape, 1500},
    {"ScanThatCrossesALeafLosesTheLast", Family::kShape, 150},
    {"ScanThatCrossesAnInnerLosesTheLast", Family::kShape, 150},
    {"PrefetchAcrossInnersEndsTheScan", Family::kShape, 100},
    {"PrefetchPastTheEndLosesTheLast", Family::kShape, 100},
    {"LookupInHighTreesFindsTheExtentBefore", Family::kShape, 900},
    {"LookupInHigherTreesIsShort", Family::kShape, 250},
    {"TreeIsBuiltAnewAfterAJoin", Family::kEquivalent, 0},
};

FindBytesDisagreement WithBug(Bug bug) {
  return [bug](engine::ByteView input) {
    const engine::Script script = engine::ReadScript(input, kExtentMapLimits);
    return FindExtentMapDisagreement(script, MutantTree(bug, script.size, script.initial));
  };
}

}  // namespace

CanaryTarget BoundaryTreeCanaries() {
  CanaryTarget target = CanariesFor(BoundaryTreeTarget(), CanariesOf(kPlantedBugs, WithBug));
  target.right.push_back(WithBug(kNoBug));
  target.counts_states = true;
  for (Canary& canary : target.canaries) {
    canary.has_notes = true;
    canary.property = [bug = BugNamed(canary.name)] {
      CheckExtentMapProperty(
          [bug](std::uint64_t size, engine::ExtentType initial) { return MutantTree(bug, size, initial); });
    };
  }
  return target;
}

}  // namespace nbdspec::fuzz
