// SPDX-License-Identifier: BSD-3-Clause
// Peer: the server under test: how to reach it, what became of it. See target.h for how one is named.

#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <string>

#include "conformance/peer/transport.h"
#include "engine/base/error.h"

namespace nbdspec::conformance {

class Peer {
 public:
  // Stops what was started, with its whole process group, and removes its directory.
  virtual ~Peer() = default;

  // A new connection. Errors: a sentence that says what refused it.
  virtual std::expected<std::unique_ptr<Transport>, engine::Trouble> Connect(Transport::Clock::time_point deadline) = 0;

  // How the server ended, when nbdspec started it and it has ("exited with status 1", "killed by SIGSEGV").
  virtual std::optional<std::string> Ended() { return {}; }

  // Starts it again from fresh contents, when nbdspec started it. Errors: it cannot, or does not come up.
  virtual std::expected<void, engine::Trouble> Restart() = 0;

  // The last bytes the server wrote to standard error; empty when nbdspec did not start it.
  virtual std::string StandardError() { return {}; }
};

}  // namespace nbdspec::conformance
