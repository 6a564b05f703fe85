// SPDX-License-Identifier: BSD-3-Clause
// What is true of a run of bytes: allocated or not, reading as zeroes or not.

#pragma once

#include <cstdint>

#include "engine/base/byte_range.h"

namespace nbdspec::engine {

// Two independent bits; all four combinations are legal. Data is 0: it claims nothing.
enum class ExtentType : std::uint8_t {
  kData = 0,      // NBDKIT_EXTENT_TYPE_DATA: allocated, contents unknown.
  kHole = 1,      // NBDKIT_EXTENT_TYPE_HOLE: not allocated.
  kZero = 2,      // NBDKIT_EXTENT_TYPE_ZERO: reads as zeroes.
  kHoleZero = 3,  // Both: the usual sparse region.
};

inline constexpr std::uint8_t kExtentTypeCount = 4;

// Whether `bits` has no bits other than HOLE and ZERO.
constexpr bool IsExtentType(std::uint32_t bits) { return bits < kExtentTypeCount; }

constexpr bool IsHole(ExtentType type) { return (static_cast<std::uint8_t>(type) & 1) != 0; }
constexpr bool IsZero(ExtentType type) { return (static_cast<std::uint8_t>(type) & 2) != 0; }

// A range and its type.
struct Extent {
  ByteRange range;
  ExtentType type = ExtentType::kData;
  friend constexpr bool operator==(Extent, Extent) = default;
};

}  // namespace nbdspec::engine
