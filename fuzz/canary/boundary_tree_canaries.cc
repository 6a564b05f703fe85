// SPDX-License-Identifier: BSD-3-Clause
// The planted bugs of the target boundary_tree: the map's tree, of very small nodes, wrong in one named way once
// something has happened to its nodes.
//
// It wraps the right tree, hears of its events (small_shape.h), and spoils what is in it or what comes out. So the
// bugs need maps of a certain size and shape, which no coverage of code tells from others.

#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>

#include "engine/base/byte_range.h"
#include "engine/extents/boundary_tree.h"
#include "engine/extents/extent.h"
#include "engine/extents/small_shape.h"
#include "fuzz/canary/canary.h"
#include "fuzz/canary/map_canaries.h"
#include "fuzz/comparisons/extent_map_differential.h"

namespace nbdspec::fuzz {
namespace {

using engine::ByteRange;
using engine::ErrorCode;
using engine::Extent;
using engine::ExtentType;
using engine::TreeEvent;

constexpr std::uint64_t kNowhere = ~std::uint64_t{0};

constexpr ExtentType Other(ExtentType type) { return static_cast<ExtentType>(static_cast<std::uint8_t>(type) ^ 1U); }

// In a condition: notes that the bug's code is reached.
bool Reach() { return canary_notes.is_reached = true; }
bool Trigger() { return canary_notes.is_triggered = Reach(); }

class MutantTree {
 public:
  // A bug that waits for `event`: after an Add that brings it about, `spoil` is called with what was added; a scan in
  // which it happens loses its last extent. Those without an event are in the code below, by name.
  struct Row {
    std::string_view name = {};
    Family family = Family::kShape;
    std::uint64_t inputs_max = 0;
    std::optional<TreeEvent> event = {};
    void (MutantTree::*spoil)(ByteRange added) = nullptr;
  };

  MutantTree(const Row& row, std::uint64_t size, ExtentType initial)
      : row_(row), bug_(BugNamed(row.name)), map_(size, initial), initial_(initial) {}

