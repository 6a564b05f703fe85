// SPDX-License-Identifier: BSD-3-Clause
// Reads bytes as a stack of layers and what is asked of it. Every input is some stack.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/base/bytes.h"
#include "fuzz/inputs/layer_spec.h"

namespace nbdspec::fuzz {

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
