// SPDX-License-Identifier: BSD-3-Clause
// CellOracle: the type of every byte of an export of any size, as fast as a fuzzer needs it.
//
// A script is known before it runs, and a type can only change where one of its Adds begins or ends. What lies between
// two such places is one cell. The rest is a bitmap: an Add sets the types of cells, and an extent is a run of cells of
// one type. A test compares it with engine/oracle, which needs no script and is slow.

#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/base/error.h"
#include "engine/extents/extent.h"
#include "engine/script/script.h"

namespace nbdspec::fuzz {

class CellOracle {
 public:
  // For the steps of `script`, and no other Adds. Cost: O(n^2) for n steps, with a tiny constant.
  explicit CellOracle(const engine::Script& script) { Begin(script); }
  CellOracle() = default;

  // Starts over with another script; keeps the memory.
  void Begin(const engine::Script& script);

  // As ExtentMap's. The range is one of the script's.
  std::expected<void, engine::ErrorCode> Add(std::uint64_t offset, std::uint64_t length, engine::ExtentType type);
  void Clear();

  // What ExtentMap::ForEach must visit. Valid until the next call.
  [[nodiscard]] std::span<const engine::Extent> Extents(engine::ByteRange bounds);

  [[nodiscard]] std::uint64_t size() const { return size_; }

 private:
  // Keeps places_ ascending and without duplicates. Range: what is past the export is ignored.
  void AddPlace(std::uint64_t place);
  // The cell that holds `offset`. Range: up to size_, which gives the count of cells.
  [[nodiscard]] std::size_t CellAt(std::uint64_t offset) const;

  std::uint64_t size_ = 0;
  engine::ExtentType initial_ = engine::ExtentType::kHole;
  std::vector<std::uint64_t> places_;      // Where each cell begins, ascending; then size_.
  std::vector<engine::ExtentType> types_;  // Of each cell.
  std::vector<engine::Extent> extents_;    // Room for the answer of Extents.
};

}  // namespace nbdspec::fuzz
