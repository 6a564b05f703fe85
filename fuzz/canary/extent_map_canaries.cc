// SPDX-License-Identifier: BSD-3-Clause
// The planted bugs of the target extent_map: an ExtentMap that is wrong in one named way.
//
// It wraps the right map and spoils what goes in or comes out, so the map itself is free of tests, and the bugs stay
// what they are when its representation changes.

#include <algorithm>
#include <cstdint>
#include <expected>
#include <functional>
#include <set>
#include <string_view>

#include "engine/base/byte_range.h"
#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "engine/extents/extent_map.h"
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

class MutantExtentMap {
 public:
  MutantExtentMap(Bug bug, std::uint64_t size, engine::ExtentType initial);

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

  Bug bug_;
  engine::ExtentMap map_;
  bool is_cleared_ = false;
  std::set<std::uint64_t> seams_;  // Where Adds ended, for kNeighboursAreNotCoalesced.
};

constexpr std::uint8_t Bits(ExtentType type) { return static_cast<std::uint8_t>(type); }

MutantExtentMap::MutantExtentMap(Bug bug, std::uint64_t size, ExtentType initial) : bug_(bug), map_(size, initial) {}

std::expected<void, ErrorCode> MutantExtentMap::Add(std::uint64_t offset, std::uint64_t length, ExtentType type) {
  CountExtents(map_.extent_count());
  is_cleared_ = false;
  const auto range = ByteRange::From({.offset = offset, .length = length});
  if (!range || !engine::IsExtentType(Bits(type))) {
    if (bug_ == "AddThatIsRefusedClears"_bug) {
      map_.Clear();
    }
    if (bug_ == "AddThatWrapsIsClipped"_bug && !range) {
      return map_.Add(offset, ~offset, type);
    }
    if (bug_ == "AddOfUnknownTypeIsMasked"_bug && range) {
      return map_.Add(offset, length, static_cast<ExtentType>(Bits(type) & 3));
    }
    return map_.Add(offset, length, type);
  }
  seams_.insert(range->end);
  const bool is_inside = offset < map_.size() && length > 0;
  switch (bug_) {
    case "AddEndsOneByteLate"_bug:
      return map_.Add(offset, is_inside && ~range->end != 0 ? length + 1 : length, type);
    case "AddEndsOneByteEarly"_bug:
      return map_.Add(offset, is_inside ? length - 1 : length, type);
    case "AddBeginsOneByteEarly"_bug:
      return is_inside && offset > 0 ? map_.Add(offset - 1, length + 1, type) : map_.Add(offset, length, type);
    case "AddForgetsTheLastByteOfTheExport"_bug:
      return map_.Add(offset, is_inside && range->end >= map_.size() ? map_.size() - offset - 1 : length, type);
    case "AddOfLengthZeroChangesAByte"_bug:
      return map_.Add(offset, length == 0 && offset < map_.size() ? 1 : length, type);
    case "AddCutsTheLengthTo32Bits"_bug:
      return map_.Add(offset, static_cast<std::uint32_t>(length), type);
    case "AddCutsTheOffsetTo62Bits"_bug:
      return map_.Add(offset & ((1ULL << 62) - 1), length, type);
    case "AddGivesTheSplitRemainderItsType"_bug:
      if (is_inside && map_.Lookup(offset).range.Contains(*range)) {
        return map_.Add(offset, map_.Lookup(offset).range.end - offset, type);
      }
      break;
    case "AddKeepsTheOldHoleBit"_bug:
      if (is_inside && engine::IsHole(map_.Lookup(offset).type)) {
        return map_.Add(offset, length, static_cast<ExtentType>(Bits(type) | Bits(ExtentType::kHole)));
      }
      break;
    case "AddNeverMakesAHoleOfData"_bug:
      if (is_inside && type == ExtentType::kHole && map_.Lookup(offset).type == ExtentType::kData) {
        return {};
      }
      break;
    case "AddAt65ExtentsLosesTheFirst"_bug:
      if (map_.extent_count() == 65) {
        const Extent first = map_.Lookup(0);
        (void)map_.Add(0, first.range.length(), map_.Lookup(first.range.end).type);
      }
      break;
    case "AddOverTenExtentsLeavesOne"_bug:
      if (is_inside && map_.extent_count() > 10) {
        return AddLeavingOne(*range, type);
      }
      break;
    case "AddIsSaidTwice"_bug:
      (void)map_.Add(offset, length, type);
      break;
    case "AddIsSaidInTwoHalves"_bug:
      (void)map_.Add(offset, length / 2, type);
      return map_.Add(offset + length / 2, length - length / 2, type);
    default:
      break;
  }
  return is_inside && IsLost(*range) ? std::expected<void, ErrorCode>() : map_.Add(offset, length, type);
}