  std::expected<void, ErrorCode> Add(std::uint64_t offset, std::uint64_t length, ExtentType type) {
    const auto range = ByteRange::From({.offset = offset, .length = length});
    const ByteRange added = range ? Intersect(*range, {.begin = 0, .end = map_.size()}) : ByteRange{};
    if (added.empty() || !engine::IsExtentType(static_cast<std::uint8_t>(type))) {
      return map_.Add(offset, length, type);
    }
    if ((added.end == map_.size() && std::exchange(has_lost_tail_, false)) ||
        added.begin == std::exchange(stale_append_place_, kNowhere)) {
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
    if (row_.spoil != nullptr && HasHappened()) {
      (this->*row_.spoil)(added);
    }
    return result;
  }

  void Clear() {
    const bool leaves_tail =
        bug_ == "ClearLeavesTheTailOfHighTrees"_bug && map_.height() >= 2 && Reach() && map_.size() > 0;
    const Extent tail = leaves_tail ? map_.Lookup(map_.size() - 1) : Extent{};
    map_.Clear();
    too_many_ = 0;
    has_lost_tail_ = false;
    stale_separator_ = kNowhere;
    const std::uint64_t append_place = std::exchange(append_place_, kNowhere);
    stale_append_place_ = bug_ == "AppendPlaceSurvivesClear"_bug ? append_place : kNowhere;
    Put(tail.range, tail.type);
  }

  bool ForEach(ByteRange bounds, const std::function<bool(Extent)>& visit) const {
    if (bounds.begin == stale_separator_ && !bounds.empty() && Trigger()) {
      return visit({.range = {.begin = bounds.begin, .end = bounds.end}, .type = map_.Lookup(bounds.begin - 1).type});
    }
    before_ = engine::tree_event_counts;
    std::uint64_t last = 0;
    map_.ForEach(bounds, [&last](const Extent& extent) {
      last = extent.range.begin;
      return true;
    });
    // Scans of the whole map are what every step ends with: but for one bug, they are right.
    const bool may_lose = row_.spoil == nullptr && (bounds.begin > 0 || row_.event == TreeEvent::kPrefetchedAcross);
    const bool loses_last = may_lose && HasHappened();
    return map_.ForEach(bounds, [&](const Extent& extent) {
      return (loses_last && extent.range.begin == last && Trigger()) || visit(extent);
    });
  }

  [[nodiscard]] Extent Lookup(std::uint64_t offset) const {
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

  [[nodiscard]] std::uint64_t extent_count() const { return map_.extent_count() + too_many_; }
  void CheckInvariants() const { map_.CheckInvariants(); }

  // --- What bugs do after an Add ---

  void LoseAfter(ByteRange added) { Lose(added.end); }
  void LoseBefore(ByteRange added) { Lose(added.begin - (added.begin == 0 ? 0 : 1)); }
  void LoseAdded(ByteRange added) { Lose(added.begin); }
  void LoseFirst(ByteRange /*added*/) { Lose(0); }
  void LoseLast(ByteRange /*added*/) { Lose(map_.size() - 1); }
  void LoseAbove32Bits(ByteRange /*added*/) {
    const std::uint64_t first = 1ULL << 32;
    Lose(first < map_.size() && map_.Lookup(first).range.end < map_.size() ? map_.Lookup(first).range.end : kNowhere);
  }
  void MoveKey(ByteRange added) {
    if (added.begin > 0) {
      Put({.begin = added.begin, .end = added.begin + 1}, map_.Lookup(added.begin - 1).type);
    }
  }
  void KeepSeparator(ByteRange added) { stale_separator_ = added.end; }
  void LeaveLast(ByteRange added) { Put({.begin = added.end - 1, .end = added.end}, old_last_); }
  void LeaveMiddle(ByteRange added) {
    const std::uint64_t middle = added.begin + added.length() / 2;
    Put({.begin = middle, .end = middle + 1}, old_middle_);
  }
  void ForgetTail(ByteRange /*added*/) { has_lost_tail_ = true; }
  void CountOneMore(ByteRange /*added*/) {
    ++too_many_;
    Trigger();
  }
  void BuildAnew(ByteRange /*added*/) {
    Tree anew(map_.size(), initial_);
    map_.ForEach({.begin = 0, .end = map_.size()}, [&anew](const Extent& extent) {
      return anew.Add(extent.range.begin, extent.range.length(), extent.type).has_value();
    });
    map_ = std::move(anew);
  }

 private:
  using Tree = engine::ShapedExtentMap<engine::SmallShape>;

  // Whether the bug's event has, since `before_`.
  [[nodiscard]] bool HasHappened() const {
    const auto index = row_.event ? static_cast<std::size_t>(*row_.event) : 0;
    return row_.event && engine::tree_event_counts[index] != before_[index] && Reach();
  }
  // The extent that holds `offset` becomes one with the one before it; the first changes its type.
  void Lose(std::uint64_t offset) {
    if (offset < map_.size()) {
      const Extent lost = map_.Lookup(offset);
      Put(lost.range, lost.range.begin == 0 ? Other(lost.type) : map_.Lookup(lost.range.begin - 1).type);
    }
  }
  void Put(ByteRange range, ExtentType type) {
    if (!range.empty() && map_.Lookup(range.begin) != Extent{.range = range, .type = type}) {
      (void)map_.Add(range.begin, range.length(), type);
      Trigger();
    }
  }

  Row row_;
  Bug bug_;
  Tree map_;
  ExtentType initial_;
  mutable TreeEventCounts before_ = {};
  ExtentType old_last_ = {};    // Of the last byte added over, before that.
  ExtentType old_middle_ = {};  // Of one in the middle.
  std::uint64_t too_many_ = 0;
  std::uint64_t stale_separator_ = kNowhere;
  std::uint64_t append_place_ = kNowhere;
  std::uint64_t stale_append_place_ = kNowhere;
  bool has_lost_tail_ = false;
};

using Tree = MutantTree;

constexpr Tree::Row kPlantedBugs[] = {
    {"LeafSplitLosesTheExtentAfter", Family::kShape, 100, TreeEvent::kLeafSplit, &Tree::LoseAfter},
    {"LeafSplitLosesTheExtentBefore", Family::kShape, 100, TreeEvent::kLeafSplit, &Tree::LoseBefore},
    {"LeafSplitInMoreLosesTheMiddle", Family::kShape, 7500, TreeEvent::kLeafSplitInMore, &Tree::LoseAdded},
    {"AppendedLeafLosesItsFirst", Family::kShape, 250, TreeEvent::kLeafAppended, &Tree::LoseAdded},
    {"WideLeafCutsKeysTo32Bits", Family::kShape, 100, TreeEvent::kBecameWide, &Tree::LoseAbove32Bits},
    {"NarrowLeafMovesAKey", Family::kShape, 100, TreeEvent::kBecameNarrow, &Tree::MoveKey},
    {"ShiftChangeMovesAKey", Family::kShape, 100, TreeEvent::kShiftChanged, &Tree::MoveKey},
    {"TrimmedLeafKeepsItsSeparator", Family::kShape, 40'000, TreeEvent::kLeafTrimmed, &Tree::KeepSeparator},
    {"TrimmedLeafLosesItsFirst", Family::kShape, 100, TreeEvent::kLeafTrimmed, &Tree::LoseAfter},
    {"ErasedLeafLeavesItsLast", Family::kShape, 100, TreeEvent::kLeafErased, &Tree::LeaveLast},
    {"JoinedLeavesLoseTheFirstOfTheRight", Family::kShape, 350, TreeEvent::kLeavesJoined, &Tree::LoseAfter},
    {"JoinedLeavesAreCountedTwice", Family::kShape, 250, TreeEvent::kLeavesJoined, &Tree::CountOneMore},
    {"InnerSplitLosesTheLast", Family::kShape, 100, TreeEvent::kInnerSplit, &Tree::LoseLast},
    {"AppendedInnerLosesTheLast", Family::kShape, 100, TreeEvent::kInnerAppended, &Tree::LoseLast},
    {"ErasedInnerIsStillCounted", Family::kShape, 150, TreeEvent::kInnerErased, &Tree::CountOneMore},
    {"ErasedSubtreeLeavesARun", Family::kShape, 2000, TreeEvent::kSubtreeErased, &Tree::LeaveMiddle},
    {"JoinedInnersLoseTheFirst", Family::kShape, 650, TreeEvent::kInnersJoined, &Tree::LoseFirst},
    {"GrownRootForgetsTheTail", Family::kShape, 100, TreeEvent::kRootGrown, &Tree::ForgetTail},
    {"ShrunkRootLosesTheFirst", Family::kShape, 100, TreeEvent::kRootShrunk, &Tree::LoseFirst},
    {"BackInTheMapIsCountedTwice", Family::kShape, 100, TreeEvent::kBackInTheMap, &Tree::CountOneMore},
    {"AppendPlaceSurvivesClear", Family::kShape, 15'000},
    {"ClearLeavesTheTailOfHighTrees", Family::kShape, 1500},
    {"ScanThatCrossesALeafLosesTheLast", Family::kShape, 150, TreeEvent::kScanCrossedLeaf},
    {"ScanThatCrossesAnInnerLosesTheLast", Family::kShape, 150, TreeEvent::kScanCrossedInner},
    {"PrefetchAcrossInnersEndsTheScan", Family::kShape, 100, TreeEvent::kPrefetchedAcross},
    {"PrefetchPastTheEndLosesTheLast", Family::kShape, 100, TreeEvent::kPrefetchedLast},
    {"LookupInHighTreesFindsTheExtentBefore", Family::kShape, 900},
    {"LookupInHigherTreesIsShort", Family::kShape, 250},
    {"TreeIsBuiltAnewAfterAJoin", Family::kEquivalent, 0, TreeEvent::kLeavesJoined, &Tree::BuildAnew},
};

}  // namespace

CanaryTarget BoundaryTreeCanaries() {
  return MapCanaries<MutantTree>(BoundaryTreeTarget(), kPlantedBugs, /*has_notes=*/true);
}

}  // namespace nbdspec::fuzz
