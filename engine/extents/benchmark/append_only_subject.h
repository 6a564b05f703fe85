// SPDX-License-Identifier: BSD-3-Clause
// An append-only list, which is how nbdkit's own extents work: each extent begins where the last one ended.
//
// It says how cheap a list can be that can do nothing else: no overwriting, and no search.

#pragma once

#include <algorithm>
#include <cstdint>
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
    NBDSPEC_CHECK(range.begin == end_ && range.end <= size_);
    end_ = range.end;
    if (!list_.empty() && list_.back().type == static_cast<std::uint32_t>(type)) {
      list_.back().length += range.length();
    } else {
      list_.push_back({.offset = range.begin, .length = range.length(), .type = static_cast<std::uint32_t>(type)});
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
      if (!range.empty() && !visit(Extent{.range = range, .type = static_cast<ExtentType>(each.type)})) {
        return false;
      }
    }
    // Nothing is known of the rest.
    const std::uint64_t rest = std::max(end_, bounds.begin);
    return rest >= bounds.end || visit(Extent{.range = {.begin = rest, .end = bounds.end}, .type = ExtentType::kHole});
  }

  [[nodiscard]] std::uint64_t end() const { return end_; }

 private:
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
