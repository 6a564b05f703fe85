// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/socket/socket_transport.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

namespace nbdspec::conformance {
namespace {

using engine::Bytes;
using std::chrono::milliseconds;

Transport::Clock::time_point Soon() { return Transport::Clock::now() + std::chrono::seconds(30); }

// A transport and the raw socket at its other end.
struct Pair {
  std::unique_ptr<Transport> ours;
  FileDescriptor theirs;
};

Pair UnixPair() {
  int ends[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  return {.ours = TransportOver(FileDescriptor(ends[0])), .theirs = FileDescriptor(ends[1])};
}

Pair TcpPair() {
  const FileDescriptor listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  SocketAddress address = ResolveTcp("127.0.0.1", 0).value().front();
  EXPECT_EQ(bind(listener.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.length), 0);
  EXPECT_EQ(listen(listener.get(), 1), 0);
  EXPECT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address.storage), &address.length), 0);
  auto ours = ConnectSocket(address, Soon());
  EXPECT_TRUE(ours.has_value());
  return {.ours = *std::move(ours), .theirs = FileDescriptor(accept(listener.get(), nullptr, nullptr))};
}

// Closes with RST instead of FIN.
void Reset(FileDescriptor& tcp_socket) {
  const linger at_once = {.l_onoff = 1, .l_linger = 0};
  EXPECT_EQ(setsockopt(tcp_socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
  tcp_socket = FileDescriptor();
}

void Say(const FileDescriptor& fd, std::string_view text) {
  EXPECT_EQ(send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
}

// What comes until the end, and the end.
std::pair<std::string, Ending> Rest(Transport& transport) {
  Bytes bytes;
  Ending ending = Ending::kNone;
  while (ending == Ending::kNone) {
    ending = transport.Receive(bytes, 4096, Soon());
  }
  return {std::string(bytes.begin(), bytes.end()), ending};
}

// Sends until the peer's going is noticed.
Ending SendUntilItEnds(Transport& transport) {
  Ending ending = Ending::kNone;
  while (ending == Ending::kNone) {
    ending = transport.Send(Bytes(64, 1), Soon());
  }
  return ending;
}

TEST(SocketTransport, GivesAtMostWhatWasAsked) {
  auto [ours, theirs] = UnixPair();
  Say(theirs, "abcdef");
  Bytes bytes = {'-'};
  EXPECT_EQ(ours->Receive(bytes, 2, Soon()), Ending::kNone);
  EXPECT_EQ(std::string(bytes.begin(), bytes.end()), "-ab");
  EXPECT_EQ(ours->Receive(bytes, 100, Soon()), Ending::kNone);
  EXPECT_EQ(std::string(bytes.begin(), bytes.end()), "-abcdef");
}

TEST(SocketTransport, GivesWhatIsThereEvenAfterTheDeadline) {
  auto [ours, theirs] = UnixPair();
  Bytes bytes;
  EXPECT_EQ(ours->Receive(bytes, 1, Transport::Clock::time_point::min()), Ending::kTimedOut);
  Say(theirs, "a");
  EXPECT_EQ(ours->Receive(bytes, 1, Transport::Clock::time_point::min()), Ending::kNone);
  EXPECT_EQ(bytes.size(), 1U);
  EXPECT_EQ(ours->Receive(bytes, 1, Transport::Clock::now() + milliseconds(1)), Ending::kTimedOut);
}

TEST(SocketTransport, WaitsWithoutADeadline) {
  auto [ours, theirs] = UnixPair();
  std::thread peer([&fd = theirs] {
    usleep(1000);
    Say(fd, "a");
  });
  Bytes bytes;
  EXPECT_EQ(ours->Receive(bytes, 1, Transport::Clock::time_point::max()), Ending::kNone);
  peer.join();
}

TEST(SocketTransport, TellsACloseAfterAllBytes) {
  for (auto make_pair : {UnixPair, TcpPair}) {
    auto [ours, theirs] = make_pair();
    Say(theirs, "last");
    theirs = FileDescriptor();
    EXPECT_EQ(Rest(*ours), std::pair(std::string("last"), Ending::kClosed));
    EXPECT_EQ(Rest(*ours), std::pair(std::string(), Ending::kClosed));
  }
}

TEST(SocketTransport, TellsAResetAfterAllBytes) {
  auto [ours, theirs] = TcpPair();
  Say(theirs, "last");
  Reset(theirs);
  EXPECT_EQ(Rest(*ours), std::pair(std::string("last"), Ending::kReset));
  EXPECT_EQ(Rest(*ours), std::pair(std::string(), Ending::kReset));
}

TEST(SocketTransport, TellsAUnixPeerThatLeavesBytesUnread) {
  // That is how a unix socket says RST.
  auto [ours, theirs] = UnixPair();
  EXPECT_EQ(ours->Send(Bytes(1), Soon()), Ending::kNone);
  Say(theirs, "last");
  theirs = FileDescriptor();
  EXPECT_EQ(Rest(*ours), std::pair(std::string("last"), Ending::kReset));
}

TEST(SocketTransport, RemembersAResetThatASendMet) {
  auto [ours, theirs] = TcpPair();
  Say(theirs, "last");
  Reset(theirs);
  EXPECT_EQ(SendUntilItEnds(*ours), Ending::kReset);
  EXPECT_EQ(Rest(*ours), std::pair(std::string("last"), Ending::kReset));
}

TEST(SocketTransport, RemembersAUnixResetThatASendMet) {
  auto [ours, theirs] = UnixPair();
  EXPECT_EQ(ours->Send(Bytes(1), Soon()), Ending::kNone);
  theirs = FileDescriptor();
  EXPECT_EQ(SendUntilItEnds(*ours), Ending::kReset);
  EXPECT_EQ(Rest(*ours), std::pair(std::string(), Ending::kReset));
}

TEST(SocketTransport, TellsACloseThatASendMet) {
  // No SIGPIPE either: it would end this test.
  for (auto make_pair : {UnixPair, TcpPair}) {
    auto [ours, theirs] = make_pair();
    Say(theirs, "last");
    theirs = FileDescriptor();
    EXPECT_EQ(SendUntilItEnds(*ours), Ending::kClosed);
    EXPECT_EQ(Rest(*ours), std::pair(std::string("last"), Ending::kClosed));
  }
}

TEST(SocketTransport, SendsOnToAPeerThatOnlyStoppedTalking) {
  for (auto make_pair : {UnixPair, TcpPair}) {
    auto [ours, theirs] = make_pair();
    ASSERT_EQ(shutdown(theirs.get(), SHUT_WR), 0);
    EXPECT_EQ(Rest(*ours).second, Ending::kClosed);
    EXPECT_EQ(ours->Send(Bytes(3), Soon()), Ending::kNone);
    char buffer[8];
    EXPECT_EQ(recv(theirs.get(), buffer, sizeof(buffer), MSG_WAITALL | MSG_DONTWAIT), 3);
  }
}

TEST(SocketTransport, ClosesOnlyItsSendingSide) {
  for (auto make_pair : {UnixPair, TcpPair}) {
    auto [ours, theirs] = make_pair();
    ours->CloseSending();
    char byte = 0;
    EXPECT_EQ(recv(theirs.get(), &byte, 1, 0), 0);
    EXPECT_EQ(ours->Send(Bytes(1), Soon()), Ending::kReset);
    Say(theirs, "answer");
    theirs = FileDescriptor();
    EXPECT_EQ(Rest(*ours), std::pair(std::string("answer"), Ending::kClosed));
  }
}

TEST(SocketTransport, DoesNotDeadlockWhenBothTalkFirst) {
  for (auto make_pair : {UnixPair, TcpPair}) {
    auto [ours, theirs] = make_pair();
    constexpr std::size_t kBytes = 32 << 20;
    std::size_t heard_by_peer = 0;
    std::thread peer([&fd = theirs, &heard_by_peer] {
      Say(fd, std::string(kBytes, 'x'));
      char buffer[65536];
      for (ssize_t got = 0; (got = read(fd.get(), buffer, sizeof(buffer))) > 0;) {
        heard_by_peer += static_cast<std::size_t>(got);
      }
    });
    EXPECT_EQ(ours->Send(Bytes(kBytes), Soon()), Ending::kNone);
    Bytes bytes;
    while (bytes.size() < kBytes && ours->Receive(bytes, 100'000, Soon()) == Ending::kNone) {
    }
    EXPECT_EQ(bytes.size(), kBytes);
    ours->CloseSending();
    peer.join();
    EXPECT_EQ(heard_by_peer, kBytes);
  }
}

TEST(SocketTransport, KeepsABoundedAmountOfWhatAPeerSaysMeanwhile) {
  auto [ours, theirs] = UnixPair();
  std::atomic<std::size_t> said = 0;
  std::thread peer([&fd = theirs, &said] {
    const std::string chunk(1 << 20, 'x');
    for (ssize_t sent = 0; sent >= 0; sent = send(fd.get(), chunk.data(), chunk.size(), MSG_NOSIGNAL)) {
      said += static_cast<std::size_t>(sent);
    }
  });
  const auto patience = Soon();
  bool is_full = false;
  do {  // Once more when it is full: nothing comes on top.
    is_full = said >= kInboundBytesMax;
    EXPECT_EQ(ours->Send(Bytes(16 << 20), Transport::Clock::now() + milliseconds(200)), Ending::kTimedOut);
  } while (!is_full && Transport::Clock::now() < patience);
  // The thread ends at its next send, and what was kept can be counted.
  shutdown(theirs.get(), SHUT_RDWR);
  peer.join();
  const auto [bytes, ending] = Rest(*ours);
  // What lies in the kernel's buffers comes on top of it: well under a MiB.
  EXPECT_LT(bytes.size(), kInboundBytesMax + (1 << 20));
  EXPECT_GE(bytes.size(), kInboundBytesMax);
}

TEST(SocketTransport, SendTimesOutAtAPeerThatDoesNotListen) {
  auto [ours, theirs] = UnixPair();
  EXPECT_EQ(ours->Send(Bytes(16 << 20), Transport::Clock::now() + milliseconds(20)), Ending::kTimedOut);
  EXPECT_EQ(ours->Send({}, Transport::Clock::time_point::min()), Ending::kNone);
}

TEST(ConnectSocket, SaysWhatRefused) {
  const auto missing = ConnectSocket(UnixSocketAddress("/nonexistent/s").value(), Soon());
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error(), ENOENT);
}

TEST(UnixSocketAddress, TakesPathsThatFit) {
  EXPECT_TRUE(UnixSocketAddress(std::string(kUnixPathBytesMax, 'x')).has_value());
  EXPECT_FALSE(UnixSocketAddress(std::string(kUnixPathBytesMax + 1, 'x')).has_value());
  EXPECT_FALSE(UnixSocketAddress("").has_value());
}

}  // namespace
}  // namespace nbdspec::conformance
