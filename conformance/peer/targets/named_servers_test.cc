// SPDX-License-Identifier: BSD-3-Clause
// Real servers, asked with bytes written here by hand: this test depends on nothing that it could be wrong with.

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include "conformance/peer/target.h"
#include "conformance/peer/targets/started_peer.h"
#include "conformance/peer/testdata/peer_fixture.h"

namespace nbdspec::conformance {
namespace {

using engine::Bytes;

constexpr std::uint16_t kFlagReadOnly = 1 << 1;

void Append(Bytes& bytes, std::uint64_t value, int byte_count) {
  for (int i = byte_count - 1; i >= 0; --i) {
    bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  }
}

std::uint64_t BigEndian(engine::ByteView bytes) {
  std::uint64_t value = 0;
  for (const std::uint8_t byte : bytes) {
    value = value << 8 | byte;
  }
  return value;
}

// A client of one export.
class Client {
 public:
  Client(std::unique_ptr<Transport> transport, const std::string& export_name) : transport_(std::move(transport)) {
    const Bytes greeting = ReceiveBytes(*transport_, 18);
    EXPECT_EQ(greeting.size(), 18U);
    EXPECT_EQ(std::string(greeting.begin(), greeting.begin() + 16), "NBDMAGICIHAVEOPT");
    Bytes hello;
    Append(hello, 3, 4);  // NBD_FLAG_C_FIXED_NEWSTYLE, NBD_FLAG_C_NO_ZEROES.
    Append(hello, 0x49484156454f5054, 8);
    Append(hello, 1, 4);  // NBD_OPT_EXPORT_NAME.
    Append(hello, export_name.size(), 4);
    hello.insert(hello.end(), export_name.begin(), export_name.end());
    Send(hello);
    const Bytes reply = ReceiveBytes(*transport_, 10);
    EXPECT_EQ(reply.size(), 10U);
    size_ = BigEndian(engine::ByteView(reply).first(8));
    flags_ = static_cast<std::uint16_t>(BigEndian(engine::ByteView(reply).last(2)));
  }

  Bytes Read(std::uint64_t offset, std::uint32_t length) {
    Request(0, offset, length);
    EXPECT_EQ(Error(), 0U);
    return ReceiveBytes(*transport_, length);
  }

  std::uint64_t Write(std::uint64_t offset, const Bytes& bytes) {
    Request(1, offset, static_cast<std::uint32_t>(bytes.size()));
    Send(bytes);
    return Error();
  }

  std::uint64_t size() const { return size_; }
  std::uint16_t flags() const { return flags_; }

 private:
  void Send(const Bytes& bytes) {
    EXPECT_EQ(transport_->Send(bytes, Transport::Clock::now() + std::chrono::seconds(30)), Ending::kNone);
  }
  void Request(std::uint16_t type, std::uint64_t offset, std::uint32_t length) {
    Bytes request;
    Append(request, 0x25609513, 4);
    Append(request, 0, 2);
    Append(request, type, 2);
    Append(request, 42, 8);
    Append(request, offset, 8);
    Append(request, length, 4);
    Send(request);
  }
  std::uint64_t Error() {
    const Bytes reply = ReceiveBytes(*transport_, 16);
    EXPECT_EQ(reply.size(), 16U);
    return BigEndian(engine::ByteView(reply).subspan(4, 4));
  }

  std::unique_ptr<Transport> transport_;
  std::uint64_t size_ = 0;
  std::uint16_t flags_ = 0;
};

Bytes ImageBytes(std::uint64_t offset, std::uint64_t length) {
  Bytes bytes;
  for (std::uint64_t at = offset; at < offset + length; ++at) {
    bytes.push_back(ImageByteAt(at));
  }
  return bytes;
}

class NamedServers : public PeerFixture {
 protected:
  static constexpr const char* kNames[] = {"nbdkit", "nbdkit:extents", "qemu-nbd", "nbd-server"};

  static std::unique_ptr<Target> Named(std::string_view name) { return TargetFromName(name).value(); }

  static std::unique_ptr<Peer> MustStart(Target& target, conformance::Setup setup) {
    auto peer = target.Start(setup, Soon());
    if (!peer) {
      ADD_FAILURE() << peer.error().sentence;
      return nullptr;
    }
    return *std::move(peer);
  }
};

TEST_F(NamedServers, ServeTheImage) {
  for (const char* const name : kNames) {
    const auto target = Named(name);
    const auto peer = MustStart(*target, Setup::kWritable);
    ASSERT_NE(peer, nullptr);
    Client client(peer->Connect(Soon()).value(), target->ExportName());
    EXPECT_EQ(client.size(), kImageBytes) << name;
    EXPECT_EQ(client.flags() & kFlagReadOnly, 0) << name;
    for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{64 << 10}, kImageBytes - 8192}) {
      EXPECT_EQ(client.Read(offset, 8192), ImageBytes(offset, 8192)) << name << " at " << offset;
    }
    EXPECT_EQ(peer->Ended(), std::nullopt) << name;
  }
}

TEST_F(NamedServers, CanBeReadOnly) {
  for (const char* const name : kNames) {
    const auto target = Named(name);
    ASSERT_TRUE(target->CanSetUp(Setup::kReadOnly));
    const auto peer = MustStart(*target, Setup::kReadOnly);
    ASSERT_NE(peer, nullptr);
    Client client(peer->Connect(Soon()).value(), target->ExportName());
    EXPECT_EQ(client.flags() & kFlagReadOnly, kFlagReadOnly) << name;
    EXPECT_NE(client.Write(0, Bytes(512, 0x55)), 0U) << name;
  }
}

