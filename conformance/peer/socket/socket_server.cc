// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/socket/socket_server.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/or_return.h"
#include "engine/base/quoted.h"

namespace nbdspec::conformance {

namespace {

using engine::Trouble;

constexpr std::size_t kReadBytes = 256 << 10;
constexpr std::size_t kSentBytesMax = 4 << 20;  // To one connection before the others have their turn.
constexpr int kBacklog = 16;
constexpr std::chrono::milliseconds kFinishPause{2};

}  // namespace

SocketServer::SocketServer(Serve serve, const SocketServerOptions& options, FileDescriptor wake_up)
    : serve_(std::move(serve)), options_(options), wake_up_(std::move(wake_up)) {}

std::expected<std::unique_ptr<SocketServer>, Trouble> SocketServer::Make(Serve serve,
                                                                         const SocketServerOptions& options) {
  FileDescriptor wake_up(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_up.is_open()) {
    return std::unexpected(Trouble{"Cannot serve a client: " + std::generic_category().message(errno) +
                                   ". Free some descriptors or memory."});
  }
  // Not make_unique: the constructor is private.
  std::unique_ptr<SocketServer> server(new SocketServer(std::move(serve), options, std::move(wake_up)));
  // Signals are for the threads that nbdspec has anyway.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  bool has_thread = true;
  try {
    server->thread_ = std::thread(&SocketServer::Run, server.get());
  } catch (const std::system_error&) {
    has_thread = false;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!has_thread) {
    return std::unexpected(
        Trouble{"Cannot serve a client: this machine has no room for another thread. Free some "
                "processes, or raise ulimit -u."});
  }
  return server;
}

SocketServer::~SocketServer() {
  Silence();
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  WakeUp();
  if (thread_.joinable()) {
    thread_.join();
  }
}

std::expected<void, Trouble> SocketServer::Listen(const std::string& path) {
  Silence();
  NBDSPEC_ASSIGN_OR_RETURN(address, UnixSocketAddress(path));
  NBDSPEC_RETURN_IF_ERROR(ListenAt(address, engine::Quoted(path, 200)));
  const std::lock_guard lock(mutex_);
  path_ = path;
  return {};
}

std::expected<std::uint16_t, Trouble> SocketServer::ListenOnTcp(std::uint16_t port) {
  Silence();
  SocketAddress address{.length = sizeof(sockaddr_in)};
  auto* tcp = reinterpret_cast<sockaddr_in*>(&address.storage);
  tcp->sin_family = AF_INET;
  tcp->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  tcp->sin_port = htons(port);  // 0: the kernel chooses, and nobody else gets it.
  NBDSPEC_RETURN_IF_ERROR(ListenAt(address, "127.0.0.1"));
  const std::lock_guard lock(mutex_);
  NBDSPEC_CHECK(getsockname(listening_.get(), reinterpret_cast<sockaddr*>(&address.storage), &address.length) == 0);
  return ntohs(tcp->sin_port);
}

std::expected<void, Trouble> SocketServer::ListenAt(const SocketAddress& address, const std::string& name) {
  FileDescriptor listening(socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int is_reused = 1;  // Connections of before may linger.
  if (!listening.is_open() ||
      setsockopt(listening.get(), SOL_SOCKET, SO_REUSEADDR, &is_reused, sizeof is_reused) != 0 ||
      bind(listening.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.length) != 0 ||
      listen(listening.get(), kBacklog) != 0) {
    return std::unexpected(Trouble{"Cannot listen at " + name + ": " + std::generic_category().message(errno) + "."});
  }
  {
    const std::lock_guard lock(mutex_);
    path_.clear();
    listening_ = std::move(listening);
  }
  WakeUp();
  return {};
}

void SocketServer::StopListening() {
  if (listening_.is_open()) {
    shutdown(listening_.get(), SHUT_RDWR);  // What waits in its backlog is refused.
    if (!path_.empty()) {
      unlink(path_.c_str());
    }
    retired_.push_back(std::exchange(listening_, FileDescriptor()));
  }
}

void SocketServer::Silence() {
  {
    const std::lock_guard lock(mutex_);
    for (const auto& connection : connections_) {
      shutdown(connection->socket.get(), SHUT_RDWR);
      End(*connection, Ending::kNone);
    }
    StopListening();
  }
  WakeUp();
}

void SocketServer::Finish(Clock::time_point deadline) {
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      const bool none_waits = !listening_.is_open() || PollUntil(listening_.get(), POLLIN, Clock::time_point()) == 0;
      const bool all_ended = std::ranges::all_of(connections_, [](const auto& each) { return each->ended; });
      if ((none_waits && all_ended) || Clock::now() >= deadline) {
        break;
      }
    }
    std::this_thread::sleep_for(kFinishPause);
  }
  Silence();
}

void SocketServer::With(const std::function<void()>& use) {
  const std::lock_guard lock(mutex_);
  use();
}

