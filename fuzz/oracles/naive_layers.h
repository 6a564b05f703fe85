// SPDX-License-Identifier: BSD-3-Clause
// What a stack of layers must read as and say, one cell per byte.
//
// Naive on purpose: each layer makes all cells of its own from all cells below, byte by byte, on every question. It
// shares no code with engine/layers. A change goes down the stack as the header of each layer says.
//
// And a real stack, each layer of which is watched: what the one above may not do is noted. The watch also takes the
// liberties that LayerSpec allows each layer, and lets a disk fail on demand.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/base/bytes.h"
#include "engine/extents/extent.h"
#include "engine/layers/layer.h"
#include "fuzz/inputs/layer_stack_input.h"

namespace nbdspec::fuzz {

struct NaiveCell {
  engine::ExtentType type = engine::ExtentType::kData;
  std::uint8_t byte = 0;
};

// A write, or a way to zero.
struct NaiveChange {
  StackCall call = StackCall::kWrite;  // Or kWriteZeroes, kPunchHole, kTrim.
  engine::ByteRange range = {};
  engine::Bytes data = {};  // Of a write.

  // What it makes of the byte at `offset`, which is in its range.
  [[nodiscard]] NaiveCell CellAt(std::uint64_t offset) const;
  // What it does to `part` of its range, at another place.
  [[nodiscard]] NaiveChange Part(engine::ByteRange part, std::uint64_t moved_to) const;
};

// A layer and all below it.
class NaiveLayer {
 public:
  // `spec` outlives it.
  explicit NaiveLayer(const LayerSpec& spec);

  [[nodiscard]] std::vector<NaiveCell> Cells() const;
  [[nodiscard]] bool CanExtents() const;
  [[nodiscard]] bool CanWrite() const;

  // Returns whether there was room: NBD_ENOSPC if not.
  bool Change(const NaiveChange& change);

 private:
  bool ChangeParts(const NaiveChange& change);
  bool ChangeHeld(const NaiveChange& change);
  bool ChangeBlocks(const NaiveChange& change);
  bool WriteBlocks(const NaiveChange& change);
  void CopyBlocks(const NaiveChange& change);

  // Of block size and copy on write: the block that holds `offset`, the last of which may be short.
  [[nodiscard]] engine::ByteRange BlockOf(std::uint64_t offset) const;

  const LayerSpec& spec_;
  std::vector<NaiveLayer> below_;
  std::uint64_t below_bytes_ = 0;
  std::vector<std::optional<NaiveCell>> own_;  // All cells of a disk; of copy on write those that were written.
};

// --- What the layers of a real stack may not do ---

// Shared by the layers of a stack.
struct WatchNotes {
  std::string breach = {};           // The first thing that was not allowed.
  std::uint64_t calls_to_fault = 0;  // Calls of any disk until one fails, this one counted; 0 for never.
  std::uint32_t fault_error = 0;     // What it fails with.
  bool is_fault_raised = false;
  std::uint64_t flush_count = 0;  // How often a disk was flushed.
};

// The stack of `spec`, each layer of it watched. `spec` and `notes` outlive it.
std::unique_ptr<engine::Layer> MakeWatchedStack(const LayerSpec& spec, const MakeLayer& make, WatchNotes& notes);

}  // namespace nbdspec::fuzz
