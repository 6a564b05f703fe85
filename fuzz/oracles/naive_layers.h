// SPDX-License-Identifier: BSD-3-Clause
// What a stack of layers must read as and say, one cell per byte.
//
// Naive on purpose: each layer makes all cells of its own from all cells below, byte by byte, on every question. It
// shares no code with engine/layers. A change goes down the stack as the header of each layer says.

#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/base/bytes.h"
#include "engine/extents/extent.h"
#include "fuzz/inputs/layer_stack_input.h"

namespace nbdspec::fuzz {

struct NaiveCell {
  engine::ExtentType type = engine::ExtentType::kData;
  std::uint8_t byte = 0;
};

class NaiveLayer {
 public:
  virtual ~NaiveLayer() = default;

  [[nodiscard]] virtual std::vector<NaiveCell> Cells() const = 0;
  [[nodiscard]] virtual bool CanExtents() const = 0;
  [[nodiscard]] virtual bool CanWrite() const = 0;

  // Each returns whether there was room: NBD_ENOSPC if not.
  virtual bool Write(std::uint64_t offset, const engine::Bytes& data) = 0;
  virtual bool WriteZeroes(engine::ByteRange range, bool may_punch_hole) = 0;
  virtual bool Trim(engine::ByteRange range) = 0;
};

std::unique_ptr<NaiveLayer> MakeNaiveStack(const LayerSpec& spec);

}  // namespace nbdspec::fuzz
