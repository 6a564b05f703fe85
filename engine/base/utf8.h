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
CodePoint FirstCodePoint(std::string_view text);

}  // namespace nbdspec::engine
