// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/process/private_directory.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "conformance/peer/socket/socket_transport.h"
#include "engine/base/quoted.h"

namespace nbdspec::conformance {

using engine::Trouble;

std::expected<PrivateDirectory, Trouble> PrivateDirectory::Make() {
  const char* const tmpdir = std::getenv("TMPDIR");
  std::error_code error;
  const std::filesystem::path parent =
      std::filesystem::absolute(tmpdir != nullptr && *tmpdir != '\0' ? tmpdir : "/tmp", error);
  std::string path = (parent / "nbdspec-XXXXXX").string();
  if (path.size() + std::string_view("/socket").size() > kUnixPathBytesMax) {
    return std::unexpected(Trouble{"The directory for temporary files, " + engine::Quoted(parent.string(), 200) +
                                   ", has a path too long for a unix socket in it: set TMPDIR to a shorter one, " +
                                   "such as /tmp."});
  }
  if (mkdtemp(path.data()) == nullptr) {
    return std::unexpected(Trouble{"Cannot make a directory in " + engine::Quoted(parent.string(), 200) + ": " +
                                   std::generic_category().message(errno) +
                                   ". Set TMPDIR to a directory you may write to."});
  }
  return PrivateDirectory(std::move(path));
}

PrivateDirectory::~PrivateDirectory() {
  if (!path_.empty()) {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
}

std::string PrivateDirectory::Release() { return std::exchange(path_, {}); }

}  // namespace nbdspec::conformance
