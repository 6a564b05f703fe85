// SPDX-License-Identifier: BSD-3-Clause
// Export: what the reference server serves: a stack of layers, or a disk alone, and what is said about it.

#pragma once

#include <memory>
#include <string>

#include "engine/layers/disk.h"
#include "engine/layers/layer.h"
#include "engine/wire/payloads.h"

namespace nbdspec::engine {

// What one export offers. The defaults offer everything the reference server knows.
struct ExportOptions {
  std::string name;
  std::string description = {};
  bool read_only = false;
  bool flush = true;
  bool fua = true;
  bool trim = true;
  bool write_zeroes = true;
  bool fast_zero = true;
  bool cache = true;
  bool df = true;
  bool multi_conn = true;
  bool base_allocation = true;
  InfoBlockSize block_size = {};
};

// Shared by the connections that entered it.
struct Export {
  ExportOptions options;
  Disk disk = Disk(0);                     // Served unless there is a stack.
  std::unique_ptr<Layer> stack = nullptr;  // Served in place of the disk.

  [[nodiscard]] Layer& layer() { return stack != nullptr ? *stack : disk; }
  [[nodiscard]] const Layer& layer() const { return stack != nullptr ? *stack : static_cast<const Layer&>(disk); }
  [[nodiscard]] bool read_only() const { return options.read_only || !layer().CanWrite(); }
};

}  // namespace nbdspec::engine
