// SPDX-License-Identifier: BSD-3-Clause
// MountedStorage: the disk of a StorageServer as an ordinary file, for servers that know only files.
//
// nbdfuse makes it: a program of libnbd that needs /dev/fuse. What is written to the file is on the disk when the write
// returns, and fdatasync arrives there as a flush. The kernel keeps what was read, so a power cut takes a new mount.

#pragma once

#include <expected>
#include <memory>
#include <string>

#include "conformance/peer/process/process.h"
#include "conformance/peer/storage/storage_server.h"
#include "conformance/peer/target.h"
#include "engine/base/error.h"

namespace nbdspec::conformance {

class MountedStorage {
 public:
  // Makes `storage` listen, and mounts it.
  // Errors: nbdfuse is not installed, there is no /dev/fuse, it may not mount, or does not by `deadline`.
  static std::expected<MountedStorage, engine::Trouble> Mount(StorageServer& storage,
                                                              Transport::Clock::time_point deadline);

  // Absolute. When this ends, or nbdspec does, it is unmounted; whoever has it open gets errors.
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  MountedStorage(std::string path, std::unique_ptr<ServerProcess> nbdfuse)
      : path_(std::move(path)), nbdfuse_(std::move(nbdfuse)) {}

  std::string path_;
  std::unique_ptr<ServerProcess> nbdfuse_;
};

}  // namespace nbdspec::conformance
