// SPDX-License-Identifier: BSD-3-Clause
// The interval maps of libraries: boost::icl::interval_map and llvm::IntervalMap.
//
// They keep ranges with a value and leave the rest out. What is left out here is the initial type, so that they
// store no more than they must; an add of that type is an erase.

#pragma once

#include <llvm/ADT/IntervalMap.h>

#include <algorithm>
#include <boost/icl/interval_map.hpp>
#include <cstdint>
#include <utility>

#include "engine/base/byte_range.h"
#include "engine/extents/benchmark/visit_with_gaps.h"
#include "engine/extents/extent.h"

namespace nbdspec::engine::speed {

class IclSubject {
 public:
  static constexpr const char* kName = "icl";
  static constexpr bool kOverwrites = true;
  static constexpr std::uint64_t kRandomAddsMax = 1'000'000;
  static constexpr bool kLayoutIsOneForAll = false;

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

class LlvmSubject {
 public:
  static constexpr const char* kName = "llvm";
  static constexpr bool kOverwrites = true;
  static constexpr std::uint64_t kRandomAddsMax = 10'000'000;
  static constexpr bool kLayoutIsOneForAll = false;

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

}  // namespace nbdspec::engine::speed
