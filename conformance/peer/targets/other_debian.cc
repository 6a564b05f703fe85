// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/targets/other_debian.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>

namespace nbdspec::conformance {

namespace {

// The variable `name` of the environment; nothing when it is empty.
std::string Environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

// Where tools/other_debian has unpacked `suite`, if it has. Its words about the folder are the other half of this.
std::string FolderOf(std::string_view suite) {
  const std::string cache = Environment("XDG_CACHE_HOME");
  return (cache.empty() ? Environment("HOME") + "/.cache" : cache) + "/nbdspec/" + std::string(suite);
}

}  // namespace

NameAndSuite SplitAtSuite(std::string_view text) {
  const std::size_t at = text.find('@');
  if (at == std::string_view::npos) {
    return {.name = text, .suite = {}};
  }
  const std::string_view suite = text.substr(at + 1);
  const bool is_suite = !suite.empty() && std::ranges::all_of(suite, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
  return is_suite ? NameAndSuite{.name = text.substr(0, at), .suite = suite} : NameAndSuite{.name = text, .suite = {}};
}

std::string PathInSuite(std::string_view suite, std::string_view program) {
  return FolderOf(suite) + "/start/" + std::string(program);
}

std::string VersionInSuite(std::string_view suite, std::string_view package) {
  std::ifstream packages(FolderOf(suite) + "/packages");
  std::string version;
  for (std::string name; packages >> name >> version;) {
    if (name == package) {
      return version.substr(version.find(':') + 1);  // All of it without an epoch: npos + 1 is 0.
    }
  }
  return {};
}

}  // namespace nbdspec::conformance
