// SPDX-License-Identifier: BSD-3-Clause
// BlockSizeFilter: lets anything be asked of a layer that takes only whole blocks.
//
// The last block is what is left of the layer. An access that cuts a block reads it, and writes it whole. Extents are
// on the grid: a block claims only what is true of all of it, so it never claims a hole where there is none.

#pragma once

#include <cstdint>
#include <memory>

#include "engine/layers/layer.h"

namespace nbdspec::engine {

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
  [[nodiscard]] std::uint64_t RoundDown(std::uint64_t offset) const { return offset - offset % block_bytes_; }
  // The next multiple, or the end of the layer.
  [[nodiscard]] std::uint64_t RoundUp(std::uint64_t offset) const;
  [[nodiscard]] ByteRange Widen(ByteRange range) const;
  // The whole blocks in `range`; if there are none, an empty range that begins there.
  [[nodiscard]] ByteRange Narrow(ByteRange range) const;

  std::uint64_t block_bytes_;
};

}  // namespace nbdspec::engine
