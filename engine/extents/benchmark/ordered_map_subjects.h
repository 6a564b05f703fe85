// SPDX-License-Identifier: BSD-3-Clause
// Extents in an ordered map of a library: the key is where one begins, the value where it ends and its type.
//
// What is of the initial type is left out. A map of all boundaries would be a little smaller where there are no gaps,
// but twice as large, and slower to add to, where there are many.

#pragma once

#include <absl/container/btree_map.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <utility>

#include "engine/base/byte_range.h"
#include "engine/extents/benchmark/visit_with_gaps.h"
#include "engine/extents/extent.h"

namespace nbdspec::engine::speed {

struct EndAndType {
  std::uint64_t end;
  ExtentType type;
};

template <typename Map>
class OrderedMap {
 public:
  static constexpr bool kOverwrites = true;

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
  static constexpr bool kLayoutIsOneForAll = false;
  using OrderedMap::OrderedMap;
};

class AbslBtreeSubject : public OrderedMap<absl::btree_map<std::uint64_t, EndAndType>> {
 public:
  static constexpr const char* kName = "absl_btree";
  static constexpr std::uint64_t kRandomAddsMax = 10'000'000;
  static constexpr bool kLayoutIsOneForAll = false;
  using OrderedMap::OrderedMap;
};

}  // namespace nbdspec::engine::speed
