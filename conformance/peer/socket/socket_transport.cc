// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/socket/socket_transport.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#ifdef NBDSPEC_STATIC
#include <nss.h>
#endif
#include <poll.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "conformance/peer/held_bytes.h"
#include "engine/base/check.h"
#include "engine/base/quoted.h"
#include "engine/wire/byte_queue.h"

namespace nbdspec::conformance {

namespace {

using engine::Bytes;
using engine::ByteView;
using engine::Trouble;

constexpr std::size_t kReadBytes = 64 << 10;
constexpr std::chrono::milliseconds kBacklogPause{2};
constexpr std::chrono::milliseconds kSlice{100};  // How long to wait before looking whether it is cancelled.

std::atomic<const std::atomic<bool>*> waits_cancelled = nullptr;

static_assert(kUnixPathBytesMax == sizeof(sockaddr_un::sun_path) - 1);

class SocketTransport final : public Transport {
 public:
  explicit SocketTransport(FileDescriptor socket) : socket_(std::move(socket)), is_tcp_(IsTcp(socket_.get())) {}

  Ending SendSome(ByteView& bytes, Clock::time_point deadline) override {
    given_bytes_ = 0;
    while (!bytes.empty()) {
      const ssize_t sent = send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent >= 0) {
        bytes = bytes.subspan(static_cast<std::size_t>(sent));
        continue;
      }
      if (errno == EINTR) {
        continue;
      }
      if (errno != EAGAIN) {
        return WhySendFailed(errno);
      }
      const short wanted = MayRead() ? (POLLOUT | POLLIN) : POLLOUT;
      const short ready = PollUntil(socket_.get(), wanted, deadline);
      if (ready == 0) {
        return Ending::kTimedOut;
      }
      if (MayRead() && (ready & POLLIN) != 0) {
        if (!MayHoldMore(deadline)) {
          return Ending::kTimedOut;
        }
        ReadSome();
        // A peer that talks without end and never listens must not keep us here.
        if ((ready & POLLOUT) == 0 && Clock::now() >= deadline) {
          return Ending::kTimedOut;
        }
      }
    }
    return Ending::kNone;
  }

  Ending Receive(Bytes& out, std::size_t bytes_max, Clock::time_point deadline) override {
    NBDSPEC_CHECK(bytes_max > 0);
    while (inbound_.size() == 0) {
      if (end_ != Ending::kNone) {
        return end_;
      }
      if (!MayHoldMore(deadline)) {
        return Ending::kTimedOut;
      }
      if (ReadSome() || end_ != Ending::kNone) {
        continue;
      }
      AcknowledgeAtOnce();
      if (PollUntil(socket_.get(), POLLIN, deadline) == 0) {
        return Ending::kTimedOut;
      }
    }
    const ByteView given = inbound_.view().first(std::min(bytes_max, inbound_.size()));
    out.insert(out.end(), given.begin(), given.end());
    inbound_.Drop(given.size());
    given_bytes_ += given.size();
    return Ending::kNone;
  }

  void CloseSending() override { shutdown(socket_.get(), SHUT_WR); }

 private:
  [[nodiscard]] bool MayRead() const { return end_ == Ending::kNone && inbound_.size() < kInboundBytesMax; }

  // Whether there is room for more of what the peer says, which is waited for. Then it has at least as much time as it
  // waited for us: nobody listened to it meanwhile.
  bool MayHoldMore(Clock::time_point& deadline) {
    const std::uint64_t bytes = given_bytes_ + inbound_.size() + kReadBytes;
    if (held_.Hold(bytes, Clock::time_point::min())) {
      return true;
    }
    const auto begin = Clock::now();
    while (!held_.Hold(bytes, Clock::now() + kSlice)) {
      if (AreWaitsForServersOver()) {
        return false;
      }
    }
    const auto now = Clock::now();
    deadline = std::max(deadline, now + (now - begin));
    return true;
  }

  // A server that sends a message in two writes, and waits for the acknowledgement of the first (Nagle's algorithm),
  // would wait 40 ms for each. The kernel forgets this whenever we send.
  void AcknowledgeAtOnce() const {
    const int on = 1;
    if (is_tcp_) {
      setsockopt(socket_.get(), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
    }
  }

  static bool IsTcp(int fd) {
    int domain = 0;
    socklen_t length = sizeof(domain);
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain != AF_UNIX;
  }

  // Reads once without waiting, into the inbound buffer. Returns whether anything came.
  bool ReadSome() {
    std::array<std::uint8_t, kReadBytes> buffer;
    const ssize_t got = recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got > 0) {
      inbound_.Append(ByteView(buffer).first(static_cast<std::size_t>(got)));
      return true;
    }
    if (got == 0) {
      end_ = was_reset_ ? Ending::kReset : Ending::kClosed;
    } else if (errno != EINTR && (was_reset_ || errno != EAGAIN)) {
      end_ = Ending::kReset;
    }
    return false;
  }

  Ending WhySendFailed(int error) {
    was_reset_ = error == ECONNRESET;
    // What the peer said before it left is worth more than how it left, and tells a close from a broken pipe.
    while (MayRead() && ReadSome()) {
    }
    return end_ == Ending::kClosed ? Ending::kClosed : Ending::kReset;
  }

