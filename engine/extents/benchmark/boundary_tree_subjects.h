// SPDX-License-Identifier: BSD-3-Clause
// Boundaries in an ordered map of a library: the key begins an extent of the type that is its value.
//
// Key 0 is always there and neighbours differ in type, so Add replaces the boundaries in [begin, end] by at most two.

#pragma once

#include <absl/container/btree_map.h>

#include <cstdint>
#include <iterator>
#include <map>

#include "engine/base/byte_range.h"
#include "engine/extents/extent.h"

namespace nbdspec::engine::speed {

template <typename Boundaries>
class BoundaryTree {
 public:
  static constexpr bool kOverwrites = true;

  explicit BoundaryTree(std::uint64_t size) : size_(size) { boundaries_.emplace(0, ExtentType::kHole); }

  void Add(ByteRange range, ExtentType type) {
    auto first = boundaries_.lower_bound(range.begin);
    const bool differs = first == boundaries_.begin() || std::prev(first)->second != type;
    ExtentType after = first == boundaries_.begin() ? ExtentType::kHole : std::prev(first)->second;
    auto past = first;
    for (; past != boundaries_.end() && past->first <= range.end; ++past) {
      after = past->second;
    }
    auto at = boundaries_.erase(first, past);
    if (after != type && range.end < size_) {
      at = boundaries_.emplace_hint(at, range.end, after);
    }
    if (differs) {
      boundaries_.emplace_hint(at, range.begin, type);
    }
  }

  void Clear() {
    boundaries_.clear();
    boundaries_.emplace(0, ExtentType::kHole);
  }

  template <typename Visit>
  bool ForEach(ByteRange bounds, Visit&& visit) const {
    auto here = std::prev(boundaries_.upper_bound(bounds.begin));
    std::uint64_t begin = bounds.begin;
    while (begin < bounds.end) {
      const ExtentType type = here->second;
      ++here;
      const std::uint64_t end = here == boundaries_.end() ? bounds.end : std::min(here->first, bounds.end);
      if (!visit(Extent{.range = {.begin = begin, .end = end}, .type = type})) {
        return false;
      }
      begin = end;
    }
    return true;
  }

  [[nodiscard]] ExtentType TypeAt(std::uint64_t offset) const {
    return std::prev(boundaries_.upper_bound(offset))->second;
  }

 private:
  std::uint64_t size_;
  Boundaries boundaries_;
};

class StdMapSubject : public BoundaryTree<std::map<std::uint64_t, ExtentType>> {
 public:
  static constexpr const char* kName = "std_map";
  static constexpr std::uint64_t kRandomAddsMax = 1'000'000;
  static constexpr bool kLayoutIsOneForAll = false;
  using BoundaryTree::BoundaryTree;
};

class AbslBtreeSubject : public BoundaryTree<absl::btree_map<std::uint64_t, ExtentType>> {
 public:
  static constexpr const char* kName = "absl_btree";
  static constexpr std::uint64_t kRandomAddsMax = 10'000'000;
  static constexpr bool kLayoutIsOneForAll = false;
  using BoundaryTree::BoundaryTree;
};

}  // namespace nbdspec::engine::speed
