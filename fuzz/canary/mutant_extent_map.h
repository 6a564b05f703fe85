// SPDX-License-Identifier: BSD-3-Clause
// MutantExtentMap: an ExtentMap that is wrong in one named way.
//
// It wraps the right map and spoils what goes in or comes out, so the map itself is free of tests, and the bugs stay
// what they are when its representation changes.

#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <set>
#include <string_view>

#include "engine/base/byte_range.h"
#include "engine/base/error.h"
#include "engine/extents/extent_map.h"

namespace nbdspec::fuzz {

enum class MapBug {
  kNone,
  kAddEndsOneByteLate,
  kAddEndsOneByteEarly,
  kAddBeginsOneByteEarly,
  kAddForgetsTheLastByteOfTheExport,
  kAddOfLengthZeroChangesAByte,
  kAddCutsTheLengthTo32Bits,
  kAddCutsTheOffsetTo62Bits,
  kAddGivesTheSplitRemainderItsType,
  kAddKeepsTheOldHoleBit,
  kAddNeverMakesAHoleOfData,
  kAddOfUnknownTypeIsMasked,
  kAddThatWrapsIsClipped,
  kAddThatIsRefusedClears,
  kAddIsLostAtTenExtents,
  kNeighboursAreNotCoalesced,
  kClearLeavesTheTail,
  kClearMakesAHole,
  kForEachDoesNotClipTheBegin,
  kForEachDoesNotClipTheEnd,
  kForEachVisitsEmptyBounds,
  kForEachIgnoresARefusal,
  kForEachSkipsTheLastByteOfItsBounds,
  kLookupAtABeginFindsTheExtentBefore,
  kLookupDoesNotExtendToTheBegin,
  kExtentCountIsOneTooHighAfterClear,
  // Once the map has so many extents.
  kAddIsLostAtFortyExtents,
  kForEachLosesABitAtIndex63,
  kExtentCountWrapsAt64,
  kAddAt65ExtentsLosesTheFirst,
  kWideAddIsLostAt32Extents,
  kAddOverTenExtentsLeavesOne,
  kAppendIsLostAtSixtyExtents,
  // No bugs.
  kAddIsSaidTwice,
  kAddIsSaidInTwoHalves,
  kClearIsAnAddOfTheWhole,
};

class MutantExtentMap {
 public:
  MutantExtentMap(MapBug bug, std::uint64_t size, engine::ExtentType initial);

  std::expected<void, engine::ErrorCode> Add(std::uint64_t offset, std::uint64_t length, engine::ExtentType type);
  void Clear();
  bool ForEach(engine::ByteRange bounds, const std::function<bool(engine::Extent)>& visit) const;
  [[nodiscard]] engine::Extent Lookup(std::uint64_t offset) const;
  [[nodiscard]] std::uint64_t extent_count() const;
  void CheckInvariants() const { map_.CheckInvariants(); }

 private:
  bool IsLost(engine::ByteRange added) const;  // For its size.
  std::expected<void, engine::ErrorCode> AddLeavingOne(engine::ByteRange range, engine::ExtentType type);
  bool ForEachUncoalesced(engine::ByteRange bounds, const std::function<bool(engine::Extent)>& visit) const;

  MapBug bug_;
  engine::ExtentMap map_;
  bool is_cleared_ = false;
  std::set<std::uint64_t> seams_;  // Where Adds ended, for kNeighboursAreNotCoalesced.
};

}  // namespace nbdspec::fuzz
