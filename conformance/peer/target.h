// SPDX-License-Identifier: BSD-3-Clause
// Target: how a user names the server to check, and the peers made from it.

#pragma once

#include <chrono>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/peer/peer.h"
#include "engine/base/error.h"

namespace nbdspec::conformance {

// How the server should be set up. Only servers that nbdspec starts by name can follow it.
enum class Setup {
  kWritable,
  kReadOnly,
  kStrictBlockSize,  // Advertises a minimum block size above 1 and enforces it.
};

class Target {
 public:
  virtual ~Target() = default;

  // A peer of its own: a process for a server that nbdspec starts, the same server for a URI.
  // Errors: not installed, does not come up by `deadline`, dies at start (with its last words), setup not possible.
  virtual std::expected<std::unique_ptr<Peer>, engine::Trouble> Start(Setup setup,
                                                                      Transport::Clock::time_point deadline) = 0;

  // Whether Start can follow `setup`.
  [[nodiscard]] virtual bool CanSetUp(Setup setup) const = 0;

  // Whether each Start gives a server of its own: then several may be used at once, and it may be written to.
  [[nodiscard]] virtual bool IsOurs() const = 0;

  // For reports: "nbdkit 1.32.5 (memory)", "nbd+unix:///d?socket=/s".
  [[nodiscard]] virtual std::string Describe() const = 0;

  // What to write on a command line to name it again, quoted for a shell: "nbdkit", "--spawn 'srv {socket}'".
  [[nodiscard]] virtual std::string CommandLine() const = 0;

  // The export to enter; "" for the default one.
  [[nodiscard]] virtual std::string ExportName() const = 0;
};

// An NBD URI: nbd://host[:port]/[export], nbd+unix:///[export]?socket=PATH. (nbds: TLS, a later version.)
std::expected<std::unique_ptr<Target>, engine::Trouble> TargetFromUri(std::string_view uri);

// A command that starts a server, with {socket} (required; a unix socket to listen on) and {image} (an 8 MiB file
// to serve) replaced. It is split into words by shell quoting rules, and not given to a shell.
std::expected<std::unique_ptr<Target>, engine::Trouble> TargetFromSpawn(std::string_view command,
                                                                        std::string_view export_name);

// "nbdkit", "nbdkit:extents" (with the plugin of engine/nbdkit), "qemu-nbd" or "nbd-server", as Debian 12 installs it.
// ("reference" is in reference_target.h.)
std::expected<std::unique_ptr<Target>, engine::Trouble> TargetFromName(std::string_view name);

}  // namespace nbdspec::conformance
