// SPDX-License-Identifier: BSD-3-Clause
// Raw bytes: an owned sequence and a view of one.

#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace nbdspec::engine {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;

}  // namespace nbdspec::engine
