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
#include "engine/extents/extent_map.h"
#include "fuzz/canary/canary.h"
#include "fuzz/canary/map_canaries.h"
#include "fuzz/comparisons/extent_map_differential.h"

namespace nbdspec::fuzz {
namespace {

using engine::ByteRange;
using engine::ErrorCode;
using engine::Extent;
using engine::ExtentMap;
using engine::ExtentType;

using Visit = std::function<bool(Extent)>;

constexpr std::uint8_t Bits(ExtentType type) { return static_cast<std::uint8_t>(type); }
constexpr ExtentType TypeOf(int bits) { return static_cast<ExtentType>(bits); }

// An Add that a bug may change, or precede by others.
struct AddCall {
  std::uint64_t offset;
  std::uint64_t length;
  ExtentType type;
  std::uint64_t end = 0;   // 0 where the range wraps.
  bool is_inside = false;  // Not empty, and it begins before the map ends.
};

class MutantExtentMap {
 public:
  // What a bug replaces; the right map's function where there is nothing.
  struct Hooks {
    void (*add)(ExtentMap& map, AddCall& call) = nullptr;          // Before an Add that is legal, or
    void (*refused_add)(ExtentMap& map, AddCall& call) = nullptr;  // one that is not.
    void (*clear)(ExtentMap& map) = nullptr;
    bool (*for_each)(const MutantExtentMap& mutant, ByteRange bounds, const Visit& visit) = nullptr;
    Extent (*lookup)(const ExtentMap& map, std::uint64_t offset) = nullptr;
    std::uint64_t (*count)(const MutantExtentMap& mutant) = nullptr;
  };
  using Row = WrongSubject<Hooks>;

  MutantExtentMap(const Row& row, std::uint64_t size, ExtentType initial) : map(size, initial), hooks_(row.subject) {}

  std::expected<void, ErrorCode> Add(std::uint64_t offset, std::uint64_t length, ExtentType type) {
    CountExtents(map.extent_count());
    is_cleared = false;
    const auto range = ByteRange::From({.offset = offset, .length = length});
    const bool is_legal = range && engine::IsExtentType(Bits(type));
    AddCall call = {.offset = offset,
                    .length = length,
                    .type = type,
                    .end = range ? range->end : 0,
                    .is_inside = is_legal && offset < map.size() && length > 0};
    if (is_legal) {
      seams.insert(range->end);
    }
    if (const auto hook = is_legal ? hooks_.add : hooks_.refused_add) {
      hook(map, call);
    }
    return map.Add(call.offset, call.length, call.type);
  }

  void Clear() {
    is_cleared = true;
    hooks_.clear != nullptr ? hooks_.clear(map) : map.Clear();
  }

  bool ForEach(ByteRange bounds, const Visit& visit) const {
    return hooks_.for_each != nullptr ? hooks_.for_each(*this, bounds, visit) : map.ForEach(bounds, visit);
  }

  [[nodiscard]] Extent Lookup(std::uint64_t offset) const {
    return hooks_.lookup != nullptr ? hooks_.lookup(map, offset) : map.Lookup(offset);
  }

  [[nodiscard]] std::uint64_t extent_count() const {
    return hooks_.count != nullptr ? hooks_.count(*this) : map.extent_count();
  }

  void CheckInvariants() const { map.CheckInvariants(); }

  ExtentMap map;
  bool is_cleared = false;
  std::set<std::uint64_t> seams;  // Where Adds ended, for NeighboursAreNotCoalesced.

