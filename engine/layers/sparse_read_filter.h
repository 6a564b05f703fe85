// SPDX-License-Identifier: BSD-3-Clause
// SparseReadFilter: asks for the extents below before it reads, and never reads what is known to be zero.

#pragma once

#include "engine/layers/layer.h"

namespace nbdspec::engine {

class SparseReadFilter : public Filter {
 public:
  using Filter::Filter;

  LayerResult Read(std::uint64_t offset, std::span<std::uint8_t> into) override;
};

}  // namespace nbdspec::engine
