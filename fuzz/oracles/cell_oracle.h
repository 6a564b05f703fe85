// SPDX-License-Identifier: BSD-3-Clause
// CellOracle: the type of every byte of an export of any size, as fast as a fuzzer needs it.
//
// A type can only change where an Add began or ended. What lies between two such places is one cell. The rest is a
// bitmap: an Add sets the types of cells, and an extent is a run of cells of one type; no cells are ever merged. A test
// compares it with engine/oracle, which is slow.

#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/base/error.h"
#include "engine/extents/extent.h"

namespace nbdspec::fuzz {

class CellOracle {
 public:
  explicit CellOracle(std::uint64_t size = 0, engine::ExtentType initial = engine::ExtentType::kHole) {
    Begin(size, initial);
  }

  // Starts over; keeps the memory.
  void Begin(std::uint64_t size, engine::ExtentType initial);

  // As ExtentMap's.
  std::expected<void, engine::ErrorCode> Add(std::uint64_t offset, std::uint64_t length, engine::ExtentType type);
  void Clear() { Begin(size_, initial_); }

  // What ExtentMap::ForEach must visit. Valid until the next call.
  [[nodiscard]] std::span<const engine::Extent> Extents(engine::ByteRange bounds);

  [[nodiscard]] std::uint64_t size() const { return size_; }

 private:
  // The cell that begins at `offset`, which is made if need be. Range: up to size_, which gives the count of cells.
  std::size_t CellFrom(std::uint64_t offset);

  std::uint64_t size_ = 0;
  engine::ExtentType initial_ = engine::ExtentType::kHole;
  std::vector<std::uint64_t> begins_;      // Of each cell, ascending.
  std::vector<engine::ExtentType> types_;  // Of each cell.
  std::vector<engine::Extent> extents_;    // Room for the answer of Extents.
};

}  // namespace nbdspec::fuzz
