// SPDX-License-Identifier: BSD-3-Clause
// A server's process, from start to its complete removal. See guardian.h for how nothing is left behind.

#pragma once

#include <sys/types.h>

#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/peer/process/guardian.h"
#include "conformance/peer/process/private_directory.h"
#include "conformance/peer/socket/socket_transport.h"
#include "conformance/peer/transport.h"
#include "engine/base/error.h"

namespace nbdspec::conformance {

// The last bytes kept of what a server wrote.
inline constexpr std::size_t kLastWordsBytesMax = 4096;

// The file that `name` runs: itself when it has a slash, else the first in PATH. Nothing when there is none.
std::optional<std::string> FindExecutable(const std::string& name);

class ServerProcess {
 public:
  // Starts `words` (words[0] is looked up in PATH), with /dev/null as standard input. `directory` becomes the
  // process's own: it is removed when the process is gone. That it does not run may be known only later, from Ended.
  // Errors: no such command, or no more processes.
  static std::expected<std::unique_ptr<ServerProcess>, engine::Trouble> Start(const std::vector<std::string>& words,
                                                                              PrivateDirectory directory);

  // Stops it, with everything it started, and removes its directory. Takes up to some seconds.
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // Waits for it to end of itself, until `deadline`: how it did ("exited with status 1"), or nothing.
  // A daemon has ended when one of its processes was killed, or when all of them are gone.
  std::optional<std::string> EndedBy(Transport::Clock::time_point deadline);

  // The last bytes of its standard output and error, as they are.
  [[nodiscard]] std::string LastWords(std::size_t bytes_max = kLastWordsBytesMax) const;

 private:
  ServerProcess(FileDescriptor channel, FileDescriptor log) : channel_(std::move(channel)), log_(std::move(log)) {}

  FileDescriptor channel_;
  FileDescriptor log_;
  pid_t guardian_ = -1;
  std::optional<std::string> ended_;
};

}  // namespace nbdspec::conformance
