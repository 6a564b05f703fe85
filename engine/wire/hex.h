// SPDX-License-Identifier: BSD-3-Clause
// Numbers in hexadecimal, for the texts of this folder.

#pragma once

#include <charconv>
#include <cstdint>
#include <string>

namespace nbdspec::engine {

// `value` as "0x1b".
inline std::string HexText(std::uint64_t value) {
  char digits[16];
  return "0x" + std::string(digits, std::to_chars(digits, digits + sizeof digits, value, 16).ptr);
}

}  // namespace nbdspec::engine
