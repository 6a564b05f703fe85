// SPDX-License-Identifier: BSD-3-Clause
// An append-only list, which is how nbdkit's own extents work: each extent begins where the last one ended, what is
// outside of the range that was asked for is left out, neighbours of one type are joined, and there is a most.
//
// It says how cheap a list can be that can do nothing else: no overwriting, and no search. Appending is a call that is
// not inlined, as it is between nbdkit and a plugin.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/base/check.h"
#include "engine/extents/extent.h"

namespace nbdspec::engine::speed {

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

}  // namespace nbdspec::engine::speed