TEST_F(NamedServers, RestartFromFreshContents) {
  for (const char* const name : kNames) {
    const auto target = Named(name);
    const auto peer = MustStart(*target, Setup::kWritable);
    ASSERT_NE(peer, nullptr);
    const Bytes written(512, 0);
    {
      Client client(peer->Connect(Soon()).value(), target->ExportName());
      EXPECT_EQ(client.Write(0, written), 0U) << name;
      EXPECT_EQ(client.Read(0, 512), written) << name;
    }
    const auto restarted = peer->Restart();
    ASSERT_TRUE(restarted.has_value()) << restarted.error().sentence;
    Client client(peer->Connect(Soon()).value(), target->ExportName());
    EXPECT_EQ(client.Read(0, 512), ImageBytes(0, 512)) << name;
    EXPECT_EQ(FileCount(tmpdir()), 1U) << name;
  }
}

TEST_F(NamedServers, EnforceABlockSizeWhereTheyCan) {
  for (const char* const name : {"nbdkit", "nbdkit:extents", "qemu-nbd"}) {
    const auto target = Named(name);
    ASSERT_TRUE(target->CanSetUp(Setup::kStrictBlockSize));
    const auto peer = MustStart(*target, Setup::kStrictBlockSize);
    ASSERT_NE(peer, nullptr);
    Client client(peer->Connect(Soon()).value(), target->ExportName());
    EXPECT_EQ(client.Read(0, 4096), ImageBytes(0, 4096)) << name;
  }
  EXPECT_FALSE(Named("nbd-server")->CanSetUp(Setup::kStrictBlockSize));
}

TEST_F(NamedServers, RunSeveralAtOnceWithContentsOfTheirOwn) {
  for (const char* const name : kNames) {
    const auto target = Named(name);
    ASSERT_TRUE(target->IsOurs());
    const auto one = MustStart(*target, Setup::kWritable);
    const auto other = MustStart(*target, Setup::kWritable);
    ASSERT_TRUE(one != nullptr && other != nullptr);
    Client client_of_one(one->Connect(Soon()).value(), target->ExportName());
    Client client_of_other(other->Connect(Soon()).value(), target->ExportName());
    EXPECT_EQ(client_of_one.Write(0, Bytes(512, 0)), 0U) << name;
    EXPECT_EQ(client_of_other.Read(0, 512), ImageBytes(0, 512)) << name;
  }
}

TEST_F(NamedServers, TakeASecondClientWhileTheFirstIsThere) {
  for (const char* const name : kNames) {
    const auto target = Named(name);
    const auto peer = MustStart(*target, Setup::kWritable);
    ASSERT_NE(peer, nullptr);
    Client first(peer->Connect(Soon()).value(), target->ExportName());
    Client second(peer->Connect(Soon()).value(), target->ExportName());
    EXPECT_EQ(second.Read(0, 512), ImageBytes(0, 512)) << name;
    EXPECT_EQ(first.Read(0, 512), ImageBytes(0, 512)) << name;
  }
}

TEST_F(NamedServers, GoWithAConnectedClient) {
  // nbdkit does not stop at SIGTERM then.
  for (const char* const name : kNames) {
    const auto target = Named(name);
    auto peer = MustStart(*target, Setup::kWritable);
    ASSERT_NE(peer, nullptr);
    const auto transport = peer->Connect(Soon()).value();
    EXPECT_EQ(ReceiveBytes(*transport, 18).size(), 18U);
    peer.reset();
    EXPECT_EQ(FileCount(tmpdir()), 0U) << name;
    Bytes more;
    EXPECT_NE(transport->Receive(more, 1, Soon()), Ending::kTimedOut) << name;
  }
}

TEST_F(NamedServers, GoWhenTheirOwnerIsKilled) {
  for (const int number : {SIGKILL, SIGINT}) {
    KillOwnerOfPeers(
        [] {
          std::vector<std::unique_ptr<Peer>> peers;
          for (const char* const name : kNames) {
            peers.push_back(Named(name)->Start(Setup::kWritable, Soon()).value());
          }
          return peers;
        },
        number);
    EXPECT_EQ(FileCount(tmpdir()), 0U) << number;
  }
}

TEST_F(NamedServers, SayWhichVersionTheyAre) {
  for (const char* const name : kNames) {
    const std::string text = Named(name)->Describe();
    EXPECT_TRUE(text.starts_with(name + std::string(" "))) << text;
    EXPECT_GE(std::ranges::count(text, '.'), 1) << text;
    EXPECT_EQ(Named(name)->CommandLine(), name);
  }
  EXPECT_TRUE(Named("nbdkit")->Describe().ends_with(" (file)")) << Named("nbdkit")->Describe();
}

TEST_F(NamedServers, ThatAreNotInstalledAreTroubleWithTheRemedy) {
  const std::string path = std::getenv("PATH");
  setenv("PATH", tmpdir().c_str(), 1);
  const auto target = TargetFromName("qemu-nbd");
  const auto peer = target.value()->Start(Setup::kWritable, Soon());
  const std::string text = (*target)->Describe();
  setenv("PATH", path.c_str(), 1);
  ASSERT_FALSE(peer.has_value());
  EXPECT_EQ(peer.error().sentence, "qemu-nbd is not installed: run ./setup, or apt install qemu-utils.");
  EXPECT_EQ(text, "qemu-nbd (raw)");
}

TEST_F(NamedServers, AreFour) {
  for (const std::string_view name : {"", "nbd", "nbdkit ", "nbdkit:", "reference", "NBDKIT"}) {
    const auto target = TargetFromName(name);
    ASSERT_FALSE(target.has_value()) << name;
    EXPECT_TRUE(target.error().sentence.contains("known are nbdkit, nbdkit:extents, qemu-nbd and nbd-server"));
  }
}

}  // namespace
}  // namespace nbdspec::conformance
