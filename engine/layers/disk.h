// SPDX-License-Identifier: BSD-3-Clause
// Disk: bytes in memory and the truth about them. The plugin at the bottom of a stack, or an export by itself.

#pragma once

#include <cstdint>
#include <span>

#include "engine/base/byte_range.h"
#include "engine/base/bytes.h"
#include "engine/extents/extent_map.h"
#include "engine/layers/layer.h"

namespace nbdspec::engine {

class Disk : public Layer {
 public:
  // `size` bytes of hole that read as zeroes. Range: size at most kDiskBytesMax, checked with CHECK.
  explicit Disk(std::uint64_t size);

  // Bytes that fit `extents`: zeroes where it says ZERO, elsewhere none that is zero.
  explicit Disk(ExtentMap extents);

  static constexpr std::uint64_t kDiskBytesMax = 1 << 30;

  [[nodiscard]] std::uint64_t size() const override { return extents_.size(); }
  [[nodiscard]] const ExtentMap& extents() const { return extents_; }
  [[nodiscard]] ByteView Read(ByteRange range) const;

  // All take a range inside the disk, checked with CHECK. Errors: NBD_ENOMEM, nothing changed.
  [[nodiscard]] bool CanExtents() const override { return true; }
  [[nodiscard]] bool CanWrite() const override { return true; }
  LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents) override;
  LayerResult Read(std::uint64_t offset, std::span<std::uint8_t> into) override;
  LayerResult Write(std::uint64_t offset, ByteView data) override;  // Becomes data.
  LayerResult WriteZeroes(ByteRange range, bool may_punch_hole) override;
  LayerResult Trim(ByteRange range) override;  // Becomes a hole that reads as zeroes.

 private:
  Bytes contents_;
  ExtentMap extents_;
};

}  // namespace nbdspec::engine
