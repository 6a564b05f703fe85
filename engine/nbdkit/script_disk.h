// SPDX-License-Identifier: BSD-3-Clause
// ScriptDisk: a disk of any size whose extents a script says, and whose bytes agree with them.
//
// A byte that its extent calls ZERO reads as 0. Any other byte, also one of a HOLE, reads as what was written there,
// else as PatternByteAt, which is never 0: so a wrong ZERO claim is refuted by reading. Only written pages take memory.

#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <map>
#include <span>

#include "engine/base/byte_range.h"
#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "engine/extents/extent_map.h"
#include "engine/script/script.h"

namespace nbdspec::engine {

class ScriptDisk {
 public:
  // What the `add` and `clear` steps leave; the others only ask. An `add` that ExtentMap refuses changes nothing.
  // Errors: kOutOfMemory.
  static std::expected<ScriptDisk, ErrorCode> From(const Script& script);

  // Its period is a prime, so that a shifted read differs.
  static constexpr std::uint8_t PatternByteAt(std::uint64_t offset) {
    return static_cast<std::uint8_t>(1 + offset % 251);
  }

  // All take ranges inside the disk, checked with CHECK. Errors: kOutOfMemory, nothing changed.
  void Read(std::uint64_t offset, std::span<std::uint8_t> out) const;
  std::expected<void, ErrorCode> Write(std::uint64_t offset, ByteView data);  // Becomes data.
  std::expected<void, ErrorCode> WriteZeroes(ByteRange range, bool may_punch_hole);
  std::expected<void, ErrorCode> Trim(ByteRange range);  // Becomes a hole that reads as zeroes.

  [[nodiscard]] std::uint64_t size() const { return extents_.size(); }
  [[nodiscard]] const ExtentMap& extents() const { return extents_; }

 private:
  static constexpr std::uint64_t kPageBytes = 4096;
  using Page = std::array<std::uint8_t, kPageBytes>;

  explicit ScriptDisk(ExtentMap extents) : extents_(std::move(extents)) {}

  Page& PageAt(std::uint64_t index);
  void ReadWritten(std::uint64_t offset, std::span<std::uint8_t> out) const;

  ExtentMap extents_;
  std::map<std::uint64_t, Page> pages_;  // Index -> bytes, those not written filled with the pattern.
};

}  // namespace nbdspec::engine
