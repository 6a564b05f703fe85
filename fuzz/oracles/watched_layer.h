// SPDX-License-Identifier: BSD-3-Clause
// WatchedLayer: stands over one layer of a stack and notes what the one above may not do.
//
// It also takes the liberties that LayerSpec allows each layer, and lets a disk fail on demand.

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/layers/layer.h"
#include "fuzz/inputs/layer_stack_input.h"

namespace nbdspec::fuzz {

// Shared by the layers of a stack.
struct WatchNotes {
  std::string breach = {};           // The first thing that was not allowed.
  std::uint64_t calls_to_fault = 0;  // Calls of any disk until one fails, this one counted; 0 for never.
  std::uint32_t fault_error = 0;     // What it fails with.
  bool is_fault_raised = false;
  std::uint64_t flush_count = 0;  // How often a disk was flushed.
};

// What the layer above has to keep to.
struct WatchRules {
  std::uint64_t block_bytes = 1;  // Only whole blocks, or the last.
  bool zeroes_are_not_read = false;
};

class WatchedLayer : public engine::Filter {
 public:
  // `notes` outlives the layer.
  WatchedLayer(std::unique_ptr<engine::Layer> next, const LayerSpec& spec, WatchRules rules, WatchNotes& notes)
      : Filter(std::move(next)), spec_(spec), rules_(rules), notes_(notes) {}

  [[nodiscard]] bool CanWrite() const override { return !spec_.is_read_only && next().CanWrite(); }
  engine::LayerResult Extents(const engine::ExtentsRequest& request, engine::ExtentMap& extents) override;
  engine::LayerResult Read(std::uint64_t offset, std::span<std::uint8_t> into) override;
  engine::LayerResult Write(std::uint64_t offset, engine::ByteView data) override;
  engine::LayerResult WriteZeroes(engine::ByteRange range, bool may_punch_hole) override;
  engine::LayerResult Trim(engine::ByteRange range) override;
  engine::LayerResult Flush() override;

 private:
  engine::LayerResult Breach(const std::string& what);
  engine::LayerResult Fault();
  // Whether the call is allowed, and does not fail.
  engine::LayerResult Enter(const char* call, engine::ByteRange range);
  engine::LayerResult EnterChange(const char* call, engine::ByteRange range);
  [[nodiscard]] bool HasZeroes(engine::ByteRange range);

  const LayerSpec& spec_;
  WatchRules rules_;
  WatchNotes& notes_;
};

// The stack of `spec`, each layer of it watched. `spec` and `notes` outlive it.
std::unique_ptr<engine::Layer> MakeWatchedStack(const LayerSpec& spec, const MakeLayer& make, WatchNotes& notes,
                                                WatchRules rules = {});

}  // namespace nbdspec::fuzz
