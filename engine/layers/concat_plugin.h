// SPDX-License-Identifier: BSD-3-Clause
// ConcatPlugin: several layers one after the other.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "engine/layers/layer.h"

namespace nbdspec::engine {

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
