// SPDX-License-Identifier: BSD-3-Clause
// The filters: layers that change what the layer below serves.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>

#include "engine/layers/layer.h"

namespace nbdspec::engine {

// Blocks from offset 0 on, of a layer; the last one is what is left of the layer.
class BlockGrid {
 public:
  // Range: block_bytes in [1, 2^32), checked with CHECK.
  BlockGrid(std::uint64_t block_bytes, std::uint64_t size);

  [[nodiscard]] std::uint64_t RoundDown(std::uint64_t offset) const { return offset - offset % block_bytes_; }
  // The next multiple, or the end of the layer.
  [[nodiscard]] std::uint64_t RoundUp(std::uint64_t offset) const;
  // The blocks that `range` touches.
  [[nodiscard]] ByteRange Widen(ByteRange range) const;
  // The whole blocks in `range`; if there are none, an empty range that begins there.
  [[nodiscard]] ByteRange Narrow(ByteRange range) const;
  [[nodiscard]] ByteRange BlockAt(std::uint64_t offset) const { return Widen({.begin = offset, .end = offset + 1}); }

 private:
  std::uint64_t block_bytes_;
  std::uint64_t size_;
};

// Lets anything be asked of a layer that takes only whole blocks.
//
// The last block is what is left of the layer. An access that cuts a block reads it, and writes it whole. Extents are
// on the grid: a block claims only what is true of all of it, so it never claims a hole where there is none.
class BlockSizeFilter : public Filter {
 public:
  // Range: block_bytes in [1, 2^32), checked with CHECK.
  BlockSizeFilter(std::unique_ptr<Layer> next, std::uint64_t block_bytes);

  // Asks for whole blocks, and more than one extent: a block may have several.
  LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents) override;
  LayerResult Read(std::uint64_t offset, std::span<std::uint8_t> into) override;
  LayerResult Write(std::uint64_t offset, ByteView data) override;
  LayerResult WriteZeroes(ByteRange range, bool may_punch_hole) override;  // A block cut by the range becomes data.
  LayerResult Trim(ByteRange range) override;                              // A block cut by the range is left alone.

 private:
  BlockGrid grid_;
};

// Takes writes in memory, block by block, and never changes the layer below.
//
// A block written to, in whole or in part, is data. A block zeroed or trimmed as a whole is a zero extent, and a hole
// if it may be one. A trim that cuts a block leaves it alone. The last block is what is left of the layer.
class CopyOnWriteFilter : public Filter {
 public:
  // Range: block_bytes in [1, 2^32), checked with CHECK.
  CopyOnWriteFilter(std::unique_ptr<Layer> next, std::uint64_t block_bytes);

  [[nodiscard]] bool CanExtents() const override { return true; }
  [[nodiscard]] bool CanWrite() const override { return true; }
  LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents) override;
  LayerResult Read(std::uint64_t offset, std::span<std::uint8_t> into) override;
  LayerResult Write(std::uint64_t offset, ByteView data) override;
  LayerResult WriteZeroes(ByteRange range, bool may_punch_hole) override;
  LayerResult Trim(ByteRange range) override;
  LayerResult Flush() override { return {}; }  // There is nothing to keep.

 private:
  LayerResult ReadUnzeroed(std::uint64_t offset, std::span<std::uint8_t> into);
  LayerResult ZeroBlocks(ByteRange whole, ExtentType type);

  BlockGrid grid_;
  std::map<std::uint64_t, Bytes> written_;  // Begin of a block -> its contents.
  ExtentMap zeroed_;                        // Data where nothing was zeroed, or written since.
};

// Hides the extents of the layer below; all of it is data then.
class NoExtentsFilter : public Filter {
 public:
  using Filter::Filter;

  [[nodiscard]] bool CanExtents() const override { return false; }
  LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents) override {
    return Layer::Extents(request, extents);
  }
};

// Asks for the extents below before it reads, and never reads what is known to be zero.
class SparseReadFilter : public Filter {
 public:
  using Filter::Filter;

  LayerResult Read(std::uint64_t offset, std::span<std::uint8_t> into) override;
};

// The layer below with another size: cut, grown by a hole that reads as zeroes, or rounded.
class TruncateFilter : public Filter {
 public:
  // In this order. Only the size that comes out counts: a size that is rounded up shows what is below.
  struct Options {
    std::optional<std::uint64_t> size = std::nullopt;
    std::uint64_t round_up_to = 1;  // A multiple of it, the next one or the one before. Not 0.
    std::uint64_t round_down_to = 1;
  };

  // Range: every size on the way is at most kExportBytesMax, checked with CHECK.
  TruncateFilter(std::unique_ptr<Layer> next, const Options& options);

  [[nodiscard]] std::uint64_t size() const override { return size_; }
  [[nodiscard]] bool CanExtents() const override { return true; }  // What was grown is a hole, whatever is below.
  LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents) override;
  LayerResult Read(std::uint64_t offset, std::span<std::uint8_t> into) override;

  // What was grown takes zeroes only, and stays a hole. Errors: NBD_ENOSPC for other bytes there, nothing is written.
  LayerResult Write(std::uint64_t offset, ByteView data) override;
  LayerResult WriteZeroes(ByteRange range, bool may_punch_hole) override;
  LayerResult Trim(ByteRange range) override;

 private:
  // The part of `range` that is there below; it begins where `range` does unless it is empty.
  [[nodiscard]] ByteRange Below(ByteRange range) const;

  std::uint64_t size_;
};

// A part of the layer below, such as a partition, or all of it from an offset on.
class WindowFilter : public Filter {
 public:
  struct Options {
    std::uint64_t offset = 0;
    std::optional<std::uint64_t> length = std::nullopt;  // To the end unless given.
  };

  // The part of the window that is past the end of the layer below is not there: what remains may be empty.
  WindowFilter(std::unique_ptr<Layer> next, const Options& options) : Filter(std::move(next)), options_(options) {}

  [[nodiscard]] std::uint64_t size() const override;
  LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents) override;
  LayerResult Read(std::uint64_t offset, std::span<std::uint8_t> into) override;
  LayerResult Write(std::uint64_t offset, ByteView data) override;
  LayerResult WriteZeroes(ByteRange range, bool may_punch_hole) override;
  LayerResult Trim(ByteRange range) override;

 private:
  // `range` of the window as a range of the layer below.
  [[nodiscard]] ByteRange Below(ByteRange range) const;

  Options options_;
};

}  // namespace nbdspec::engine
