// SPDX-License-Identifier: BSD-3-Clause
// Quoted: how a string that somebody else chose is shown to people.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace nbdspec::engine {

// `text` in double quotes with control, non-ASCII and quote bytes escaped (\n, \x1b), cut after `bytes_max`.
std::string Quoted(std::string_view text, std::size_t bytes_max = 80);

}  // namespace nbdspec::engine
