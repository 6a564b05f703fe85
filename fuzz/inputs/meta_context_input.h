// SPDX-License-Identifier: BSD-3-Clause
// Bytes as option haggling about metadata contexts with the reference server, and queries afterwards. Every input is
// some haggling.

#pragma once

#include <cstdint>
#include <string_view>

#include "engine/base/bytes.h"
#include "fuzz/inputs/server_session_input.h"

namespace nbdspec::fuzz {

// Exports: "", "a" and "b" have both contexts, "bare" has none. Each is of four blocks, hole and zero, data, hole and
// zero, data: so no status of base:allocation is that of x-nbdspec:block-index.
inline constexpr std::uint32_t kMetaBlockBytes = 1 << 16;
inline constexpr std::uint32_t kMetaBlockCount = 4;
inline constexpr std::string_view kMetaExports[] = {"", "a", "b"};
inline constexpr std::string_view kBareExport = "bare";

// What the client sends: options, then one to four requests, which the server does not read where haggling ended the
// connection. Only the last option ends the haggling, by transmission or disconnection: a GO that must succeed, an
// EXPORT_NAME, or an ABORT.
SessionInput ReadMetaContextInput(engine::ByteView input);

}  // namespace nbdspec::fuzz
