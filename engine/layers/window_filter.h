// SPDX-License-Identifier: BSD-3-Clause
// WindowFilter: a part of the layer below, such as a partition, or all of it from an offset on.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "engine/layers/layer.h"

namespace nbdspec::engine {

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
