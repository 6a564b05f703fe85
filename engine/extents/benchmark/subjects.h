// SPDX-License-Identifier: BSD-3-Clause
// The subjects of the benchmark: ExtentMap, through its public interface only, and the containers that one could use
// instead.
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

#include <cstdint>
#include <utility>

#include "engine/base/byte_range.h"
#include "engine/base/check.h"
#include "engine/extents/benchmark/library_subjects.h"
#include "engine/extents/benchmark/list_subjects.h"
#include "engine/extents/extent_map.h"

namespace nbdspec::engine::speed {

class ExtentMapSubject {
 public:
  static constexpr const char* kName = "extent_map";
  static constexpr bool kOverwrites = true;
  static constexpr std::uint64_t kRandomAddsMax = 10'000'000;
  static constexpr bool kLayoutIsOneForAll = false;

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
