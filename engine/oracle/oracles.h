// SPDX-License-Identifier: BSD-3-Clause
// The oracles of ExtentMap. Naive on purpose: ExtentMap is checked against them, so they must be right at a glance, and
// share no code with the map.

#pragma once

#include <cstdint>
#include <expected>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/base/error.h"
#include "engine/extents/extent.h"

namespace nbdspec::engine {

// The type of every byte of an export, one cell per byte. Each operation is a loop over single bytes, nothing is
// merged, split or skipped. The price is memory and time in proportion to the export, so it is for small ones.
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

// The type of one byte of an export of any size, from the list of everything that was done to it: that of the last Add
// that covers it. Right at any 64-bit offset, where one cell per byte is not possible. Each answer costs time in
// proportion to the number of Adds, and Extents the square of it.
class LastWriterOracle {
 public:
  explicit LastWriterOracle(std::uint64_t size, ExtentType initial = ExtentType::kHole);

  // As ExtentMap's.
  std::expected<void, ErrorCode> Add(std::uint64_t offset, std::uint64_t length, ExtentType type);
  void Clear();

  // What ExtentMap::ForEach must visit. Types can only change where an Add began or ended, so one byte of each
  // stretch between two such places tells for all of it.
  [[nodiscard]] std::vector<Extent> Extents(ByteRange bounds) const;

  // Range: offset below size(), checked with CHECK.
  [[nodiscard]] ExtentType TypeAt(std::uint64_t offset) const;

  [[nodiscard]] std::uint64_t size() const { return size_; }

 private:
  struct Written {
    std::uint64_t offset;
    std::uint64_t length;
    ExtentType type;
  };

  std::uint64_t size_;
  ExtentType initial_;
  std::vector<Written> written_;  // Since the last Clear, in order.
};

}  // namespace nbdspec::engine