bool MutantExtentMap::IsLost(ByteRange added) const {
  switch (bug_) {
    case "AddIsLostAtTenExtents"_bug:
      return map_.extent_count() == 10;
    case "AddIsLostAtFortyExtents"_bug:
      return map_.extent_count() == 40;
    case "WideAddIsLostAt32Extents"_bug:
      return map_.extent_count() == 32 && added.length() >= 1ULL << 32;
    case "AppendIsLostAtSixtyExtents"_bug:
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
  if (bug_ == "ClearLeavesTheTail"_bug && size > 0) {
    const Extent tail = map_.Lookup(size - 1);
    map_.Clear();
    (void)map_.Add(tail.range.begin, tail.range.length(), tail.type);
    return;
  }
  if (bug_ == "ClearIsAnAddOfTheWhole"_bug) {
    (void)map_.Add(0, size, map_.initial_type());
    return;
  }
  map_.Clear();
  if (bug_ == "ClearMakesAHole"_bug) {
    (void)map_.Add(0, size, ExtentType::kHole);
  }
}

bool MutantExtentMap::ForEach(ByteRange bounds, const std::function<bool(Extent)>& visit) const {
  switch (bug_) {
    case "NeighboursAreNotCoalesced"_bug:
      return ForEachUncoalesced(bounds, visit);
    case "ForEachDoesNotClipTheBegin"_bug:
      return map_.ForEach(bounds, [&](Extent extent) {
        return visit(extent.range.begin == bounds.begin
                         ? Extent{.range = {.begin = map_.Lookup(bounds.begin).range.begin, .end = extent.range.end},
                                  .type = extent.type}
                         : extent);
      });
    case "ForEachDoesNotClipTheEnd"_bug:
      return map_.ForEach(bounds, [&](Extent extent) {
        extent.range.end = std::max(extent.range.end, map_.Lookup(extent.range.begin).range.end);
        return visit(extent);
      });
    case "ForEachLosesABitAtIndex63"_bug:
      return map_.ForEach(bounds, [&, index = 0](Extent extent) mutable {
        if (bounds.begin == 0 && ++index == 64) {
          extent.type = static_cast<ExtentType>(Bits(extent.type) & 1);
        }
        return visit(extent);
      });
    case "ForEachVisitsEmptyBounds"_bug:
      if (bounds.empty() && bounds.begin < map_.size()) {
        return visit({.range = bounds, .type = map_.Lookup(bounds.begin).type});
      }
      break;
    case "ForEachIgnoresARefusal"_bug:
      (void)map_.ForEach(bounds, visit);
      return true;
    case "ForEachSkipsTheLastByteOfItsBounds"_bug:
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
  if (bug_ == "LookupAtABeginFindsTheExtentBefore"_bug && offset > 0 && found.range.begin == offset) {
    return map_.Lookup(offset - 1);
  }
  if (bug_ == "LookupDoesNotExtendToTheBegin"_bug) {
    found.range.begin = offset;
  }
  return found;
}

std::uint64_t MutantExtentMap::extent_count() const {
  if (bug_ == "ExtentCountWrapsAt64"_bug) {
    return map_.extent_count() % 64;
  }
  const bool is_wrong = bug_ == "ExtentCountIsOneTooHighAfterClear"_bug && is_cleared_;
  return map_.extent_count() + (is_wrong ? 1 : 0);
}

constexpr NamedBug kPlantedBugs[] = {
    {"AddEndsOneByteLate", Family::kEdge, 100},
    {"AddEndsOneByteEarly", Family::kEdge, 100},
    {"AddBeginsOneByteEarly", Family::kEdge, 100},
    {"AddForgetsTheLastByteOfTheExport", Family::kEdge, 100},
    {"AddOfLengthZeroChangesAByte", Family::kEdge, 250},
    {"AddCutsTheLengthTo32Bits", Family::kWidth, 100},
    {"AddCutsTheOffsetTo62Bits", Family::kWidth, 100},
    {"AddGivesTheSplitRemainderItsType", Family::kCoalesce, 100},
    {"AddKeepsTheOldHoleBit", Family::kBits, 100},
    {"AddNeverMakesAHoleOfData", Family::kBits, 100},
    {"AddOfUnknownTypeIsMasked", Family::kBits, 100},
    {"AddThatWrapsIsClipped", Family::kClip, 100},
    {"AddThatIsRefusedClears", Family::kError, 100},
    {"AddIsLostAtTenExtents", Family::kShape, 100},
    {"NeighboursAreNotCoalesced", Family::kCoalesce, 100},
    {"ClearLeavesTheTail", Family::kEdge, 150},
    {"ClearMakesAHole", Family::kBits, 100},
    {"ForEachDoesNotClipTheBegin", Family::kClip, 100},
    {"ForEachDoesNotClipTheEnd", Family::kClip, 100},
    {"ForEachVisitsEmptyBounds", Family::kEdge, 250},
    {"ForEachIgnoresARefusal", Family::kError, 100},
    {"ForEachSkipsTheLastByteOfItsBounds", Family::kEdge, 100},
    {"LookupAtABeginFindsTheExtentBefore", Family::kEdge, 300},
    {"LookupDoesNotExtendToTheBegin", Family::kEdge, 100},
    {"ExtentCountIsOneTooHighAfterClear", Family::kStale, 100},
    {"AddIsLostAtFortyExtents", Family::kShape, 350},
    {"ForEachLosesABitAtIndex63", Family::kShape, 750},
    {"ExtentCountWrapsAt64", Family::kShape, 750},
    {"AddAt65ExtentsLosesTheFirst", Family::kShape, 2500},
    {"WideAddIsLostAt32Extents", Family::kShape, 700},
    {"AddOverTenExtentsLeavesOne", Family::kShape, 2000},
    {"AppendIsLostAtSixtyExtents", Family::kShape, 3000},
    {"AddIsSaidTwice", Family::kEquivalent, 0},
    {"AddIsSaidInTwoHalves", Family::kEquivalent, 0},
    {"ClearIsAnAddOfTheWhole", Family::kEquivalent, 0},
};

FindBytesDisagreement WithBug(Bug bug) {
  return [bug](engine::ByteView input) {
    const engine::Script script = engine::ReadScript(input, kExtentMapLimits);
    return FindExtentMapDisagreement(script, MutantExtentMap(bug, script.size, script.initial));
  };
}

}  // namespace

CanaryTarget ExtentMapCanaries() {
  CanaryTarget target = CanariesFor(ExtentMapTarget(), CanariesOf(kPlantedBugs, WithBug));
  target.right.push_back(WithBug(kNoBug));
  target.counts_states = true;
  for (Canary& canary : target.canaries) {
    canary.property = [bug = BugNamed(canary.name)] {
      CheckExtentMapProperty(
          [bug](std::uint64_t size, engine::ExtentType initial) { return MutantExtentMap(bug, size, initial); });
    };
  }
  return target;
}

}  // namespace nbdspec::fuzz
