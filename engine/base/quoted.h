// SPDX-License-Identifier: BSD-3-Clause
// How a string that somebody else chose is shown to people.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace nbdspec::engine {

// `byte` as it stands in a double-quoted string: control, non-ASCII and quote bytes are escaped (\n, \x1b).
std::string Escaped(std::uint8_t byte);

// `text` in double quotes, each byte escaped as above, cut after `bytes_max`.
std::string Quoted(std::string_view text, std::size_t bytes_max = 80);

}  // namespace nbdspec::engine