  FileDescriptor socket_;
  bool is_tcp_;
  engine::ByteQueue inbound_;      // Received and not yet given.
  std::uint64_t given_bytes_ = 0;  // Since we sent last: whoever asked may hold all of them.
  HeldBytes held_;                 // The most that these two were together.
  bool was_reset_ = false;         // Told to a send: the kernel tells it only once, and then reads see a plain end.
  Ending end_ = Ending::kNone;     // How the peer's bytes ended, after those in inbound_.
};

// Returns the errno of what refused it, 0 for success.
int ConnectUntil(int fd, const SocketAddress& address, Transport::Clock::time_point deadline) {
  while (connect(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.length) != 0) {
    if (errno == EINPROGRESS || errno == EINTR) {
      while (PollUntil(fd, POLLOUT, std::min(deadline, Transport::Clock::now() + kSlice)) == 0) {
        if (Transport::Clock::now() >= deadline || AreWaitsForServersOver()) {
          return ETIMEDOUT;
        }
      }
      int error = 0;
      socklen_t length = sizeof(error);
      return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
    }
    if (errno != EAGAIN) {
      return errno;
    }
    // A unix socket whose backlog is full: there is nothing to poll for.
    if (Transport::Clock::now() >= deadline || AreWaitsForServersOver()) {
      return ETIMEDOUT;
    }
    std::this_thread::sleep_for(kBacklogPause);
  }
  return 0;
}

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (is_open()) {
    close(fd_);
  }
}

void EndWaitsForServersWhen(const std::atomic<bool>& cancelled) { waits_cancelled = &cancelled; }

bool AreWaitsForServersOver() {
  const std::atomic<bool>* const cancelled = waits_cancelled;
  return cancelled != nullptr && cancelled->load();
}

short PollUntil(int fd, short events, Transport::Clock::time_point deadline) {
  for (;;) {
    // Rounded up, so that a wait never ends just before its deadline; capped, since poll takes an int.
    const auto now = Transport::Clock::now();
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(std::max(deadline, now) - now);
    const int wait_ms = static_cast<int>(std::min<std::chrono::milliseconds::rep>(wait.count(), 60'000));
    pollfd polled = {.fd = fd, .events = events, .revents = 0};
    const int ready_count = poll(&polled, 1, wait_ms);
    if (ready_count > 0) {
      return polled.revents;
    }
    if (ready_count < 0 && errno != EINTR) {
      return 0;  // No memory for the wait: a time-out is all that can be said.
    }
    if (wait_ms == 0) {
      return 0;
    }
  }
}

std::expected<SocketAddress, Trouble> UnixSocketAddress(std::string_view path) {
  if (path.empty() || path.size() > kUnixPathBytesMax) {
    return std::unexpected(Trouble{"The unix socket path " + engine::Quoted(path) + " has " +
                                   std::to_string(path.size()) + " bytes; use one with 1 to " +
                                   std::to_string(kUnixPathBytesMax) + "."});
  }
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path.data(), path.size());
  SocketAddress address;
  // An abstract name is exactly as long as said; a path also counts its NUL.
  const bool is_abstract = path.front() == '\0';
  address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (is_abstract ? 0 : 1));
  std::memcpy(&address.storage, &name, sizeof(name));
  return address;
}

std::expected<std::vector<SocketAddress>, Trouble> ResolveTcp(const std::string& host, std::uint16_t port) {
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
#ifdef NBDSPEC_STATIC
  // What else this machine resolves names with are libraries for the C library that it has, not for ours.
  __nss_configure_lookup("hosts", "files dns");
#endif
  const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) {
    return std::unexpected(Trouble{"The host " + engine::Quoted(host) + " has no address: " + gai_strerror(error) +
                                   ". Check its spelling, or give its number."});
  }
  std::vector<SocketAddress> addresses;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    SocketAddress& address = addresses.emplace_back();
    address.length = each->ai_addrlen;
    std::memcpy(&address.storage, each->ai_addr, each->ai_addrlen);
  }
  freeaddrinfo(found);
  return addresses;
}

std::expected<SocketAddress, Trouble> LoopbackAddress(std::uint16_t port) {
  SocketAddress address = {.length = sizeof(sockaddr_in)};
  auto* const any = reinterpret_cast<sockaddr*>(&address.storage);
  const sockaddr_in wanted = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
  std::memcpy(&address.storage, &wanted, sizeof(wanted));
  if (port != 0) {
    return address;
  }
  const FileDescriptor probe(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!probe.is_open() || bind(probe.get(), any, address.length) != 0 ||
      getsockname(probe.get(), any, &address.length) != 0) {
    return std::unexpected(Trouble{"Cannot find a free TCP port: " + std::string(std::strerror(errno)) + "."});
  }
  return address;
}

std::string DescribeTcp(const SocketAddress& address) {
  std::array<char, NI_MAXHOST> host = {};
  std::array<char, NI_MAXSERV> port = {};
  const int error = getnameinfo(reinterpret_cast<const sockaddr*>(&address.storage), address.length, host.data(),
                                host.size(), port.data(), port.size(), NI_NUMERICHOST | NI_NUMERICSERV);
  return error == 0 ? std::string(host.data()) + " port " + port.data() : "an address without numbers";
}

std::expected<std::unique_ptr<Transport>, int> ConnectSocket(const SocketAddress& address,
                                                             Transport::Clock::time_point deadline) {
  const int family = address.storage.ss_family;
  FileDescriptor fd(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.is_open()) {
    return std::unexpected(errno);
  }
  if (const int error = ConnectUntil(fd.get(), address, deadline); error != 0) {
    return std::unexpected(error);
  }
  if (family != AF_UNIX) {
    // Requests are small and answers are waited for: Nagle's algorithm would delay each of them.
    const int on = 1;
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  return TransportOver(std::move(fd));
}

std::unique_ptr<Transport> TransportOver(FileDescriptor socket) {
  NBDSPEC_CHECK(socket.is_open());
  const int flags = fcntl(socket.get(), F_GETFL);
  fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK);
  return std::make_unique<SocketTransport>(std::move(socket));
}

}  // namespace nbdspec::conformance
