// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <optional>
#include <string>

#include "conformance/peer/process/process.h"
#include "conformance/peer/socket/socket_transport.h"
#include "conformance/peer/target.h"

namespace nbdspec::conformance {
namespace {

Transport::Clock::time_point Soon() { return Transport::Clock::now() + std::chrono::seconds(30); }

// A TCP socket on 127.0.0.1 that is bound, and perhaps listens.
class LocalPort {
 public:
  explicit LocalPort(bool listens) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    EXPECT_EQ(bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), length), 0);
    EXPECT_EQ(getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
    port_ = ntohs(address.sin_port);
    if (listens) {
      EXPECT_EQ(listen(fd_.get(), 4), 0);
    }
  }
  [[nodiscard]] std::string port() const { return std::to_string(port_); }
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  FileDescriptor fd_;
  std::uint16_t port_ = 0;
};

std::unique_ptr<Peer> PeerAt(const std::string& uri) {
  return TargetFromUri(uri).value()->Start(Setup::kWritable, Soon()).value();
}

TEST(UriTarget, ReachesAServerOverTcp) {
  const LocalPort port(/*listens=*/true);
  // A name may have several addresses, of which not all are listened on.
  for (const std::string host : {"127.0.0.1", "localhost", "[::ffff:127.0.0.1]"}) {
    const auto transport = PeerAt("nbd://" + host + ":" + port.port())->Connect(Soon());
    ASSERT_TRUE(transport.has_value()) << transport.error().sentence;
    const FileDescriptor accepted(accept(port.fd(), nullptr, nullptr));
    ASSERT_EQ(send(accepted.get(), "hello", 5, 0), 5);
    engine::Bytes bytes;
    EXPECT_EQ((*transport)->Receive(bytes, 5, Soon()), Ending::kNone);
    EXPECT_EQ(std::string(bytes.begin(), bytes.end()), "hello");
  }
}

TEST(UriTarget, ReachesAServerOverUnixSockets) {
  const auto directory = PrivateDirectory::Make();
  ASSERT_TRUE(directory.has_value());
  using namespace std::string_literals;
  const struct {
    std::string path;
    std::string text;
  } kSockets[] = {
      {directory->PathOf("a b"), directory->PathOf("a%20b")},
      {"\0"s + directory->path(), "%00" + directory->path()},
  };
  for (const auto& [path, text] : kSockets) {
    const SocketAddress address = UnixSocketAddress(path).value();
    const FileDescriptor listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(bind(listener.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.length), 0);
    ASSERT_EQ(listen(listener.get(), 4), 0);
    const auto transport = PeerAt("nbd+unix:///?socket=" + text)->Connect(Soon());
    EXPECT_TRUE(transport.has_value()) << transport.error().sentence;
  }
}

TEST(UriTarget, SaysWhatRefused) {
  const LocalPort closed(/*listens=*/false);
  const auto refused = PeerAt("nbd://127.0.0.1:" + closed.port() + "/d")->Connect(Soon());
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().sentence, "Cannot connect to nbd://127.0.0.1:" + closed.port() + "/d: 127.0.0.1 port " +
                                          closed.port() +
                                          ": Connection refused. Is the server running, and listening there?");

  const auto missing = PeerAt("nbd+unix:///?socket=/nonexistent/s")->Connect(Soon());
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().sentence,
            "Cannot connect to nbd+unix:///?socket=/nonexistent/s: No such file or directory. "
            "Is the server running, and listening there?");
}

TEST(UriTarget, GivesUpAtTheDeadline) {
  const auto directory = PrivateDirectory::Make();
  ASSERT_TRUE(directory.has_value());
  const SocketAddress address = UnixSocketAddress(directory->socket_path()).value();
  const FileDescriptor listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.length), 0);
  ASSERT_EQ(listen(listener.get(), 0), 0);
  // A backlog of 0 holds one connection; the next has to wait.
  const auto peer = PeerAt("nbd+unix:///?socket=" + directory->socket_path());
  const auto first = peer->Connect(Soon());
  ASSERT_TRUE(first.has_value());
  const auto deadline = Transport::Clock::now() + std::chrono::milliseconds(50);
  const auto second = peer->Connect(deadline);
  EXPECT_GE(Transport::Clock::now(), deadline);
  ASSERT_FALSE(second.has_value());
  EXPECT_TRUE(second.error().sentence.contains("Connection timed out")) << second.error().sentence;
}

TEST(UriTarget, DoesNotOwnItsServer) {
  const auto target = TargetFromUri("nbd://localhost/my%20disk?");
  ASSERT_TRUE(target.has_value());
  EXPECT_FALSE((*target)->IsOurs());
  EXPECT_EQ((*target)->ExportName(), "my disk");
  EXPECT_EQ((*target)->Describe(), "nbd://localhost/my%20disk?");
  EXPECT_EQ((*target)->CommandLine(), "'nbd://localhost/my%20disk?'");
  EXPECT_FALSE((*target)->CanSetUp(Setup::kReadOnly));
  EXPECT_FALSE((*target)->Start(Setup::kReadOnly, Soon()).has_value());
  const auto peer = (*target)->Start(Setup::kWritable, Soon());
  ASSERT_TRUE(peer.has_value()) << peer.error().sentence;
  const auto restarted = (*peer)->Restart();
  ASSERT_FALSE(restarted.has_value());
  EXPECT_TRUE(restarted.error().sentence.contains("nbdspec did not start it")) << restarted.error().sentence;
  EXPECT_EQ((*peer)->Ended(), std::nullopt);
  EXPECT_EQ((*peer)->StandardError(), "");
}

TEST(UriTarget, SaysThatAHostIsUnknown) {
  const auto peer = TargetFromUri("nbd://no-such-host.invalid/").value()->Start(Setup::kWritable, Soon());
  ASSERT_FALSE(peer.has_value());
  EXPECT_TRUE(peer.error().sentence.contains("\"no-such-host.invalid\" has no address")) << peer.error().sentence;
}

}  // namespace
}  // namespace nbdspec::conformance
