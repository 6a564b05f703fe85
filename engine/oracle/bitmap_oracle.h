// SPDX-License-Identifier: BSD-3-Clause
// BitmapOracle: the type of every byte of an export, one cell per byte.
//
// Naive on purpose. ExtentMap is checked against it, so it must be right at a glance: each operation is a loop over
// single bytes, nothing is merged, split or skipped, and it shares no code with the map. The price is memory and
// time in proportion to the export, so it is for small ones; last_writer_oracle.h is for the others.

#pragma once

#include <cstdint>
#include <expected>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/base/error.h"
#include "engine/extents/extent.h"

namespace nbdspec::engine {

class BitmapOracle {
 public:
  static constexpr std::uint64_t kSizeMax = 1 << 20;

  // Range: size at most kSizeMax, checked with CHECK.
  explicit BitmapOracle(std::uint64_t size, ExtentType initial = ExtentType::kHole);

  // As ExtentMap's.
  std::expected<void, ErrorCode> Add(std::uint64_t offset, std::uint64_t length, ExtentType type);
  void Clear();

  // What ExtentMap::ForEach must visit.
  [[nodiscard]] std::vector<Extent> Extents(ByteRange bounds) const;

  // Range: offset below size(), checked with CHECK.
  [[nodiscard]] ExtentType TypeAt(std::uint64_t offset) const;

  [[nodiscard]] std::uint64_t size() const { return cells_.size(); }

 private:
  ExtentType initial_;
  std::vector<ExtentType> cells_;
};

}  // namespace nbdspec::engine
