// SPDX-License-Identifier: BSD-3-Clause
// Owned file descriptors; unix and TCP sockets as Transports: non-blocking, each wait has a deadline, and a reset stays
// apart from a close.

#pragma once

#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "conformance/peer/target.h"
#include "engine/base/error.h"

namespace nbdspec::conformance {

// Owns an open descriptor, or none (-1).
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor();
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }

  [[nodiscard]] bool is_open() const { return fd_ >= 0; }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_ = -1;
};

// Waits until `fd` is ready for one of `events` (POLLIN, POLLOUT), has failed or has hung up.
// Returns what it is ready for, as poll does; 0 when `deadline` came first. A past deadline still looks once.
short PollUntil(int fd, short events, std::chrono::steady_clock::time_point deadline);

// From when `cancelled` is true, nobody waits any more for a server to come up, or to take a connection: the wait ends
// as if its time were over. For all of the process, as is the signal that sets it. `cancelled` outlives all waits.
void EndWaitsForServersWhen(const std::atomic<bool>& cancelled);
bool AreWaitsForServersOver();

// The longest path of a unix socket, without its final NUL.
inline constexpr std::size_t kUnixPathBytesMax = 107;

// What the peer says while we send is kept up to this; then it has to wait until we receive.
inline constexpr std::size_t kInboundBytesMax = std::size_t{64} << 20;

// Where a socket may connect to.
struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t length = 0;
};

// The unix socket at `path`; in the abstract namespace when it begins with NUL.
// Errors: empty, or longer than kUnixPathBytesMax.
std::expected<SocketAddress, engine::Trouble> UnixSocketAddress(std::string_view path);

// The addresses of `host`, a name or a number; at least one. Takes as long as the system's resolver does.
// Errors: the name has no address.
std::expected<std::vector<SocketAddress>, engine::Trouble> ResolveTcp(const std::string& host, std::uint16_t port);

// The port `port` of this machine for itself, 127.0.0.1; one that nobody uses now where it is 0, for a server to take
// before somebody else does. Errors: there is none.
std::expected<SocketAddress, engine::Trouble> LoopbackAddress(std::uint16_t port);

// A TCP address in numbers: "127.0.0.1 port 10809".
std::string DescribeTcp(const SocketAddress& address);

// Errors: the errno of what refused it, ETIMEDOUT when `deadline` came first.
std::expected<std::unique_ptr<Transport>, int> ConnectSocket(const SocketAddress& address,
                                                             Transport::Clock::time_point deadline);

// A Transport over a connected stream socket; makes it non-blocking.
std::unique_ptr<Transport> TransportOver(FileDescriptor socket);

}  // namespace nbdspec::conformance
