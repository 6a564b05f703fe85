// SPDX-License-Identifier: BSD-3-Clause
// Boundaries in a sorted vector: the best there is to scan, and each add moves what is behind it.

#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/extents/extent.h"

namespace nbdspec::engine::speed {

class SortedVectorSubject {
 public:
  static constexpr const char* kName = "sorted_vector";
  static constexpr bool kOverwrites = true;
  static constexpr std::uint64_t kRandomAddsMax = 100'000;
  static constexpr bool kLayoutIsOneForAll = true;

  explicit SortedVectorSubject(std::uint64_t size) : size_(size), boundaries_{Initial()} {}

  void Add(ByteRange range, ExtentType type) {
    const auto first = std::ranges::lower_bound(boundaries_, range.begin, {}, &Boundary::begin);
    auto past = first;
    // Few boundaries are replaced as a rule: a second search from the start would cost more than it saves.
    while (past != boundaries_.end() && past->begin <= range.end) {
      ++past;
    }
    std::array<Boundary, 2> fresh;
    std::ptrdiff_t fresh_count = 0;
    if (first == boundaries_.begin() || std::prev(first)->type != type) {
      fresh[static_cast<std::size_t>(fresh_count++)] = {.begin = range.begin, .type = type};
    }
    if (const ExtentType after = std::prev(past)->type; after != type && range.end < size_) {
      fresh[static_cast<std::size_t>(fresh_count++)] = {.begin = range.end, .type = after};
    }
    const std::ptrdiff_t in_place = std::min(fresh_count, past - first);
    const auto rest = std::copy_n(fresh.begin(), in_place, first);
    if (fresh_count > in_place) {
      boundaries_.insert(rest, fresh.begin() + in_place, fresh.begin() + fresh_count);
    } else {
      boundaries_.erase(rest, past);
    }
  }

  void Clear() { boundaries_ = {Initial()}; }

  template <typename Visit>
  bool ForEach(ByteRange bounds, Visit&& visit) const {
    const auto* here = &*std::prev(std::ranges::upper_bound(boundaries_, bounds.begin, {}, &Boundary::begin));
    const auto* last = &boundaries_.back();
    std::uint64_t begin = bounds.begin;
    for (; here != last && here[1].begin < bounds.end; ++here) {
      if (!visit(Extent{.range = {.begin = begin, .end = here[1].begin}, .type = here->type})) {
        return false;
      }
      begin = here[1].begin;
    }
    return visit(Extent{.range = {.begin = begin, .end = bounds.end}, .type = here->type});
  }

  [[nodiscard]] ExtentType TypeAt(std::uint64_t offset) const {
    return std::prev(std::ranges::upper_bound(boundaries_, offset, {}, &Boundary::begin))->type;
  }

 private:
  struct Boundary {
    std::uint64_t begin = 0;
    ExtentType type = ExtentType::kHole;
  };
  static Boundary Initial() { return {}; }

  std::uint64_t size_;
  std::vector<Boundary> boundaries_;
};

}  // namespace nbdspec::engine::speed
