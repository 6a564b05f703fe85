// SPDX-License-Identifier: BSD-3-Clause
// NoExtentsFilter: hides the extents of the layer below; all of it is data then.

#pragma once

#include "engine/layers/layer.h"

namespace nbdspec::engine {

class NoExtentsFilter : public Filter {
 public:
  using Filter::Filter;

  [[nodiscard]] bool CanExtents() const override { return false; }
  LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents) override {
    return Layer::Extents(request, extents);
  }
};

}  // namespace nbdspec::engine
