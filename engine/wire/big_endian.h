// SPDX-License-Identifier: BSD-3-Clause
// Integers in network order. Spec: general.byte-order.server, general.byte-order.client.

#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "engine/base/bytes.h"
#include "engine/base/check.h"

namespace nbdspec::engine {

// Appends `value` to `out`, most significant byte first.
template <typename Unsigned>
void PutBigEndian(std::type_identity_t<Unsigned> value, Bytes& out) {
  static_assert(std::is_unsigned_v<Unsigned>);
  for (std::size_t shift = sizeof(Unsigned) * 8; shift > 0; shift -= 8) {
    out.push_back(static_cast<std::uint8_t>(value >> (shift - 8)));
  }
}

// The integer at bytes[at, at + sizeof(Unsigned)), which must be inside.
template <typename Unsigned>
Unsigned GetBigEndian(ByteView bytes, std::size_t at = 0) {
  static_assert(std::is_unsigned_v<Unsigned>);
  NBDSPEC_CHECK(at <= bytes.size() && sizeof(Unsigned) <= bytes.size() - at);
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(Unsigned); ++i) {
    value = value << 8 | bytes[at + i];
  }
  return static_cast<Unsigned>(value);
}

}  // namespace nbdspec::engine
