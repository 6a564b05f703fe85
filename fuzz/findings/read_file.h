// SPDX-License-Identifier: BSD-3-Clause
// A file that a user names: what it holds, and whose folder of the corpus it is in.

#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <string>

#include "engine/base/error.h"

namespace nbdspec::fuzz {

// All of the file at `path`; a pipe is read to its end. Streams will not do: their iterators throw when a read fails,
// as of a directory. Errors: the file system's; it holds more than `bytes_max`.
std::expected<std::string, engine::Trouble> ReadFile(const std::string& path, std::uint64_t bytes_max);

// The target whose corpus `path` is in, by its last folders: "regressions/NAME/FILE", "seeds/NAME/FILE". Empty: none.
std::string CorpusFolderOf(const std::filesystem::path& path);

}  // namespace nbdspec::fuzz
