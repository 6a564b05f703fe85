// SPDX-License-Identifier: BSD-3-Clause
// about.json of a finding's directory (store.h), as a value: what the finding is, and what its other files must be.

#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <string>
#include <string_view>

#include "engine/base/error.h"
#include "fuzz/findings/finding.h"

namespace nbdspec::fuzz {

struct FileFacts {
  std::uint64_t bytes = 0;
  std::uint64_t fnv1a = 0;
  bool operator==(const FileFacts&) const = default;
};

struct About {
  Finding finding = {};  // Without what stands in the other files.
  std::string replay = {};
  std::map<std::string, FileFacts> files = {};  // By name.
  bool operator==(const About&) const = default;
};

// `text` may be any bytes. Members that are missing or of another type are empty; unknown ones are ignored.
// Errors: a sentence without a directory, "about.json lists no files".
std::expected<About, engine::Trouble> ParseAbout(std::string_view text);

// What is no valid UTF-8 is replaced: JSON holds no other.
std::string Print(const About& about);

}  // namespace nbdspec::fuzz
