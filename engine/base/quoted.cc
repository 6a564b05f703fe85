// SPDX-License-Identifier: BSD-3-Clause
#include "engine/base/quoted.h"

namespace nbdspec::engine {

std::string Escaped(std::uint8_t byte) {
  switch (byte) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    default:
      break;
  }
  if (0x20 <= byte && byte < 0x7f) {
    return {static_cast<char>(byte)};
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  return {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 0xf]};
}

std::string Quoted(std::string_view text, std::size_t bytes_max) {
  std::string quoted = "\"";
  for (const char byte : text.substr(0, bytes_max)) {
    quoted += Escaped(static_cast<std::uint8_t>(byte));
  }
  return quoted + (text.size() > bytes_max ? "\"..." : "\"");
}

}  // namespace nbdspec::engine
