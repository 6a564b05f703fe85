// SPDX-License-Identifier: BSD-3-Clause
// TruncateFilter: the layer below with another size: cut, grown by a hole that reads as zeroes, or rounded.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "engine/layers/layer.h"

namespace nbdspec::engine {

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

}  // namespace nbdspec::engine
