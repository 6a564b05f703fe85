// SPDX-License-Identifier: BSD-3-Clause
// Reads a file that a user names. Streams will not do: their iterators throw when a read fails, as of a directory.

#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "engine/base/error.h"

namespace nbdspec::fuzz {

// All of the file at `path`; a pipe is read to its end.
// Errors: the file system's; it holds more than `bytes_max`.
std::expected<std::string, engine::Trouble> ReadFile(const std::string& path, std::uint64_t bytes_max);

}  // namespace nbdspec::fuzz
