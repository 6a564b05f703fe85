// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/coverage/edge_map.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <system_error>

namespace nbdspec::fuzz {

namespace {

constexpr const char* kVariable = "NBDSPEC_COVERAGE";

}  // namespace

std::expected<std::unique_ptr<EdgeMap>, engine::Trouble> EdgeMap::Make() {
  const int fd = ::memfd_create("nbdspec-coverage", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  std::unique_ptr<EdgeMap> map(new EdgeMap(fd));
  if (fd < 0 || ::ftruncate(fd, kEdgesMax) != 0 ||
      ::fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return std::unexpected(engine::Trouble{"There is no memory to share with the server for --coverage: " +
                                           std::generic_category().message(errno) + ". Leave it out."});
  }
  // It has no name in any directory: a run that is killed leaves nothing.
  const std::string path = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd);
  ::setenv(kVariable, path.c_str(), /*overwrite=*/1);
  return map;
}

EdgeMap::~EdgeMap() {
  ::unsetenv(kVariable);
  if (fd_ >= 0) {
    ::close(fd_);
  }
}

void EdgeMap::Clear() {
  static const std::vector<std::uint8_t> kNone(kEdgesMax);
  // Where it fails, what ran before counts once more, which is nothing new.
  [[maybe_unused]] const ssize_t written = ::pwrite(fd_, kNone.data(), kNone.size(), 0);
}

std::vector<std::uint32_t> EdgeMap::Edges() const {
  std::vector<std::uint8_t> marks(kEdgesMax);
  const ssize_t length = ::pread(fd_, marks.data(), marks.size(), 0);
  const auto is_marked = [](std::uint8_t mark) { return mark != 0; };
  std::vector<std::uint32_t> edges;
  const auto end = marks.begin() + std::max<ssize_t>(length, 0);
  for (auto at = std::find_if(marks.begin(), end, is_marked); at != end; at = std::find_if(at + 1, end, is_marked)) {
    edges.push_back(static_cast<std::uint32_t>(at - marks.begin()));
  }
  return edges;
}

}  // namespace nbdspec::fuzz
