// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/storage/mounted_storage.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "conformance/peer/socket/socket_transport.h"
#include "engine/base/or_return.h"
#include "engine/base/quoted.h"

namespace nbdspec::conformance {

namespace {

using engine::Trouble;

constexpr std::chrono::milliseconds kReadinessPause{2};
constexpr std::size_t kShownWordsBytesMax = 400;

Trouble CannotMount(const std::string& why) { return {"The server's disk cannot be a file of nbdspec's: " + why}; }

std::expected<void, Trouble> ExpectFuse() {
  if (!FindExecutable("nbdfuse")) {
    return std::unexpected(CannotMount("nbdfuse is not installed. Run ./setup --tests, or apt install libnbd-bin."));
  }
  if (const FileDescriptor fuse(open("/dev/fuse", O_RDWR | O_CLOEXEC)); !fuse.is_open()) {
    return std::unexpected(CannotMount("/dev/fuse cannot be opened: " + std::generic_category().message(errno) +
                                       ". On a machine, run modprobe fuse; a container needs the options --device " +
                                       "/dev/fuse --cap-add SYS_ADMIN."));
  }
  return {};
}

bool HasBytes(const std::string& path) {
  struct stat status = {};
  return stat(path.c_str(), &status) == 0 && status.st_size > 0;
}

}  // namespace

std::expected<MountedStorage, Trouble> MountedStorage::Mount(StorageServer& storage,
                                                             Transport::Clock::time_point deadline) {
  NBDSPEC_RETURN_IF_ERROR(ExpectFuse());
  NBDSPEC_ASSIGN_OR_RETURN(directory, PrivateDirectory::Choose());
  const std::string path = directory.mount_path();
  const std::string socket_path = directory.socket_path();
  const std::string pid_path = directory.PathOf("pid");
  NBDSPEC_ASSIGN_OR_RETURN(
      nbdfuse, ServerProcess::Start(
                   {"nbdfuse", "-C", "1", "-P", pid_path, path, "--unix", socket_path}, std::move(directory),
                   [&] -> std::expected<void, Trouble> {
                     if (!FileDescriptor(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)).is_open()) {
                       return std::unexpected(CannotMount("there is no place for it: " + engine::Quoted(path, 200) +
                                                          ": " + std::generic_category().message(errno) + "."));
                     }
                     return storage.Listen(socket_path);
                   }));
  while (!HasBytes(pid_path)) {  // It writes its number there once the file is mounted.
    const auto ended = nbdfuse->EndedBy(Transport::Clock::now() + kReadinessPause);
    if (ended || Transport::Clock::now() >= deadline || AreWaitsForServersOver()) {
      return std::unexpected(CannotMount(
          "nbdfuse " + ended.value_or("is not ready in the time it was given") +
          ". Its last words: " + engine::Quoted(nbdfuse->LastWords(kShownWordsBytesMax), kShownWordsBytesMax) +
          ". Users other than root need fusermount3: apt install fuse3; a container needs --cap-add SYS_ADMIN."));
    }
  }
  return MountedStorage(path, std::move(nbdfuse));
}

}  // namespace nbdspec::conformance
