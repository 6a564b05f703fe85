// SPDX-License-Identifier: BSD-3-Clause
// RecordedConnections: all connections of one run of a client, each written down. For a SocketServer's thread.

#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <vector>

#include "conformance/peer/clients/client_process.h"
#include "conformance/peer/clients/recorded_connection.h"
#include "conformance/peer/socket/socket_server.h"
#include "engine/base/bytes.h"
#include "engine/conduct/record.h"

namespace nbdspec::conformance {

// For what a client sent before it ended, to be read.
inline constexpr std::chrono::milliseconds kDepartureTime{1000};

class RecordedConnections {
 public:
  static constexpr std::size_t kAtOnceMax = 64;

  // `serving` outlives it.
  explicit RecordedConnections(const Serving& serving) : serving_(serving) {}

  // The server owns what it serves; what was recorded is ours when that goes.
  std::unique_ptr<ServedConnection> Next();

  [[nodiscard]] std::size_t count() const { return run_.records.size(); }
  [[nodiscard]] std::size_t open_count() const { return open_; }

  // What was recorded. Once all have ended.
  void GiveTo(ClientRun& run);

 private:
  class Noted;

  const Serving& serving_;
  ClientRun run_;  // What is of connections in it.
  std::size_t open_ = 0;
};

}  // namespace nbdspec::conformance
