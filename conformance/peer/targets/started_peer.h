// SPDX-License-Identifier: BSD-3-Clause
// A server that nbdspec starts itself, as a target and as a peer: a directory, an image and a process of its own.

#pragma once

#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "conformance/peer/process/process.h"
#include "conformance/peer/target.h"
#include "engine/base/error.h"

namespace nbdspec::conformance {

// How to start a server.
struct ServerRecipe {
  std::string name;  // For sentences: "nbdkit".

  // The words of the command that serves `image` on directory.socket_path(); may write more files there.
  std::function<std::expected<std::vector<std::string>, engine::Trouble>(Setup setup, const PrivateDirectory& directory,
                                                                         const std::string& image)>
      command;

  // Whether it is up only once it has greeted a client. Without, a socket that takes a connection is enough: an
  // unknown server may be wrong in what it says, and that is for the checks to find. (Either way one connection is
  // used up; it is closed as soon as the greeting came.)
  bool must_greet = true;
};

// Starts a server from fresh contents and waits until it is up.
// Errors: no such command, it ended at once (with its last words), or is not up by `deadline`.
PeerOrTrouble StartPeer(ServerRecipe recipe, Setup setup, Transport::Clock::time_point deadline);

// A target whose peers are started so.
std::unique_ptr<Target> StartedTarget(const TargetFacts& facts, ServerRecipe recipe);

}  // namespace nbdspec::conformance
