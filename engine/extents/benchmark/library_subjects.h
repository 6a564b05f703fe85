// SPDX-License-Identifier: BSD-3-Clause
// Containers of libraries as subjects: std::map, absl::btree_map, boost::icl::interval_map, llvm::IntervalMap and
// Roaring bitmaps.
//
// The maps keep ranges with a type and leave out those of the initial type, so that they store no more than they must.

#pragma once

#include <absl/container/btree_map.h>
#include <llvm/ADT/IntervalMap.h>

#include <algorithm>
#include <array>
#include <boost/icl/interval_map.hpp>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <roaring/roaring.hh>
#include <utility>

#include "engine/base/byte_range.h"
#include "engine/base/check.h"
#include "engine/extents/extent.h"

namespace nbdspec::engine::speed {

// What is so of most subjects: see subjects.h.
struct SubjectDefaults {
  static constexpr bool kOverwrites = true;
  static constexpr bool kLayoutIsOneForAll = false;
};

// Visits `bounds`: from each stored range at or after `here` (up to `past`), and the gaps between them as kHole.
// `extent_of` gives the stored range and its type.
template <typename Iterator, typename ExtentOf, typename Visit>
bool VisitWithGaps(Iterator here, Iterator past, ByteRange bounds, ExtentOf extent_of, Visit&& visit) {
  std::uint64_t begin = bounds.begin;
  for (; here != past; ++here) {
    const Extent stored = extent_of(here);
    if (stored.range.begin >= bounds.end) {
      break;
    }
    if (begin < stored.range.begin) {
      if (!visit(Extent{.range = {.begin = begin, .end = stored.range.begin}, .type = ExtentType::kHole})) {
        return false;
      }
      begin = stored.range.begin;
    }
    const std::uint64_t end = std::min(stored.range.end, bounds.end);
    if (!visit(Extent{.range = {.begin = begin, .end = end}, .type = stored.type})) {
      return false;
    }
    begin = end;
  }
  return begin == bounds.end || visit(Extent{.range = {.begin = begin, .end = bounds.end}, .type = ExtentType::kHole});
}

// Extents in an ordered map of a library: the key is where one begins, the value where it ends and its type.
//
// What is of the initial type is left out. A map of all boundaries would be a little smaller where there are no gaps,
// but twice as large, and slower to add to, where there are many.
struct EndAndType {
  std::uint64_t end;
  ExtentType type;
};

template <typename Map>
class OrderedMap : public SubjectDefaults {
 public:
  explicit OrderedMap(std::uint64_t) {}

  void Add(ByteRange range, ExtentType type) {
    std::uint64_t begin = range.begin;
    std::uint64_t end = range.end;
    auto at = map_.lower_bound(begin);
    ByteRange rest;  // Of an extent that reaches past the new one.
    ExtentType rest_type = type;
    if (at != map_.begin()) {
      const auto before = std::prev(at);
      const EndAndType old = before->second;
      if (old.end >= begin && old.type == type) {
        if (old.end >= end) {
          return;
        }
        begin = before->first;
        at = before;
      } else if (old.end > begin) {
        before->second.end = begin;
        rest = {.begin = end, .end = std::max(old.end, end)};
        rest_type = old.type;
      }
    }
    auto past = at;
    for (; past != map_.end() && past->first <= end; ++past) {
      const EndAndType old = past->second;
      if (old.type == type) {
        end = std::max(end, old.end);
      } else if (past->first == end) {
        break;
      } else if (old.end > end) {
        rest = {.begin = end, .end = old.end};
        rest_type = old.type;
      }
    }
    Replace(at, past, {.begin = begin, .end = end}, type, rest, rest_type);
  }

  void Clear() { map_.clear(); }

  template <typename Visit>
  bool ForEach(ByteRange bounds, Visit&& visit) const {
    const auto extent_of = [](const typename Map::const_iterator& at) {
      return Extent{.range = {.begin = at->first, .end = at->second.end}, .type = at->second.type};
    };
    auto first = map_.upper_bound(bounds.begin);
    if (first != map_.begin() && std::prev(first)->second.end > bounds.begin) {
      --first;
    }
    return VisitWithGaps(first, map_.end(), bounds, extent_of, std::forward<Visit>(visit));
  }

  [[nodiscard]] ExtentType TypeAt(std::uint64_t offset) const {
    const auto after = map_.upper_bound(offset);
    if (after == map_.begin()) {
      return ExtentType::kHole;
    }
    const EndAndType& found = std::prev(after)->second;
    return offset < found.end ? found.type : ExtentType::kHole;
  }

 private:
  using Iterator = typename Map::iterator;

