// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/canary/mutant_tree.h"

#include <utility>

#include "fuzz/canary/canary.h"

namespace nbdspec::fuzz {

using engine::ByteRange;
using engine::ErrorCode;
using engine::Extent;
using engine::ExtentType;
using engine::TreeEvent;

namespace {

constexpr std::uint64_t kNowhere = ~std::uint64_t{0};

constexpr ExtentType Other(ExtentType type) { return static_cast<ExtentType>(static_cast<std::uint8_t>(type) ^ 1U); }

// In a condition: notes that the bug's code is reached.
bool Reach() { return canary_notes.is_reached = true; }
bool Trigger() { return canary_notes.is_triggered = Reach(); }

}  // namespace

MutantTree::MutantTree(TreeBug bug, std::uint64_t size, ExtentType initial)
    : bug_(bug), map_(size, initial), initial_(initial) {}

bool MutantTree::Has(TreeBug bug, TreeEvent event) const {
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
  if ((bug_ == TreeBug::kGrownRootForgetsTheTail && added.end == map_.size() && std::exchange(has_lost_tail_, false)) ||
      (bug_ == TreeBug::kAppendPlaceSurvivesClear && added.begin == std::exchange(stale_append_place_, kNowhere))) {
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
  if (Has(TreeBug::kLeafSplitLosesTheExtentAfter, TreeEvent::kLeafSplit) ||
      Has(TreeBug::kTrimmedLeafLosesItsFirst, TreeEvent::kLeafTrimmed) ||
      Has(TreeBug::kJoinedLeavesLoseTheFirstOfTheRight, TreeEvent::kLeavesJoined)) {
    Lose(added.end);
  } else if (Has(TreeBug::kLeafSplitLosesTheExtentBefore, TreeEvent::kLeafSplit)) {
    Lose(added.begin - (added.begin == 0 ? 0 : 1));
  } else if (Has(TreeBug::kLeafSplitInMoreLosesTheMiddle, TreeEvent::kLeafSplitInMore) ||
             Has(TreeBug::kAppendedLeafLosesItsFirst, TreeEvent::kLeafAppended)) {
    Lose(added.begin);
  } else if (Has(TreeBug::kWideLeafCutsKeysTo32Bits, TreeEvent::kBecameWide)) {
    const std::uint64_t first = 1ULL << 32;
    Lose(first < map_.size() && map_.Lookup(first).range.end < map_.size() ? map_.Lookup(first).range.end : kNowhere);
  } else if (Has(TreeBug::kNarrowLeafMovesAKey, TreeEvent::kBecameNarrow) ||
             Has(TreeBug::kShiftChangeMovesAKey, TreeEvent::kShiftChanged)) {
    if (added.begin > 0) {
      Put({.begin = added.begin, .end = added.begin + 1}, map_.Lookup(added.begin - 1).type);
    }
  } else if (Has(TreeBug::kTrimmedLeafKeepsItsSeparator, TreeEvent::kLeafTrimmed)) {
    stale_separator_ = added.end;
  } else if (Has(TreeBug::kErasedLeafLeavesItsLast, TreeEvent::kLeafErased)) {
    Put({.begin = added.end - 1, .end = added.end}, old_last_);
  } else if (Has(TreeBug::kJoinedLeavesAreCountedTwice, TreeEvent::kLeavesJoined)) {
    CountOneMore();
  } else if (Has(TreeBug::kTreeIsBuiltAnewAfterAJoin, TreeEvent::kLeavesJoined)) {
    BuildAnew();
  }
}

void MutantTree::SpoilInners(ByteRange added) {
  if (Has(TreeBug::kInnerSplitLosesTheLast, TreeEvent::kInnerSplit) ||
      Has(TreeBug::kAppendedInnerLosesTheLast, TreeEvent::kInnerAppended)) {
    Lose(map_.size() - 1);
  } else if (Has(TreeBug::kErasedInnerIsStillCounted, TreeEvent::kInnerErased) ||
             Has(TreeBug::kBackInTheMapIsCountedTwice, TreeEvent::kBackInTheMap)) {
    CountOneMore();
  } else if (Has(TreeBug::kErasedSubtreeLeavesARun, TreeEvent::kSubtreeErased)) {
    const std::uint64_t middle = added.begin + added.length() / 2;
    Put({.begin = middle, .end = middle + 1}, old_middle_);
  } else if (Has(TreeBug::kJoinedInnersLoseTheFirst, TreeEvent::kInnersJoined) ||
             Has(TreeBug::kShrunkRootLosesTheFirst, TreeEvent::kRootShrunk)) {
    Lose(0);
  } else if (Has(TreeBug::kGrownRootForgetsTheTail, TreeEvent::kRootGrown)) {
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
      bug_ == TreeBug::kClearLeavesTheTailOfHighTrees && map_.height() >= 2 && Reach() && map_.size() > 0;
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
  const bool loses_last =
      (is_part && Has(TreeBug::kScanThatCrossesALeafLosesTheLast, TreeEvent::kScanCrossedLeaf)) ||
      (is_part && Has(TreeBug::kPrefetchPastTheEndLosesTheLast, TreeEvent::kPrefetchedLast)) ||
      (is_part && Has(TreeBug::kScanThatCrossesAnInnerLosesTheLast, TreeEvent::kScanCrossedInner)) ||
      Has(TreeBug::kPrefetchAcrossInnersEndsTheScan, TreeEvent::kPrefetchedAcross);
  return map_.ForEach(bounds, [&](const Extent& extent) {
    return (loses_last && extent.range.begin == last && Trigger()) || visit(extent);
  });
}

Extent MutantTree::Lookup(std::uint64_t offset) const {
  Extent found = map_.Lookup(offset);
  if (offset == stale_separator_ && Trigger()) {
    return map_.Lookup(offset - 1);
  }
  if (bug_ == TreeBug::kLookupInHighTreesFindsTheExtentBefore && map_.height() >= 2 && Reach() && offset > 0 &&
      found.range.begin == offset && Trigger()) {
    return map_.Lookup(offset - 1);
  }
  if (bug_ == TreeBug::kLookupInHigherTreesIsShort && map_.height() >= 3 && Trigger()) {
    --found.range.end;
  }
  return found;
}

}  // namespace nbdspec::fuzz
