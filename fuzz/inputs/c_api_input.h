// SPDX-License-Identifier: BSD-3-Clause
// Bytes as calls of the C functions of engine/extents/extents_c.h, right and wrong ones. Every input is some calls.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/bytes.h"

namespace nbdspec::fuzz {

enum class CCall : std::uint8_t { kNewOfType, kNew, kNewCompat, kFree, kAdd, kClear, kForeach, kFill };

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

// kFill adds so many extents of one byte, far from the offsets that other calls use, with all the memory there is. A
// map has room for as many without any; what comes next needs some.
inline constexpr unsigned kFillCount = 31;
constexpr std::uint64_t FillOffset(unsigned index) { return 200 + 3 * std::uint64_t{index}; }

std::vector<CStep> ReadCApiInput(engine::ByteView input);

// "map 1: add 3 +4 type 2, 1 allocation"
std::string Print(const CStep& step);

}  // namespace nbdspec::fuzz
