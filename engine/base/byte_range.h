// SPDX-License-Identifier: BSD-3-Clause
// ByteRange: half-open ranges of bytes, and the arithmetic that cannot wrap.

#pragma once

#include <algorithm>
#include <cstdint>
#include <expected>
#include <limits>

#include "engine/base/error.h"

namespace nbdspec::engine {

// The largest export: 2^63-1 bytes, so that any offset in it fits a signed 64-bit integer.
inline constexpr std::uint64_t kExportBytesMax = std::numeric_limits<std::int64_t>::max();

inline constexpr std::uint64_t kKiB = 1 << 10;
inline constexpr std::uint64_t kMiB = 1 << 20;
inline constexpr std::uint64_t kGiB = 1 << 30;

// The bytes [begin, end). Empty when begin == end; begin is never above end.
struct ByteRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;

  struct OffsetAndLength {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
  };

  // Makes [offset, offset + length).
  // Errors: kOutOfRange if offset + length is 2^64 or more.
  static constexpr std::expected<ByteRange, ErrorCode> From(OffsetAndLength from) {
    if (from.length > std::numeric_limits<std::uint64_t>::max() - from.offset) {
      return std::unexpected(ErrorCode::kOutOfRange);
    }
    return ByteRange{.begin = from.offset, .end = from.offset + from.length};
  }

  [[nodiscard]] constexpr std::uint64_t length() const { return end - begin; }
  [[nodiscard]] constexpr bool empty() const { return begin == end; }
  [[nodiscard]] constexpr bool Contains(std::uint64_t offset) const { return begin <= offset && offset < end; }
  [[nodiscard]] constexpr bool Contains(ByteRange other) const {
    return other.empty() || (begin <= other.begin && other.end <= end);
  }

  friend constexpr bool operator==(ByteRange, ByteRange) = default;
};

// The bytes in both ranges; an empty range when they share none.
constexpr ByteRange Intersect(ByteRange a, ByteRange b) {
  const std::uint64_t begin = std::max(a.begin, b.begin);
  return {.begin = begin, .end = std::max(begin, std::min(a.end, b.end))};
}

}  // namespace nbdspec::engine
