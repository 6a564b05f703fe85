// SPDX-License-Identifier: BSD-3-Clause
// StorageServer: one VolatileDisk on a unix socket, for a server under test to store its bytes on.
//
// Our end is the reference server, and right; the server under test is its client, and hostile as every peer: what
// breaks the protocol ends that connection alone. A thread of its own serves all connections.

#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "conformance/peer/socket/socket_transport.h"
#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "engine/server/server.h"
#include "engine/storage/volatile_disk.h"

namespace nbdspec::conformance {

class StorageServer {
 public:
  static constexpr std::size_t kConnectionsMax = 16;  // More are closed at once.

  // A disk of `size` zero bytes, which nobody can reach yet.
  // Errors: no more descriptors.
  static std::expected<std::unique_ptr<StorageServer>, engine::Trouble> Make(std::uint64_t size);

  // Ends all connections and removes the socket.
  ~StorageServer();
  StorageServer(const StorageServer&) = delete;
  StorageServer& operator=(const StorageServer&) = delete;

  // Serves the disk as the default export on a new unix socket at `path`, after Silence.
  // Errors: the path is too long, or the system's.
  std::expected<void, engine::Trouble> Listen(const std::string& path);

  // Ends all connections and takes no more; once it returns, no request changes the disk until Listen.
  void Silence();

  // Calls `use` with the disk while no request is under way.
  void With(const std::function<void(engine::VolatileDisk& disk)>& use);

 private:
  struct Connection {
    FileDescriptor socket;
    engine::Server server;
    engine::Bytes output = {};  // Is sent before anything more is heard, which bounds it to one answer.
    std::size_t sent_count = 0;
    bool ended = false;
  };

  StorageServer(std::uint64_t size, FileDescriptor wake_up);

  void Run();
  void Accept();
  void HearAndAnswer(Connection& connection);
  static void SendOutput(Connection& connection);
  void WakeUp() const;

  std::mutex mutex_;  // Guards all below but `wake_up_` and `thread_`.
  engine::VolatileDisk* disk_;
  engine::Export export_;
  std::string path_;          // Of `listening_`.
  FileDescriptor listening_;  // Non-blocking, as all that are polled.
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<FileDescriptor> retired_;  // The thread may poll them; it closes them.
  engine::Bytes heard_;                  // What one recv brought.
  bool stopping_ = false;
  FileDescriptor wake_up_;  // An eventfd.
  std::thread thread_;
};

}  // namespace nbdspec::conformance
