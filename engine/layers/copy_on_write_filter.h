// SPDX-License-Identifier: BSD-3-Clause
// CopyOnWriteFilter: takes writes in memory, block by block, and never changes the layer below.

#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "engine/layers/layer.h"

namespace nbdspec::engine {

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
  [[nodiscard]] ByteRange BlockAt(std::uint64_t offset) const;
  // The whole blocks in `range`; if there are none, an empty range that begins there.
  [[nodiscard]] ByteRange WholeBlocks(ByteRange range) const;
  LayerResult ReadUnzeroed(std::uint64_t offset, std::span<std::uint8_t> into);
  LayerResult ZeroBlocks(ByteRange whole, ExtentType type);

  std::uint64_t block_bytes_;
  std::map<std::uint64_t, Bytes> written_;  // Begin of a block -> its contents.
  ExtentMap zeroed_;                        // Data where nothing was zeroed, or written since.
};

}  // namespace nbdspec::engine
