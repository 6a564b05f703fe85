// SPDX-License-Identifier: BSD-3-Clause
// Subjects without a tree: an append-only list and a sorted vector.

#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/base/check.h"
#include "engine/extents/extent.h"

namespace nbdspec::engine::speed {

// An append-only list, which is how nbdkit's own extents work: each extent begins where the last one ended, what is
// outside of the range that was asked for is left out, neighbours of one type are joined, and there is a most.
//
// It says how cheap a list can be that can do nothing else: no overwriting, and no search. Appending is a call that is
// not inlined, as it is between nbdkit and a plugin.
class AppendOnlySubject {
 public:
  static constexpr const char* kName = "append_only";
  static constexpr bool kOverwrites = false;
  static constexpr std::uint64_t kRandomAddsMax = 0;
  static constexpr bool kLayoutIsOneForAll = false;

  explicit AppendOnlySubject(std::uint64_t size) : size_(size) {}

  void Add(ByteRange range, ExtentType type) {
    NBDSPEC_CHECK(Append(range.begin, range.length(), static_cast<std::uint32_t>(type)) == 0);
  }

  void Clear() {
    list_ = {};
    end_ = 0;
  }

  template <typename Visit>
  bool ForEach(ByteRange bounds, Visit&& visit) const {
    for (const Listed& each : list_) {
      const ByteRange range = Intersect({.begin = each.offset, .end = each.offset + each.length}, bounds);
      if (!range.empty() && !visit(Extent{.range = range, .type = static_cast<ExtentType>(each.type)})) {
        return false;
      }
    }
    // Nothing is known of the rest.
    const std::uint64_t rest = std::max(end_, bounds.begin);
    return rest >= bounds.end || visit(Extent{.range = {.begin = rest, .end = bounds.end}, .type = ExtentType::kHole});
  }

 private:
  [[gnu::noinline]] int Append(std::uint64_t offset, std::uint64_t length, std::uint32_t type) {
    if (length == 0) {
      return 0;
    }
    if (offset != end_ || length > std::numeric_limits<std::uint64_t>::max() - offset) {
      return -1;
    }
    end_ = offset + length;
    if (offset >= size_ || list_.size() >= kCountMax) {
      return 0;
    }
    length = std::min(length, size_ - offset);
    if (!list_.empty() && list_.back().type == type) {
      list_.back().length += length;
    } else {
      list_.push_back({.offset = offset, .length = length, .type = type});
    }
    return 0;
  }

  static constexpr std::size_t kCountMax = std::size_t{1} << 40;  // nbdkit's is 2^20, which would end most rows here.

  struct Listed {
    std::uint64_t offset;
    std::uint64_t length;
    std::uint32_t type;
  };
  std::uint64_t size_;
  std::uint64_t end_ = 0;
  std::vector<Listed> list_;
};

// Boundaries in a sorted vector: the best there is to scan, and each add moves what is behind it.
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
