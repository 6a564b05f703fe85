// SPDX-License-Identifier: BSD-3-Clause
// The plugins: layers at the bottom of a stack.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/base/bytes.h"
#include "engine/extents/extent_map.h"
#include "engine/layers/layer.h"

namespace nbdspec::engine {

// Bytes in memory and the truth about them.
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

// Several layers one after the other.
class ConcatPlugin : public Layer {
 public:
  // Range: all together at most kExportBytesMax, checked with CHECK. None at all are 0 bytes.
  explicit ConcatPlugin(std::vector<std::unique_ptr<Layer>> parts);

  [[nodiscard]] std::uint64_t size() const override { return size_; }
  [[nodiscard]] bool CanExtents() const override;  // If any part can: the others are data.
  [[nodiscard]] bool CanWrite() const override;    // If all parts can.
  LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents) override;

  // From the first part to the last; the first error ends it.
  LayerResult Read(std::uint64_t offset, std::span<std::uint8_t> into) override;
  LayerResult Write(std::uint64_t offset, ByteView data) override;
  LayerResult WriteZeroes(ByteRange range, bool may_punch_hole) override;
  LayerResult Trim(ByteRange range) override;
  LayerResult Flush() override;

 private:
  // Calls `visit` with each part that `range` touches, what it touches there, and where that begins in the whole.
  using Visit = std::function<LayerResult(Layer& part, ByteRange here, std::uint64_t offset)>;
  LayerResult ForEachPart(ByteRange range, const Visit& visit);

  std::vector<std::unique_ptr<Layer>> parts_;
  std::uint64_t size_ = 0;
};

}  // namespace nbdspec::engine