  // Puts `fresh`, unless it is of the initial type, and `rest`, if there is one, where [at, past) was.
  void Replace(Iterator at, Iterator past, ByteRange fresh, ExtentType type, ByteRange rest, ExtentType rest_type) {
    // An extent that begins there already is changed in place: no memory is freed and taken again.
    if (at != past && at->first == fresh.begin && type != ExtentType::kHole) {
      at->second = {.end = fresh.end, .type = type};
      at = map_.erase(std::next(at), past);
    } else {
      at = map_.erase(at, past);
      if (type != ExtentType::kHole) {
        at = std::next(map_.emplace_hint(at, fresh.begin, EndAndType{.end = fresh.end, .type = type}));
      }
    }
    if (!rest.empty()) {
      map_.emplace_hint(at, rest.begin, EndAndType{.end = rest.end, .type = rest_type});
    }
  }

  Map map_;
};

class StdMapSubject : public OrderedMap<std::map<std::uint64_t, EndAndType>> {
 public:
  static constexpr const char* kName = "std_map";
  static constexpr std::uint64_t kRandomAddsMax = 1'000'000;
  using OrderedMap::OrderedMap;
};

class AbslBtreeSubject : public OrderedMap<absl::btree_map<std::uint64_t, EndAndType>> {
 public:
  static constexpr const char* kName = "absl_btree";
  static constexpr std::uint64_t kRandomAddsMax = 10'000'000;
  using OrderedMap::OrderedMap;
};

class IclSubject : public SubjectDefaults {
 public:
  static constexpr const char* kName = "icl";
  static constexpr std::uint64_t kRandomAddsMax = 1'000'000;

  explicit IclSubject(std::uint64_t) {}

  void Add(ByteRange range, ExtentType type) {
    if (type == ExtentType::kHole) {
      map_.erase(Interval(range.begin, range.end));
    } else {
      map_.set(std::make_pair(Interval(range.begin, range.end), static_cast<std::uint8_t>(type)));
    }
  }

  void Clear() { map_.clear(); }

  template <typename Visit>
  bool ForEach(ByteRange bounds, Visit&& visit) const {
    const auto extent_of = [](const Map::const_iterator& at) {
      return Extent{.range = {.begin = at->first.lower(), .end = at->first.upper()},
                    .type = static_cast<ExtentType>(at->second)};
    };
    // The first range that is not wholly before the byte at bounds.begin.
    const auto first = map_.lower_bound(Interval(bounds.begin, bounds.begin + 1));
    return VisitWithGaps(first, map_.end(), bounds, extent_of, std::forward<Visit>(visit));
  }

  [[nodiscard]] ExtentType TypeAt(std::uint64_t offset) const {
    const auto found = map_.find(offset);
    return found == map_.end() ? ExtentType::kHole : static_cast<ExtentType>(found->second);
  }

 private:
  using Interval = boost::icl::right_open_interval<std::uint64_t>;
  using Map = boost::icl::interval_map<std::uint64_t, std::uint8_t, boost::icl::partial_enricher, std::less,
                                       boost::icl::inplace_plus, boost::icl::inter_section, Interval>;
  Map map_;
};

class LlvmSubject : public SubjectDefaults {
 public:
  static constexpr const char* kName = "llvm";
  static constexpr std::uint64_t kRandomAddsMax = 10'000'000;

  explicit LlvmSubject(std::uint64_t) : map_(allocator_) {}

  // The map cannot overwrite, so: make room, then insert, which joins equal neighbours.
  void Add(ByteRange range, ExtentType type) {
    auto at = map_.find(range.begin);
    if (at.valid() && at.start() < range.begin) {
      const std::uint64_t old_end = at.stop();
      const std::uint8_t old_type = at.value();
      if (old_end > range.end) {
        if (old_type == static_cast<std::uint8_t>(type)) {
          return;
        }
        at.setStop(range.begin);
        ++at;
        at.insert(range.end, old_end, old_type);
      } else {
        at.setStop(range.begin);
        ++at;
      }
    }
    while (at.valid() && at.stop() <= range.end) {
      at.erase();
    }
    if (at.valid() && at.start() < range.end) {
      at.setStart(range.end);
    }
    if (type != ExtentType::kHole) {
      at.insert(range.begin, range.end, static_cast<std::uint8_t>(type));
    }
  }

  void Clear() { map_.clear(); }

  template <typename Visit>
  bool ForEach(ByteRange bounds, Visit&& visit) const {
    const auto extent_of = [](const Map::const_iterator& at) {
      return Extent{.range = {.begin = at.start(), .end = at.stop()}, .type = static_cast<ExtentType>(at.value())};
    };
    return VisitWithGaps(map_.find(bounds.begin), map_.end(), bounds, extent_of, std::forward<Visit>(visit));
  }

  [[nodiscard]] ExtentType TypeAt(std::uint64_t offset) const {
    return static_cast<ExtentType>(map_.lookup(offset, static_cast<std::uint8_t>(ExtentType::kHole)));
  }

