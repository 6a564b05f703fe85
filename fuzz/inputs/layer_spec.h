// SPDX-License-Identifier: BSD-3-Clause
// LayerSpec: which layers are stacked how, as a value: the stack under test and the naive one are made of it.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/extents/extent.h"
#include "engine/layers/layer.h"

namespace nbdspec::fuzz {

enum class LayerKind : std::uint8_t {
  kDisk,
  kConcat,
  kWindow,
  kTruncate,
  kCopyOnWrite,
  kNoExtents,
  kBlockSize,
  kSparseRead,
};

struct LayerSpec {
  LayerKind kind = LayerKind::kDisk;
  std::vector<LayerSpec> below = {};  // One for a filter, any number for a concatenation.

  // A disk. Its extents are added in this order to a map of type `initial`.
  std::uint64_t disk_bytes = 0;
  engine::ExtentType initial = engine::ExtentType::kData;
  std::vector<engine::Extent> extents = {};
  bool is_read_only = false;

  std::uint64_t offset = 0;                          // A window.
  std::optional<std::uint64_t> size = std::nullopt;  // A window or truncation: nothing is cut unless given.
  std::uint64_t round_up_to = 1;
  std::uint64_t round_down_to = 1;
  std::uint64_t block_bytes = 1;  // Copy on write, block size.

  // Liberties that every layer may take in its answers about extents.
  bool lies_outside = false;   // What it says outside of the range asked for is wrong.
  bool takes_req_one = false;  // With REQ_ONE it says nothing after the first extent.
};

// "block_size 8 (window 3 +20 (disk 40))"
std::string Print(const LayerSpec& spec);

// Makes the layer of `spec` over those `below`. Canary tests plant bugs with another one than MakeRightLayer.
using MakeLayer = std::function<std::unique_ptr<engine::Layer>(const LayerSpec& spec,
                                                               std::vector<std::unique_ptr<engine::Layer>> below)>;
std::unique_ptr<engine::Layer> MakeRightLayer(const LayerSpec& spec, std::vector<std::unique_ptr<engine::Layer>> below);

}  // namespace nbdspec::fuzz
