// SPDX-License-Identifier: BSD-3-Clause
// SparseBytes: the contents of a disk of any size, in memory proportional to what was written.

#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>

#include "engine/base/byte_range.h"
#include "engine/base/bytes.h"

namespace nbdspec::engine {

// All zero at first.
class SparseBytes {
 public:
  static constexpr std::uint64_t kPageBytes = 1 << 12;

  void Read(std::uint64_t offset, std::span<std::uint8_t> into) const;
  void Write(std::uint64_t offset, ByteView data);
  // Cost: O(pages that were written in `range`).
  void Zero(ByteRange range);

 private:
  using Page = std::array<std::uint8_t, kPageBytes>;
  std::map<std::uint64_t, Page> pages_;  // By their number.
};

}  // namespace nbdspec::engine
