// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/canary/mutant_extent_map.h"

#include <algorithm>

#include "fuzz/comparisons/map_states.h"

namespace nbdspec::fuzz {

using engine::ByteRange;
using engine::ErrorCode;
using engine::Extent;
using engine::ExtentType;

namespace {

constexpr std::uint8_t Bits(ExtentType type) { return static_cast<std::uint8_t>(type); }

}  // namespace

MutantExtentMap::MutantExtentMap(MapBug bug, std::uint64_t size, ExtentType initial) : bug_(bug), map_(size, initial) {}

std::expected<void, ErrorCode> MutantExtentMap::Add(std::uint64_t offset, std::uint64_t length, ExtentType type) {
  CountExtents(map_.extent_count());
  is_cleared_ = false;
  const auto range = ByteRange::From({.offset = offset, .length = length});
  if (!range || !engine::IsExtentType(Bits(type))) {
    if (bug_ == MapBug::kAddThatIsRefusedClears) {
      map_.Clear();
    }
    if (bug_ == MapBug::kAddThatWrapsIsClipped && !range) {
      return map_.Add(offset, ~offset, type);
    }
    if (bug_ == MapBug::kAddOfUnknownTypeIsMasked && range) {
      return map_.Add(offset, length, static_cast<ExtentType>(Bits(type) & 3));
    }
    return map_.Add(offset, length, type);
  }
  seams_.insert(range->end);
  const bool is_inside = offset < map_.size() && length > 0;
  switch (bug_) {
    case MapBug::kAddEndsOneByteLate:
      return map_.Add(offset, is_inside && ~range->end != 0 ? length + 1 : length, type);
    case MapBug::kAddEndsOneByteEarly:
      return map_.Add(offset, is_inside ? length - 1 : length, type);
    case MapBug::kAddBeginsOneByteEarly:
      return is_inside && offset > 0 ? map_.Add(offset - 1, length + 1, type) : map_.Add(offset, length, type);
    case MapBug::kAddForgetsTheLastByteOfTheExport:
      return map_.Add(offset, is_inside && range->end >= map_.size() ? map_.size() - offset - 1 : length, type);
    case MapBug::kAddOfLengthZeroChangesAByte:
      return map_.Add(offset, length == 0 && offset < map_.size() ? 1 : length, type);
    case MapBug::kAddCutsTheLengthTo32Bits:
      return map_.Add(offset, static_cast<std::uint32_t>(length), type);
    case MapBug::kAddCutsTheOffsetTo62Bits:
      return map_.Add(offset & ((1ULL << 62) - 1), length, type);
    case MapBug::kAddGivesTheSplitRemainderItsType:
      if (is_inside && map_.Lookup(offset).range.Contains(*range)) {
        return map_.Add(offset, map_.Lookup(offset).range.end - offset, type);
      }
      break;
    case MapBug::kAddKeepsTheOldHoleBit:
      if (is_inside && engine::IsHole(map_.Lookup(offset).type)) {
        return map_.Add(offset, length, static_cast<ExtentType>(Bits(type) | Bits(ExtentType::kHole)));
      }
      break;
    case MapBug::kAddNeverMakesAHoleOfData:
      if (is_inside && type == ExtentType::kHole && map_.Lookup(offset).type == ExtentType::kData) {
        return {};
      }
      break;
    case MapBug::kAddAt65ExtentsLosesTheFirst:
      if (map_.extent_count() == 65) {
        const Extent first = map_.Lookup(0);
        (void)map_.Add(0, first.range.length(), map_.Lookup(first.range.end).type);
      }
      break;
    case MapBug::kAddOverTenExtentsLeavesOne:
      if (is_inside && map_.extent_count() > 10) {
        return AddLeavingOne(*range, type);
      }
      break;
    case MapBug::kAddIsSaidTwice:
      (void)map_.Add(offset, length, type);
      break;
    case MapBug::kAddIsSaidInTwoHalves:
      (void)map_.Add(offset, length / 2, type);
      return map_.Add(offset + length / 2, length - length / 2, type);
    default:
      break;
  }
  return is_inside && IsLost(*range) ? std::expected<void, ErrorCode>() : map_.Add(offset, length, type);
}

bool MutantExtentMap::IsLost(ByteRange added) const {
  switch (bug_) {
    case MapBug::kAddIsLostAtTenExtents:
      return map_.extent_count() == 10;
    case MapBug::kAddIsLostAtFortyExtents:
      return map_.extent_count() == 40;
    case MapBug::kWideAddIsLostAt32Extents:
      return map_.extent_count() == 32 && added.length() >= 1ULL << 32;
    case MapBug::kAppendIsLostAtSixtyExtents:
      return map_.extent_count() == 60 && added.begin > map_.Lookup(map_.size() - 1).range.begin;
    default:
      return false;
  }
}

std::expected<void, ErrorCode> MutantExtentMap::AddLeavingOne(ByteRange range, ExtentType type) {
  std::uint64_t count = 0;
  Extent tenth;
  map_.ForEach(range, [&](const Extent& extent) {
    tenth = extent;
    return ++count != 10;
  });
  const auto added = map_.Add(range.begin, range.length(), type);
  return count == 10 && added ? map_.Add(tenth.range.begin, tenth.range.length(), tenth.type) : added;
}

void MutantExtentMap::Clear() {
  is_cleared_ = true;
  const std::uint64_t size = map_.size();
  if (bug_ == MapBug::kClearLeavesTheTail && size > 0) {
    const Extent tail = map_.Lookup(size - 1);
    map_.Clear();
    (void)map_.Add(tail.range.begin, tail.range.length(), tail.type);
    return;
  }
  if (bug_ == MapBug::kClearIsAnAddOfTheWhole) {
    (void)map_.Add(0, size, map_.initial_type());
    return;
  }
  map_.Clear();
  if (bug_ == MapBug::kClearMakesAHole) {
    (void)map_.Add(0, size, ExtentType::kHole);
  }
}

bool MutantExtentMap::ForEach(ByteRange bounds, const std::function<bool(Extent)>& visit) const {
  switch (bug_) {
    case MapBug::kNeighboursAreNotCoalesced:
      return ForEachUncoalesced(bounds, visit);
    case MapBug::kForEachDoesNotClipTheBegin:
      return map_.ForEach(bounds, [&](Extent extent) {
        return visit(extent.range.begin == bounds.begin
                         ? Extent{.range = {.begin = map_.Lookup(bounds.begin).range.begin, .end = extent.range.end},
                                  .type = extent.type}
                         : extent);
      });
    case MapBug::kForEachDoesNotClipTheEnd:
      return map_.ForEach(bounds, [&](Extent extent) {
        extent.range.end = std::max(extent.range.end, map_.Lookup(extent.range.begin).range.end);
        return visit(extent);
      });
    case MapBug::kForEachLosesABitAtIndex63:
      return map_.ForEach(bounds, [&, index = 0](Extent extent) mutable {
        if (bounds.begin == 0 && ++index == 64) {
          extent.type = static_cast<ExtentType>(Bits(extent.type) & 1);
        }
        return visit(extent);
      });
    case MapBug::kForEachVisitsEmptyBounds:
      if (bounds.empty() && bounds.begin < map_.size()) {
        return visit({.range = bounds, .type = map_.Lookup(bounds.begin).type});
      }
      break;
    case MapBug::kForEachIgnoresARefusal:
      (void)map_.ForEach(bounds, visit);
      return true;
    case MapBug::kForEachSkipsTheLastByteOfItsBounds:
      if (!bounds.empty() && bounds.end < map_.size()) {
        --bounds.end;
      }
      break;
    default:
      break;
  }
  return map_.ForEach(bounds, visit);
}

bool MutantExtentMap::ForEachUncoalesced(ByteRange bounds, const std::function<bool(Extent)>& visit) const {
  return map_.ForEach(bounds, [&](Extent extent) {
    for (auto seam = seams_.upper_bound(extent.range.begin); seam != seams_.end() && *seam < extent.range.end; ++seam) {
      if (!visit({.range = {.begin = extent.range.begin, .end = *seam}, .type = extent.type})) {
        return false;
      }
      extent.range.begin = *seam;
    }
    return visit(extent);
  });
}

Extent MutantExtentMap::Lookup(std::uint64_t offset) const {
  Extent found = map_.Lookup(offset);
  if (bug_ == MapBug::kLookupAtABeginFindsTheExtentBefore && offset > 0 && found.range.begin == offset) {
    return map_.Lookup(offset - 1);
  }
  if (bug_ == MapBug::kLookupDoesNotExtendToTheBegin) {
    found.range.begin = offset;
  }
  return found;
}

std::uint64_t MutantExtentMap::extent_count() const {
  if (bug_ == MapBug::kExtentCountWrapsAt64) {
    return map_.extent_count() % 64;
  }
  const bool is_wrong = bug_ == MapBug::kExtentCountIsOneTooHighAfterClear && is_cleared_;
  return map_.extent_count() + (is_wrong ? 1 : 0);
}

}  // namespace nbdspec::fuzz
