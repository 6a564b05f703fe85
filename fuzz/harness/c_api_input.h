// SPDX-License-Identifier: BSD-3-Clause
// Bytes as calls of the C functions of engine/extents/extents_c.h, right and wrong ones. Every input is some calls.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/bytes.h"

namespace nbdspec::fuzz {

enum class CCall : std::uint8_t { kNewOfType, kNew, kNewCompat, kFree, kAdd, kClear, kForeach };

// What a callback of foreach does to the map that is walked, before it returns.
enum class InCallback : std::uint8_t { kNothing, kAdd, kClear, kForeach };

struct CStep {
  CCall call = CCall::kAdd;
  unsigned slot = 0;         // Which of two maps.
  bool is_null = false;      // NULL is passed for it.
  std::uint64_t offset = 0;  // kNew...: the size.
  std::uint64_t length = 0;
  std::uint32_t type = 0;  // kForeach: the flags.
  int allocations = -1;    // How many succeed, as for AllowAllocations.
  bool is_told = true;     // Whether an error callback is set.

  // kForeach only.
  bool no_callback = false;
  std::uint8_t stop_at = 0;  // Which call of the callback fails, from 1; 0 for none.
  int callback_result = -1;  // What it then returns, and leaves in errno.
  int callback_error = 0;
  InCallback in_callback = InCallback::kNothing;
};

inline constexpr unsigned kCSlotCount = 2;

std::vector<CStep> ReadCApiInput(engine::ByteView input);

// "map 1: add 3 +4 type 2, 1 allocation"
std::string Print(const CStep& step);

}  // namespace nbdspec::fuzz