 private:
  using Traits = llvm::IntervalMapHalfOpenInfo<std::uint64_t>;
  using Map = llvm::IntervalMap<std::uint64_t, std::uint8_t,
                                llvm::IntervalMapImpl::NodeSizer<std::uint64_t, std::uint8_t>::LeafSize, Traits>;
  Map::Allocator allocator_;
  Map map_;
};

// Roaring bitmaps of blocks, one for each bit of a type. It fits where everything is aligned to blocks.
//
// A block is 4 KiB; a byte if the space is small. A bitmap has the blocks whose bit differs from the initial type's,
// so an untouched map is empty.
class RoaringSubject : public SubjectDefaults {
 public:
  static constexpr const char* kName = "roaring";
  static constexpr std::uint64_t kRandomAddsMax = 1'000'000;

  explicit RoaringSubject(std::uint64_t size) : shift_(size > (std::uint64_t{1} << 32) ? 12 : 0) {
    NBDSPEC_CHECK((size >> shift_) <= (std::uint64_t{1} << 32));
  }

  void Add(ByteRange range, ExtentType type) {
    const auto first = static_cast<std::uint32_t>(range.begin >> shift_);
    const auto last = static_cast<std::uint32_t>((range.end - 1) >> shift_);
    for (unsigned plane = 0; plane < planes_.size(); ++plane) {
      if (((FlippedBits(type) >> plane) & 1) != 0) {
        roaring_bitmap_add_range_closed(&planes_[plane].roaring, first, last);
      } else {
        roaring_bitmap_remove_range_closed(&planes_[plane].roaring, first, last);
      }
    }
  }

  void Clear() { planes_ = {}; }

  template <typename Visit>
  bool ForEach(ByteRange bounds, Visit&& visit) const {
    const std::uint64_t first = bounds.begin >> shift_;
    std::array<Runs, 2> runs = {Runs(planes_[0], first), Runs(planes_[1], first)};
    std::uint64_t begin = bounds.begin;
    while (begin < bounds.end) {
      unsigned flipped = 0;
      std::uint64_t end = bounds.end;
      for (unsigned plane = 0; plane < runs.size(); ++plane) {
        runs[plane].SkipBefore((begin >> shift_) + 1);
        const bool inside = (runs[plane].begin() << shift_) <= begin;
        flipped |= static_cast<unsigned>(inside) << plane;
        end = std::min(end, (inside ? runs[plane].end() : runs[plane].begin()) << shift_);
      }
      if (!visit(Extent{.range = {.begin = begin, .end = end}, .type = TypeOf(flipped)})) {
        return false;
      }
      begin = end;
    }
    return true;
  }

  [[nodiscard]] ExtentType TypeAt(std::uint64_t offset) const {
    const auto block = static_cast<std::uint32_t>(offset >> shift_);
    return TypeOf((planes_[0].contains(block) ? 1U : 0U) | (planes_[1].contains(block) ? 2U : 0U));
  }

 private:
  static constexpr auto kInitial = static_cast<unsigned>(ExtentType::kHole);
  static unsigned FlippedBits(ExtentType type) { return static_cast<unsigned>(type) ^ kInitial; }
  static ExtentType TypeOf(unsigned flipped) { return static_cast<ExtentType>(flipped ^ kInitial); }

  // The runs of set bits of a bitmap, in order. The library has no such iterator, so blocks are read in batches.
  class Runs {
   public:
    static constexpr std::uint64_t kNone = std::uint64_t{1} << 33;  // Past all blocks, and no overflow when shifted.

    Runs(const Roaring& bits, std::uint64_t first) {
      roaring_init_iterator(&bits.roaring, &source_);
      roaring_move_uint32_iterator_equalorlarger(&source_, static_cast<std::uint32_t>(first));
      Next();
    }
    [[nodiscard]] std::uint64_t begin() const { return begin_; }
    [[nodiscard]] std::uint64_t end() const { return end_; }

    // To the first run that ends at or after `block`.
    void SkipBefore(std::uint64_t block) {
      while (end_ < block) {
        Next();
      }
    }

   private:
    bool Fill() {
      at_ = 0;
      count_ = roaring_read_uint32_iterator(&source_, blocks_.data(), static_cast<std::uint32_t>(blocks_.size()));
      return count_ > 0;
    }

    void Next() {
      if (at_ == count_ && !Fill()) {
        begin_ = end_ = kNone;
        return;
      }
      begin_ = blocks_[at_];
      end_ = begin_;
      do {
        while (at_ < count_ && blocks_[at_] == end_) {
          ++at_;
          ++end_;
        }
      } while (at_ == count_ && Fill());
    }

    roaring_uint32_iterator_t source_;
    std::array<std::uint32_t, 128> blocks_;
    std::size_t at_ = 0;
    std::size_t count_ = 0;
    std::uint64_t begin_ = 0;
    std::uint64_t end_ = 0;
  };

  int shift_;
  std::array<Roaring, 2> planes_;
};

}  // namespace nbdspec::engine::speed
