// SPDX-License-Identifier: BSD-3-Clause
// Truth: the type of every byte of an export as it is seen through filters.
//
// Naive on purpose: a truth is a function from an offset to a type, and the places where the type may change. A filter
// makes a new function out of the one below; nothing is merged or split until somebody asks for extents. It begins at
// the last-writer oracle and shares no code with ExtentMap.

#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/extents/extent.h"
#include "engine/script/script.h"

namespace nbdspec::fuzz {

class Truth {
 public:
  // What the script's add and clear steps leave.
  static Truth Of(const engine::Script& script);

  // The part `range` of it, which becomes an export of its own. Range: inside, checked with CHECK.
  [[nodiscard]] Truth Part(engine::ByteRange range) const;
  // Cut, or continued by a hole that reads as zeroes.
  [[nodiscard]] Truth Resized(std::uint64_t size) const;
  // Whole blocks only: each claims what all its bytes share. A last part of a block is cut off.
  [[nodiscard]] Truth InBlocks(std::uint64_t block_bytes) const;
  // Nothing is claimed of any byte.
  [[nodiscard]] Truth WithoutClaims() const;
  // The bytes of `range` have become `type`.
  [[nodiscard]] Truth With(engine::ByteRange range, engine::ExtentType type) const;

  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] engine::ExtentType TypeAt(std::uint64_t offset) const { return type_at_(offset); }

  // The maximal extents in `bounds`, clipped to it.
  [[nodiscard]] std::vector<engine::Extent> Extents(engine::ByteRange bounds) const;
  // Offsets, some of them past the end, where the type may change.
  [[nodiscard]] const std::set<std::uint64_t>& edges() const { return edges_; }

 private:
  using TypeAtFunction = std::function<engine::ExtentType(std::uint64_t)>;

  Truth(std::uint64_t size, std::set<std::uint64_t> edges, TypeAtFunction type_at)
      : size_(size), edges_(std::move(edges)), type_at_(std::move(type_at)) {}

  std::uint64_t size_;
  std::set<std::uint64_t> edges_;
  TypeAtFunction type_at_;
};

// Neighbours of one type made one extent. `extents` are ascending and without gaps.
std::vector<engine::Extent> Merged(const std::vector<engine::Extent>& extents);

}  // namespace nbdspec::fuzz
