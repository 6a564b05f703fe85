// SPDX-License-Identifier: BSD-3-Clause
// UTF-8, one code point at a time.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace nbdspec::engine {

struct CodePoint {
  std::uint32_t value = 0;
  std::size_t length = 0;  // In bytes; 0 when there is no valid code point.
};

// The code point at the front of `text`, which is not empty. Overlong forms, surrogates and values past 0x10ffff are
// not valid.
inline CodePoint FirstCodePoint(std::string_view text) {
  const auto byte = [&](std::size_t index) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(text[index]));
  };
  const std::uint32_t lead = byte(0);
  if (lead < 0x80) {
    return {.value = lead, .length = 1};
  }
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) {
    return {};
  }
  std::uint32_t code_point = lead & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) {
      return {};
    }
    code_point = (code_point << 6) | (byte(i) & 0x3f);
  }
  constexpr std::uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};  // By length: shorter forms exist below.
  const bool is_surrogate = 0xd800 <= code_point && code_point <= 0xdfff;
  if (code_point < kSmallest[length] || is_surrogate || code_point > 0x10ffff) {
    return {};
  }
  return {.value = code_point, .length = length};
}

}  // namespace nbdspec::engine
