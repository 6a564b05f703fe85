// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/storage/storage_server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

#include "engine/base/or_return.h"
#include "engine/base/quoted.h"

namespace nbdspec::conformance {

namespace {

using engine::Trouble;

constexpr std::size_t kReadBytes = 256 << 10;
constexpr std::size_t kSentBytesMax = 4 << 20;  // To one connection before the others have their turn.
constexpr int kBacklog = 16;

}  // namespace

StorageServer::StorageServer(std::uint64_t size, FileDescriptor wake_up)
    : export_{.options = {.name = "", .description = "nbdspec's storage"}}, wake_up_(std::move(wake_up)) {
  auto disk = std::make_unique<engine::VolatileDisk>(size);
  disk_ = disk.get();
  export_.stack = std::move(disk);
}

std::expected<std::unique_ptr<StorageServer>, Trouble> StorageServer::Make(std::uint64_t size) {
  FileDescriptor wake_up(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_up.is_open()) {
    return std::unexpected(Trouble{"Cannot serve storage: " + std::generic_category().message(errno) +
                                   ". Free some descriptors or memory."});
  }
  // Not make_unique: the constructor is private.
  std::unique_ptr<StorageServer> server(new StorageServer(size, std::move(wake_up)));
  // Signals are for the threads that nbdspec has anyway.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  server->thread_ = std::thread(&StorageServer::Run, server.get());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return server;
}

StorageServer::~StorageServer() {
  Silence();
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  WakeUp();
  thread_.join();
}

std::expected<void, Trouble> StorageServer::Listen(const std::string& path) {
  Silence();
  NBDSPEC_ASSIGN_OR_RETURN(address, UnixSocketAddress(path));
  FileDescriptor listening(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!listening.is_open() ||
      bind(listening.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.length) != 0 ||
      listen(listening.get(), kBacklog) != 0) {
    return std::unexpected(Trouble{"Cannot serve storage at " + engine::Quoted(path, 200) + ": " +
                                   std::generic_category().message(errno) + "."});
  }
  {
    const std::lock_guard lock(mutex_);
    path_ = path;
    listening_ = std::move(listening);
  }
  WakeUp();
  return {};
}

void StorageServer::Silence() {
  {
    const std::lock_guard lock(mutex_);
    for (const auto& connection : connections_) {
      shutdown(connection->socket.get(), SHUT_RDWR);
      connection->ended = true;
    }
    if (listening_.is_open()) {
      shutdown(listening_.get(), SHUT_RDWR);  // What waits in its backlog is refused.
      unlink(path_.c_str());
      retired_.push_back(std::exchange(listening_, FileDescriptor()));
    }
  }
  WakeUp();
}

void StorageServer::With(const std::function<void(engine::VolatileDisk& disk)>& use) {
  const std::lock_guard lock(mutex_);
  use(*disk_);
}

void StorageServer::WakeUp() const {
  const std::uint64_t one = 1;
  // It fails only when the counter is full, and then the thread wakes up anyway.
  [[maybe_unused]] const ssize_t written = write(wake_up_.get(), &one, sizeof one);
}

void StorageServer::Run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    retired_.clear();
    std::erase_if(connections_, [](const auto& connection) { return connection->ended; });
    std::vector<pollfd> polled = {{.fd = wake_up_.get(), .events = POLLIN, .revents = 0},
                                  {.fd = listening_.get(), .events = POLLIN, .revents = 0}};  // None (-1): ignored.
    for (const auto& connection : connections_) {
      const bool sends = connection->sent_count < connection->output.size();
      polled.push_back(
          {.fd = connection->socket.get(), .events = static_cast<short>(sends ? POLLOUT : POLLIN), .revents = 0});
    }
    lock.unlock();
    poll(polled.data(), polled.size(), -1);
    lock.lock();
    std::uint64_t ignored;
    while (read(wake_up_.get(), &ignored, sizeof ignored) > 0) {
    }
    // Nobody else adds or removes connections, and an ended one is left alone.
    for (std::size_t i = 2; i < polled.size(); ++i) {
      if (polled[i].revents != 0) {
        HearAndAnswer(*connections_[i - 2]);
      }
    }
    if (polled[1].revents != 0 && listening_.is_open()) {
      Accept();
    }
  }
}

void StorageServer::Accept() {
  FileDescriptor socket(accept4(listening_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!socket.is_open() || connections_.size() >= kConnectionsMax) {
    return;
  }
  connections_.push_back(
      std::make_unique<Connection>(std::move(socket), engine::Server({}, std::vector<engine::Export*>{&export_})));
  SendOutput(*connections_.back());
}

// Hears at most once, so that others are not kept waiting.
void StorageServer::HearAndAnswer(Connection& connection) {
  SendOutput(connection);
  if (connection.ended || connection.sent_count < connection.output.size()) {
    return;
  }
  heard_.resize(kReadBytes);
  const ssize_t count = recv(connection.socket.get(), heard_.data(), heard_.size(), MSG_DONTWAIT);
  if (count > 0) {
    connection.server.Receive({heard_.data(), static_cast<std::size_t>(count)});
    SendOutput(connection);
  } else if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
    connection.ended = true;
  }
}

void StorageServer::SendOutput(Connection& connection) {
  std::size_t sent_now = 0;
  while (!connection.ended) {
    if (connection.sent_count == connection.output.size()) {
      connection.output = connection.server.TakeOutput();
      connection.sent_count = 0;
    }
    if (connection.output.empty()) {
      connection.ended = connection.server.closed();
      return;
    }
    if (sent_now >= kSentBytesMax) {
      return;
    }
    const engine::ByteView left = engine::ByteView(connection.output).subspan(connection.sent_count);
    const ssize_t sent = send(connection.socket.get(), left.data(), left.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) {
      connection.sent_count += static_cast<std::size_t>(sent);
      sent_now += static_cast<std::size_t>(sent);
    } else if (errno == EAGAIN) {
      return;
    } else if (errno != EINTR) {
      connection.ended = true;
    }
  }
}

}  // namespace nbdspec::conformance
