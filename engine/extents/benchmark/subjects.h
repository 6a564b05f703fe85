// SPDX-License-Identifier: BSD-3-Clause
// The subjects of the benchmark: ExtentMap, through its public interface only, and the containers that one could use
// instead: here those without a tree, in library_subjects.h those of libraries.
//
// Every subject has this form. It covers [0, size), all kHole at first; ranges are not empty and inside it.
//   kName            in reports; a C++ identifier
//   kOverwrites      whether Add takes any range; else only the one that begins where the last one ended
//   kRandomAddsMax   up to how many random adds one round stays below some ten seconds
//   kLayoutIsOneForAll  whether equal maps look the same in memory, however they were made
//   Add, Clear       as ExtentMap's
//   ForEach          as ExtentMap's, with any callable; where `visit` is inlined, it may be
//   TypeAt           the type of the byte at `offset`

#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/base/check.h"
#include "engine/extents/benchmark/library_subjects.h"
#include "engine/extents/extent_map.h"

namespace nbdspec::engine::speed {

class ExtentMapSubject : public SubjectDefaults {
 public:
  static constexpr const char* kName = "extent_map";
  static constexpr std::uint64_t kRandomAddsMax = 10'000'000;

  explicit ExtentMapSubject(std::uint64_t size) : map_(size) {}

  void Add(ByteRange range, ExtentType type) { NBDSPEC_CHECK(map_.Add(range.begin, range.length(), type)); }
  void Clear() { map_.Clear(); }

  template <typename Visit>
  bool ForEach(ByteRange bounds, Visit&& visit) const {
    return map_.ForEach(bounds, std::forward<Visit>(visit));
  }

  [[nodiscard]] ExtentType TypeAt(std::uint64_t offset) const { return map_.Lookup(offset).type; }

  [[nodiscard]] const ExtentMap& map() const { return map_; }

 private:
  ExtentMap map_;
};

// An append-only list, which is how nbdkit's own extents work: each extent begins where the last one ended, what is
// outside of the range that was asked for is left out, neighbours of one type are joined, and there is a most.
//
// It says how cheap a list can be that can do nothing else: no overwriting, and no search. Appending is a call that is
// not inlined, as it is between nbdkit and a plugin.
class AppendOnlySubject : public SubjectDefaults {
 public:
  static constexpr const char* kName = "append_only";
  static constexpr bool kOverwrites = false;
  static constexpr std::uint64_t kRandomAddsMax = 0;

  explicit AppendOnlySubject(std::uint64_t size) : size_(size) {}

  [[gnu::noinline]] void Add(ByteRange range, ExtentType type) {
    NBDSPEC_CHECK(range.begin == end_);
    end_ = range.end;
    if (range.begin >= size_ || list_.size() >= kCountMax) {
      return;
    }
    const std::uint64_t length = std::min(range.end, size_) - range.begin;
    if (!list_.empty() && list_.back().type == type) {
      list_.back().length += length;
    } else {
      list_.push_back({.offset = range.begin, .length = length, .type = type});
    }
  }

  void Clear() {
    list_ = {};
    end_ = 0;
  }

  template <typename Visit>
  bool ForEach(ByteRange bounds, Visit&& visit) const {
    for (const Listed& each : list_) {
      const ByteRange range = Intersect({.begin = each.offset, .end = each.offset + each.length}, bounds);
      if (!range.empty() && !visit(Extent{.range = range, .type = each.type})) {
        return false;
      }
    }
    // Nothing is known of the rest.
    const std::uint64_t rest = std::max(end_, bounds.begin);
    return rest >= bounds.end || visit(Extent{.range = {.begin = rest, .end = bounds.end}, .type = ExtentType::kHole});
  }

 private:
  static constexpr std::size_t kCountMax = std::size_t{1} << 40;  // nbdkit's is 2^20, which would end most rows here.

  struct Listed {
    std::uint64_t offset;
    std::uint64_t length;
    ExtentType type;
  };
  std::uint64_t size_;
  std::uint64_t end_ = 0;
  std::vector<Listed> list_;
};

// Boundaries in a sorted vector: the best there is to scan, and each add moves what is behind it.
class SortedVectorSubject : public SubjectDefaults {
 public:
  static constexpr const char* kName = "sorted_vector";
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

// Calls `visit.operator()<Subject>()` for each of them.
template <typename Visit>
void ForEachSubject(Visit visit) {
  visit.template operator()<ExtentMapSubject>();
  visit.template operator()<LlvmSubject>();
  visit.template operator()<AbslBtreeSubject>();
  visit.template operator()<StdMapSubject>();
  visit.template operator()<IclSubject>();
  visit.template operator()<SortedVectorSubject>();
  visit.template operator()<RoaringSubject>();
  visit.template operator()<AppendOnlySubject>();
}

}  // namespace nbdspec::engine::speed
