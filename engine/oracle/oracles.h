// SPDX-License-Identifier: BSD-3-Clause
// The oracles of ExtentMap. Naive on purpose: ExtentMap is checked against them, so they must be right at a glance, and
// share no code with the map.

#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
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

// The type of every byte of an export of any size: that of the last Add that covers it.
//
// A type can only change where an Add began or ended. What lies between two such places is one cell, and the rest is as
// for the bitmap: an Add sets the types of cells, an extent is a run of cells of one type, and no cells are ever
// merged. A fuzzer asks it millions of times, so it keeps its memory.
class LastWriterOracle {
 public:
  explicit LastWriterOracle(std::uint64_t size = 0, ExtentType initial = ExtentType::kHole) { Begin(size, initial); }

  // Starts over.
  void Begin(std::uint64_t size, ExtentType initial);

  // As ExtentMap's.
  std::expected<void, ErrorCode> Add(std::uint64_t offset, std::uint64_t length, ExtentType type);
  void Clear() { Begin(size_, initial_); }

  // What ExtentMap::ForEach must visit. Valid until the next call, which may not come from another thread meanwhile.
  [[nodiscard]] std::span<const Extent> Extents(ByteRange bounds) const;

  // Range: offset below size(), checked with CHECK.
  [[nodiscard]] ExtentType TypeAt(std::uint64_t offset) const;

  [[nodiscard]] std::uint64_t size() const { return size_; }

 private:
  // The cell that begins at `offset`, which is made if need be. Range: up to size_, which gives the count of cells.
  std::size_t CellFrom(std::uint64_t offset);
  // The cell that holds `offset`.
  [[nodiscard]] std::size_t CellAt(std::uint64_t offset) const;

  std::uint64_t size_ = 0;
  ExtentType initial_ = ExtentType::kHole;
  std::vector<std::uint64_t> begins_;    // Where each cell begins, ascending.
  std::vector<ExtentType> types_;        // Of each cell.
  mutable std::vector<Extent> extents_;  // Room for the answer of Extents.
};

}  // namespace nbdspec::engine
