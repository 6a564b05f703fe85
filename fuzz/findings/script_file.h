// SPDX-License-Identifier: BSD-3-Clause
// A script that somebody else may have written, and that is to be sent to a server: the bytes of its WRITEs are made,
// and kept while they are judged.

#pragma once

#include <cstdint>
#include <expected>
#include <string_view>

#include "engine/base/error.h"
#include "engine/script/script.h"

namespace nbdspec::fuzz {

// More than stock servers take; and with all of `nbdspec fuzz --steps 10000` below it.
inline constexpr std::uint64_t kWriteBytesMax = std::uint64_t{64} << 20;
inline constexpr std::uint64_t kWritesBytesMax = std::uint64_t{512} << 20;  // Of a script, all together.

// Errors: those of ParseScript; a WRITE, or all of them, are longer than the above: which step it is.
std::expected<engine::Script, engine::Trouble> ParseScriptToSend(std::string_view text);

}  // namespace nbdspec::fuzz
