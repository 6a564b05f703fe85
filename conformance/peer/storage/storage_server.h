// SPDX-License-Identifier: BSD-3-Clause
// StorageServer: one VolatileDisk on a unix socket, for a server under test to store its bytes on.
//
// Our end is the reference server, and right; the server under test is its client, and hostile as every peer: what
// breaks the protocol ends that connection alone.

#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>

#include "conformance/peer/socket/socket_server.h"
#include "engine/base/error.h"
#include "engine/server/server.h"
#include "engine/storage/volatile_disk.h"

namespace nbdspec::conformance {

class StorageServer {
 public:
  static constexpr std::size_t kConnectionsMax = SocketServerOptions{}.connections_max;  // More are closed at once.

  // A disk of `size` zero bytes, which nobody can reach yet.
  // Errors: no more descriptors.
  static std::expected<std::unique_ptr<StorageServer>, engine::Trouble> Make(std::uint64_t size);

  StorageServer(const StorageServer&) = delete;
  StorageServer& operator=(const StorageServer&) = delete;

  // As SocketServer's: it serves the disk as the default export. Once Silence returns, no request changes the disk
  // until Listen.
  std::expected<void, engine::Trouble> Listen(const std::string& path) { return server_->Listen(path); }
  void Silence() { server_->Silence(); }

  // Calls `use` with the disk while no request is under way.
  void With(const std::function<void(engine::VolatileDisk& disk)>& use);

 private:
  explicit StorageServer(std::uint64_t size);

  engine::VolatileDisk* disk_;
  engine::Export export_;
  std::unique_ptr<SocketServer> server_;  // Goes first: it uses the others.
};

}  // namespace nbdspec::conformance