 private:
  Hooks hooks_;
};

using Mutant = MutantExtentMap;
using Hooks = Mutant::Hooks;

constexpr Hooks Adds(decltype(Hooks::add) hook) { return {.add = hook}; }
constexpr Hooks Refuses(decltype(Hooks::add) hook) { return {.refused_add = hook}; }
constexpr Hooks Clears(decltype(Hooks::clear) hook) { return {.clear = hook}; }
constexpr Hooks Visits(decltype(Hooks::for_each) hook) { return {.for_each = hook}; }
constexpr Hooks LooksUp(decltype(Hooks::lookup) hook) { return {.lookup = hook}; }
constexpr Hooks Counts(decltype(Hooks::count) hook) { return {.count = hook}; }

// An Add of nothing, which is legal, instead of one to a map of so many extents.
template <std::uint64_t kExtents>
void LoseAt(ExtentMap& map, AddCall& call) {
  call.length = call.is_inside && map.extent_count() == kExtents ? 0 : call.length;
}

// What a scan visits, changed by `kChange`(map, extent).
template <void (*kChange)(const ExtentMap& map, Extent& extent)>
bool VisitChanged(const Mutant& mutant, ByteRange bounds, const Visit& visit) {
  return mutant.map.ForEach(bounds, [&](Extent extent) {
    kChange(mutant.map, extent);
    return visit(extent);
  });
}

constexpr Mutant::Row kPlantedBugs[] = {
    {"AddEndsOneByteLate", Family::kEdge, 100,
     Adds([](ExtentMap&, AddCall& call) { call.length += call.is_inside && ~call.end != 0 ? 1 : 0; })},
    {"AddEndsOneByteEarly", Family::kEdge, 100,
     Adds([](ExtentMap&, AddCall& call) { call.length -= call.is_inside ? 1 : 0; })},
    {"AddBeginsOneByteEarly", Family::kEdge, 100, Adds([](ExtentMap&, AddCall& call) {
       const bool has_room = call.is_inside && call.offset > 0;
       call.offset -= has_room ? 1 : 0;
       call.length += has_room ? 1 : 0;
     })},
    {"AddForgetsTheLastByteOfTheExport", Family::kEdge, 100, Adds([](ExtentMap& map, AddCall& call) {
       call.length = call.is_inside && call.end >= map.size() ? map.size() - call.offset - 1 : call.length;
     })},
    {"AddOfLengthZeroChangesAByte", Family::kEdge, 250, Adds([](ExtentMap& map, AddCall& call) {
       call.length = call.length == 0 && call.offset < map.size() ? 1 : call.length;
     })},
    {"AddCutsTheLengthTo32Bits", Family::kWidth, 100,
     Adds([](ExtentMap&, AddCall& call) { call.length = static_cast<std::uint32_t>(call.length); })},
    {"AddCutsTheOffsetTo62Bits", Family::kWidth, 100,
     Adds([](ExtentMap&, AddCall& call) { call.offset &= (1ULL << 62) - 1; })},
    {"AddGivesTheSplitRemainderItsType", Family::kCoalesce, 100, Adds([](ExtentMap& map, AddCall& call) {
       const ByteRange old = call.is_inside ? map.Lookup(call.offset).range : ByteRange{};
       call.length = call.is_inside && call.end <= old.end ? old.end - call.offset : call.length;
     })},
    {"AddKeepsTheOldHoleBit", Family::kBits, 100, Adds([](ExtentMap& map, AddCall& call) {
       const bool was_hole = call.is_inside && IsHole(map.Lookup(call.offset).type);
       call.type = was_hole ? TypeOf(Bits(call.type) | Bits(ExtentType::kHole)) : call.type;
     })},
    {"AddNeverMakesAHoleOfData", Family::kBits, 100, Adds([](ExtentMap& map, AddCall& call) {
       const bool was_data = call.is_inside && map.Lookup(call.offset).type == ExtentType::kData;
       call.length = was_data && call.type == ExtentType::kHole ? 0 : call.length;
     })},
    {"AddOfUnknownTypeIsMasked", Family::kBits, 100,
     Refuses([](ExtentMap&, AddCall& call) { call.type = TypeOf(Bits(call.type) & 3); })},
    {"AddThatWrapsIsClipped", Family::kClip, 100,
     Refuses([](ExtentMap&, AddCall& call) { call.length = call.end == 0 ? ~call.offset : call.length; })},
    {"AddThatIsRefusedClears", Family::kError, 100, Refuses([](ExtentMap& map, AddCall&) { map.Clear(); })},
    {"AddIsLostAtTenExtents", Family::kShape, 100, Adds(LoseAt<10>)},
    {"NeighboursAreNotCoalesced", Family::kCoalesce, 100,
     Visits([](const Mutant& mutant, ByteRange bounds, const Visit& visit) {
       const std::set<std::uint64_t>& seams = mutant.seams;
       return mutant.map.ForEach(bounds, [&](Extent extent) {
         for (auto seam = seams.upper_bound(extent.range.begin); seam != seams.end() && *seam < extent.range.end;
              ++seam) {
           if (!visit({.range = {.begin = extent.range.begin, .end = *seam}, .type = extent.type})) {
             return false;
           }
           extent.range.begin = *seam;
         }
         return visit(extent);
       });
     })},
    {"ClearLeavesTheTail", Family::kEdge, 150, Clears([](ExtentMap& map) {
       const Extent tail = map.size() > 0 ? map.Lookup(map.size() - 1) : Extent{};
       map.Clear();
       (void)map.Add(tail.range.begin, tail.range.length(), tail.type);
     })},
    {"ClearMakesAHole", Family::kBits, 100,
     Clears([](ExtentMap& map) { (void)map.Add(0, map.size(), ExtentType::kHole); })},
    {"ForEachDoesNotClipTheBegin", Family::kClip, 100, Visits(VisitChanged<[](const ExtentMap& map, Extent& extent) {
       extent.range.begin = map.Lookup(extent.range.begin).range.begin;
     }>)},
    {"ForEachDoesNotClipTheEnd", Family::kClip, 100, Visits(VisitChanged<[](const ExtentMap& map, Extent& extent) {
       extent.range.end = std::max(extent.range.end, map.Lookup(extent.range.begin).range.end);
     }>)},
    {"ForEachVisitsEmptyBounds", Family::kEdge, 250,
     Visits([](const Mutant& mutant, ByteRange bounds, const Visit& visit) {
       return bounds.empty() && bounds.begin < mutant.map.size()
                  ? visit({.range = bounds, .type = mutant.map.Lookup(bounds.begin).type})
                  : mutant.map.ForEach(bounds, visit);
     })},
    {"ForEachIgnoresARefusal", Family::kError, 100,
     Visits([](const Mutant& mutant, ByteRange bounds, const Visit& visit) {
       return mutant.map.ForEach(bounds, visit) || true;
     })},
    {"ForEachSkipsTheLastByteOfItsBounds", Family::kEdge, 100,
     Visits([](const Mutant& mutant, ByteRange bounds, const Visit& visit) {
       bounds.end -= !bounds.empty() && bounds.end < mutant.map.size() ? 1 : 0;
       return mutant.map.ForEach(bounds, visit);
     })},
    {"LookupAtABeginFindsTheExtentBefore", Family::kEdge, 300, LooksUp([](const ExtentMap& map, std::uint64_t offset) {
       const Extent found = map.Lookup(offset);
       return offset > 0 && found.range.begin == offset ? map.Lookup(offset - 1) : found;
     })},
    {"LookupDoesNotExtendToTheBegin", Family::kEdge, 100, LooksUp([](const ExtentMap& map, std::uint64_t offset) {
       const Extent found = map.Lookup(offset);
       return Extent{.range = {.begin = offset, .end = found.range.end}, .type = found.type};
     })},
    {"ExtentCountIsOneTooHighAfterClear", Family::kStale, 100,
     Counts([](const Mutant& mutant) { return mutant.map.extent_count() + (mutant.is_cleared ? 1 : 0); })},
    {"AddIsLostAtFortyExtents", Family::kShape, 350, Adds(LoseAt<40>)},
    {"ForEachLosesABitAtIndex63", Family::kShape, 750,
     Visits([](const Mutant& mutant, ByteRange bounds, const Visit& visit) {
       return mutant.map.ForEach(bounds, [&, index = 0](Extent extent) mutable {
         extent.type = bounds.begin == 0 && ++index == 64 ? TypeOf(Bits(extent.type) & 1) : extent.type;
         return visit(extent);
       });
     })},
    {"ExtentCountWrapsAt64", Family::kShape, 750,
     Counts([](const Mutant& mutant) { return mutant.map.extent_count() % 64; })},
    {"AddAt65ExtentsLosesTheFirst", Family::kShape, 2500, Adds([](ExtentMap& map, AddCall&) {
       if (map.extent_count() == 65) {
         const Extent first = map.Lookup(0);
         (void)map.Add(0, first.range.length(), map.Lookup(first.range.end).type);
       }
     })},
    {"WideAddIsLostAt32Extents", Family::kShape, 700, Adds([](ExtentMap& map, AddCall& call) {
       if (call.length >= 1ULL << 32) {
         LoseAt<32>(map, call);
       }
     })},
    // Adds all of the call; what is left to add is the tenth of the extents that were there.
    {"AddOverTenExtentsLeavesOne", Family::kShape, 2000, Adds([](ExtentMap& map, AddCall& call) {
       if (!call.is_inside || map.extent_count() <= 10) {
         return;
       }
       std::uint64_t count = 0;
       Extent tenth;
       map.ForEach({.begin = call.offset, .end = call.end}, [&](const Extent& extent) {
         tenth = extent;
         return ++count != 10;
       });
       if (count == 10) {
         (void)map.Add(call.offset, call.length, call.type);
         call = {.offset = tenth.range.begin, .length = tenth.range.length(), .type = tenth.type};
       }
     })},
    {"AppendIsLostAtSixtyExtents", Family::kShape, 3000, Adds([](ExtentMap& map, AddCall& call) {
       if (call.is_inside && call.offset > map.Lookup(map.size() - 1).range.begin) {
         LoseAt<60>(map, call);
       }
     })},
    {"AddIsSaidTwice", Family::kEquivalent, 0,
     Adds([](ExtentMap& map, AddCall& call) { (void)map.Add(call.offset, call.length, call.type); })},
    {"AddIsSaidInTwoHalves", Family::kEquivalent, 0, Adds([](ExtentMap& map, AddCall& call) {
       (void)map.Add(call.offset, call.length / 2, call.type);
       call.offset += call.length / 2;
       call.length -= call.length / 2;
     })},
    {"ClearIsAnAddOfTheWhole", Family::kEquivalent, 0,
     Clears([](ExtentMap& map) { (void)map.Add(0, map.size(), map.initial_type()); })},
};

}  // namespace

CanaryTarget ExtentMapCanaries() {
  return MapCanaries<MutantExtentMap>(ExtentMapTarget(), kPlantedBugs, /*has_notes=*/false);
}

}  // namespace nbdspec::fuzz
