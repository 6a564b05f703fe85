// SPDX-License-Identifier: BSD-3-Clause
// Bytes as a stack of layers and what is asked of it. Every input is some stack.
//
// LayerSpec says which layers are stacked how, as a value: the stack under test and the naive one are made of it.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/base/bytes.h"
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

enum class StackCall : std::uint8_t {
  kRead,
  kExtents,
  kExtentsReqOne,
  kWrite,
  kWriteZeroes,
  kPunchHole,
  kTrim,
  kFlush
};

struct StackStep {
  StackCall call = StackCall::kRead;
  std::uint8_t offset = 0;  // Both are cut to the size of the stack when the step is run.
  std::uint8_t length = 0;
  std::uint8_t fill = 0;            // The first byte of a write, from which the others follow.
  std::uint8_t calls_to_fault = 0;  // As WatchNotes'.
  std::uint32_t fault_error = 0;
};

struct LayerStackInput {
  LayerSpec top;  // Up to six layers deep.
  std::vector<StackStep> steps;
};

LayerStackInput ReadLayerStackInput(engine::ByteView input);

// "write 3 +4"
std::string Print(const StackStep& step, engine::ByteRange range);

}  // namespace nbdspec::fuzz
