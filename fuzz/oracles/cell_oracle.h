// SPDX-License-Identifier: BSD-3-Clause
// CellOracle: the type of every byte of an export of any size, as fast as a fuzzer needs it.
//
// A script is known before it runs, so the only places where a type can ever change are known: where its Adds begin
// and end. The stretch between two such places is one cell, and then everything is as in the bitmap: an Add sets
// cells, nothing is merged or split. It is held to engine/oracle, which cannot be wrong but is slow, by its test.

#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>

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

  // Anew, for another script; it keeps its memory.
  void Begin(const engine::Script& script);

  // As ExtentMap's. The range is one of the script's.
  std::expected<void, engine::ErrorCode> Add(std::uint64_t offset, std::uint64_t length, engine::ExtentType type);
  void Clear();

  // What ExtentMap::ForEach must visit. Holds until the next call.
  [[nodiscard]] std::span<const engine::Extent> Extents(engine::ByteRange bounds) const;

  [[nodiscard]] std::uint64_t size() const { return size_; }

 private:
  void MakeCells(const engine::Script& script);
  // The first cell that begins at `offset` or later.
  [[nodiscard]] std::size_t CellFrom(std::uint64_t offset) const;

  std::uint64_t size_ = 0;
  std::uint8_t initial_ = 0;
  std::size_t count_ = 0;                      // Of cells; 0 when the export is empty.
  std::size_t room_ = 0;                       // For so many cells.
  std::unique_ptr<std::uint64_t[]> places_;    // Where each cell begins, ascending; then size_.
  std::unique_ptr<std::uint8_t[]> cells_;      // Their types; then no type, sixteen times at most.
  std::unique_ptr<engine::Extent[]> extents_;  // Room for the answer of Extents.
};

}  // namespace nbdspec::fuzz
