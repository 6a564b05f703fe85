// SPDX-License-Identifier: BSD-3-Clause
// The image that servers are given to serve: small, sparse, and with contents known from the offset alone.
//
//   [0, 64K)            data
//   [64K, 1M)           hole
//   [1M, 1M + 64K)      data
//   [1M + 64K, 2M)      hole
//   [2M, 2M + 64K)      zeroes that were written: allocated, where the file system keeps them
//   [2M + 64K, 8M - 4K) hole
//   [8M - 4K, 8M)       data

#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <string>

#include "engine/base/byte_range.h"
#include "engine/base/error.h"

namespace nbdspec::conformance {

inline constexpr std::uint64_t kImageBytes = 8 << 20;

// Where the image has bytes other than zero.
inline constexpr std::array<engine::ByteRange, 3> kImageData = {{
    {.begin = 0, .end = 64 << 10},
    {.begin = 1 << 20, .end = (1 << 20) + (64 << 10)},
    {.begin = kImageBytes - 4096, .end = kImageBytes},
}};

// Where zeroes are written, not left out.
inline constexpr engine::ByteRange kImageWrittenZeroes = {.begin = 2 << 20, .end = (2 << 20) + (64 << 10)};

// The byte at `offset` of the image. Never zero in kImageData; its period is a prime, so a shifted read differs.
constexpr std::uint8_t ImageByteAt(std::uint64_t offset) {
  for (const engine::ByteRange data : kImageData) {
    if (data.Contains(offset)) {
      return static_cast<std::uint8_t>(1 + offset % 251);
    }
  }
  return 0;
}

// Writes the image as the new file `path`.
// Errors: the file system's.
std::expected<void, engine::Trouble> WriteImage(const std::string& path);

}  // namespace nbdspec::conformance