void SocketServer::WakeUp() const {
  const std::uint64_t one = 1;
  // It fails only when the counter is full, and then the thread wakes up anyway.
  [[maybe_unused]] const ssize_t written = write(wake_up_.get(), &one, sizeof one);
}

void SocketServer::Run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    retired_.clear();
    std::erase_if(connections_, [](const auto& connection) { return connection->ended; });
    std::vector<pollfd> polled = {{.fd = wake_up_.get(), .events = POLLIN, .revents = 0},
                                  {.fd = listening_.get(), .events = POLLIN, .revents = 0}};  // None (-1): ignored.
    auto next_due = Clock::time_point::max();
    for (const auto& connection : connections_) {
      const bool is_due = connection->has_output() && connection->due <= Clock::now();
      const bool hears = !connection->has_output() || HearsWhileItSpeaks();
      polled.push_back({.fd = connection->socket.get(),
                        .events = static_cast<short>((is_due ? POLLOUT : 0) | (hears ? POLLIN : 0)),
                        .revents = 0});
      next_due = connection->has_output() && !is_due ? std::min(next_due, connection->due) : next_due;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next_due - Clock::now());
    lock.unlock();
    poll(polled.data(), polled.size(),
         next_due == Clock::time_point::max() ? -1 : static_cast<int>(std::max<std::int64_t>(0, left.count())));
    lock.lock();
    std::uint64_t ignored;
    while (read(wake_up_.get(), &ignored, sizeof ignored) > 0) {
    }
    // Nobody else adds or removes connections, and an ended one is left alone.
    for (std::size_t i = 2; i < polled.size(); ++i) {
      Attend(*connections_[i - 2], polled[i].revents);
    }
    if (polled[1].revents != 0 && listening_.is_open()) {
      Accept();
    }
  }
}

void SocketServer::Accept() {
  FileDescriptor socket(accept4(listening_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!socket.is_open() || connections_.size() >= options_.connections_max) {
    return;
  }
  connections_.push_back(std::make_unique<Connection>(std::move(socket), serve_()));
  SendOutput(*connections_.back());
}

void SocketServer::Attend(Connection& connection, short ready) {
  if (!connection.ended && (ready & (POLLIN | POLLHUP | POLLERR)) != 0 &&
      (HearsWhileItSpeaks() || !connection.has_output())) {
    Hear(connection);
  }
  if (!connection.ended && (ready != 0 || connection.has_output())) {
    SendOutput(connection);
  }
  if (!connection.ended && (ready & (POLLHUP | POLLERR)) != 0 && connection.has_output()) {
    End(connection, Ending::kReset);  // Nobody will take what is left.
  }
}

// Hears at most once, so that others are not kept waiting.
void SocketServer::Hear(Connection& connection) {
  heard_.resize(kReadBytes);
  const ssize_t count = recv(connection.socket.get(), heard_.data(), heard_.size(), MSG_DONTWAIT);
  if (count > 0) {
    connection.served->Receive({heard_.data(), static_cast<std::size_t>(count)});
  } else if (count == 0) {
    End(connection, Ending::kClosed);
  } else if (errno != EAGAIN && errno != EINTR) {
    End(connection, Ending::kReset);
  }
}

bool SocketServer::TakeOutput(Connection& connection) {
  connection.output = connection.served->TakeOutput();
  connection.sent_count = 0;
  connection.due = Clock::now() + options_.pace.wait;
  return !connection.output.empty();
}

void SocketServer::SendOutput(Connection& connection) {
  std::size_t sent_now = 0;
  while (!connection.ended && !connection.is_shut && sent_now < kSentBytesMax) {
    if (!connection.has_output() && !TakeOutput(connection)) {
      connection.served->AllSent();
      if (connection.served->closed()) {
        shutdown(connection.socket.get(), SHUT_WR);
        connection.is_shut = true;
        if (!options_.hears_to_the_end) {
          End(connection, Ending::kNone);
        }
      }
      return;
    }
    if (connection.due > Clock::now()) {
      return;
    }
    engine::ByteView left = engine::ByteView(connection.output).subspan(connection.sent_count);
    if (options_.pace.piece_bytes_max > 0) {
      left = left.first(std::min(left.size(), options_.pace.piece_bytes_max));
    }
    const ssize_t sent = send(connection.socket.get(), left.data(), left.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) {
      connection.sent_count += static_cast<std::size_t>(sent);
      sent_now += static_cast<std::size_t>(sent);
    } else if (errno == EAGAIN) {
      return;
    } else if (errno != EINTR) {
      End(connection, Ending::kReset);
    }
  }
}

void SocketServer::End(Connection& connection, Ending how) {
  if (!std::exchange(connection.ended, true)) {
    connection.served->Ended(how);
  }
}

}  // namespace nbdspec::conformance
