// SPDX-License-Identifier: BSD-3-Clause
// MutantTree: the map's tree, of very small nodes, wrong in one named way once something has happened to its nodes.
//
// It wraps the right tree, hears of its events (small_shape.h), and spoils what is in it or what comes out. So the
// bugs need maps of a certain size and shape, which no coverage of code tells from others.

#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <functional>

#include "engine/base/byte_range.h"
#include "engine/base/error.h"
#include "engine/extents/boundary_tree.h"
#include "engine/extents/extent.h"
#include "engine/extents/small_shape.h"
#include "fuzz/comparisons/map_states.h"

namespace nbdspec::fuzz {

enum class TreeBug {
  kNone,
  // Leaves.
  kLeafSplitLosesTheExtentAfter,
  kLeafSplitLosesTheExtentBefore,
  kLeafSplitInMoreLosesTheMiddle,
  kAppendedLeafLosesItsFirst,
  kWideLeafCutsKeysTo32Bits,
  kNarrowLeafMovesAKey,
  kShiftChangeMovesAKey,
  kTrimmedLeafKeepsItsSeparator,
  kTrimmedLeafLosesItsFirst,
  kErasedLeafLeavesItsLast,
  kJoinedLeavesLoseTheFirstOfTheRight,
  kJoinedLeavesAreCountedTwice,
  // Inner nodes.
  kInnerSplitLosesTheLast,
  kAppendedInnerLosesTheLast,
  kErasedInnerIsStillCounted,
  kErasedSubtreeLeavesARun,
  kJoinedInnersLoseTheFirst,
  kGrownRootForgetsTheTail,
  kShrunkRootLosesTheFirst,
  kBackInTheMapIsCountedTwice,
  // What survives.
  kAppendPlaceSurvivesClear,
  kClearLeavesTheTailOfHighTrees,
  // Answers.
  kScanThatCrossesALeafLosesTheLast,
  kScanThatCrossesAnInnerLosesTheLast,
  kPrefetchAcrossInnersEndsTheScan,
  kPrefetchPastTheEndLosesTheLast,
  kLookupInHighTreesFindsTheExtentBefore,
  kLookupInHigherTreesIsShort,
  // No bug.
  kTreeIsBuiltAnewAfterAJoin,
};

class MutantTree {
 public:
  MutantTree(TreeBug bug, std::uint64_t size, engine::ExtentType initial);

  std::expected<void, engine::ErrorCode> Add(std::uint64_t offset, std::uint64_t length, engine::ExtentType type);
  void Clear();
  bool ForEach(engine::ByteRange bounds, const std::function<bool(engine::Extent)>& visit) const;
  [[nodiscard]] engine::Extent Lookup(std::uint64_t offset) const;
  [[nodiscard]] std::uint64_t extent_count() const { return map_.extent_count() + too_many_; }
  void CheckInvariants() const { map_.CheckInvariants(); }

 private:
  using Tree = engine::ShapedExtentMap<engine::SmallShape>;

  // Whether `bug` is the one planted, and `event` has happened since `before`.
  [[nodiscard]] bool Has(TreeBug bug, engine::TreeEvent event) const;
  void SpoilLeaves(engine::ByteRange added);
  void SpoilInners(engine::ByteRange added);
  // The extent that holds `offset` becomes one with the one before it; the first changes its type.
  void Lose(std::uint64_t offset);
  void Put(engine::ByteRange range, engine::ExtentType type);
  void CountOneMore();
  void BuildAnew();

  TreeBug bug_;
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

}  // namespace nbdspec::fuzz
