// SPDX-License-Identifier: BSD-3-Clause
// SocketServer: our end of many connections, on a unix socket or a port of this machine, for whoever serves them as
// bytes in and bytes out. A thread of its own serves them all, and never waits for one.

#pragma once

#include <chrono>
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
#include "conformance/peer/target.h"
#include "engine/base/bytes.h"
#include "engine/base/error.h"

namespace nbdspec::conformance {

// Serves one connection. Called by the server's thread alone, under its lock.
class ServedConnection {
 public:
  virtual ~ServedConnection() = default;

  // Takes bytes from the client, any number.
  virtual void Receive(engine::ByteView bytes) = 0;
  // Takes the bytes to send; called until it returns nothing.
  virtual engine::Bytes TakeOutput() = 0;
  // Whether the connection is to be closed, once TakeOutput returns nothing.
  [[nodiscard]] virtual bool closed() const = 0;

  // All that TakeOutput gave has been sent.
  virtual void AllSent() {}
  // The connection has ended: by `how`, or kNone where this end closed it, or the server stopped.
  virtual void Ended(Ending /*how*/) {}
};

// How fast a server speaks. The defaults are as fast as it can.
struct Pace {
  std::chrono::milliseconds wait{0};  // Before it says something.
  std::size_t piece_bytes_max = 0;    // It speaks in pieces of so many bytes, each sent by itself; 0: whole.
  bool operator==(const Pace&) const = default;
};

struct SocketServerOptions {
  std::size_t connections_max = 16;  // More are closed at once.
  Pace pace = {};
  // Whether it goes on reading, to nobody's use but of Receive, when it has closed its end.
  bool hears_to_the_end = false;
};

class SocketServer {
 public:
  using Serve = std::function<std::unique_ptr<ServedConnection>()>;

  // Nobody can reach it yet. `serve` makes what serves each connection. Errors: no more descriptors.
  static std::expected<std::unique_ptr<SocketServer>, engine::Trouble> Make(Serve serve,
                                                                            const SocketServerOptions& options = {});

  // Ends all connections and removes the socket.
  ~SocketServer();
  SocketServer(const SocketServer&) = delete;
  SocketServer& operator=(const SocketServer&) = delete;

  // Listens on a new unix socket at `path`, after Silence. Errors: the path is too long, or the system's.
  std::expected<void, engine::Trouble> Listen(const std::string& path);
  // The same on `port` of 127.0.0.1; 0: one that nobody uses. Returns the port.
  std::expected<std::uint16_t, engine::Trouble> ListenOnTcp(std::uint16_t port = 0);

  // Ends all connections and takes no more; once it returns, nothing is received until it listens again.
  void Silence();

  // Takes no more connections, and waits until those there are have ended, at most until `deadline`; then Silence.
  void Finish(Transport::Clock::time_point deadline);

  // Calls `use` while no connection is served.
  void With(const std::function<void()>& use);

 private:
  using Clock = Transport::Clock;

  struct Connection {
    FileDescriptor socket;
    std::unique_ptr<ServedConnection> served;
    engine::Bytes output = {};  // Is sent before anything more is heard, which bounds it to one answer.
    std::size_t sent_count = 0;
    Clock::time_point due = {};  // When the next piece of it may be sent.
    bool is_shut = false;        // This end is.
    bool ended = false;

    [[nodiscard]] bool has_output() const { return sent_count < output.size(); }
  };

  SocketServer(Serve serve, const SocketServerOptions& options, FileDescriptor wake_up);

  std::expected<void, engine::Trouble> ListenAt(const SocketAddress& address, const std::string& name);
  void Run();
  void Accept();
  void Attend(Connection& connection, short ready);
  void Hear(Connection& connection);
  void SendOutput(Connection& connection);
  // Takes what there is to say; false when that is nothing.
  bool TakeOutput(Connection& connection);
  static void End(Connection& connection, Ending how);
  void StopListening();
  [[nodiscard]] bool HearsWhileItSpeaks() const { return options_.pace.wait.count() > 0; }
  void WakeUp() const;

  std::mutex mutex_;  // Guards all below but `wake_up_` and `thread_`.
  Serve serve_;
  SocketServerOptions options_;
  std::string path_;          // Of `listening_`, where it is a unix socket.
  FileDescriptor listening_;  // Non-blocking, as all that are polled.
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<FileDescriptor> retired_;  // The thread may poll them; it closes them.
  engine::Bytes heard_;                  // What one recv brought.
  bool stopping_ = false;
  FileDescriptor wake_up_;  // An eventfd.
  std::thread thread_;
};

}  // namespace nbdspec::conformance
