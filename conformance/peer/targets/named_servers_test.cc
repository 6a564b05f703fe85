// SPDX-License-Identifier: BSD-3-Clause
// Real servers, asked with bytes written by hand (testdata/client.h).

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include "conformance/peer/target.h"
#include "conformance/peer/targets/started_peer.h"
#include "conformance/peer/testdata/client.h"
#include "conformance/peer/testdata/peer_fixture.h"

namespace nbdspec::conformance {
namespace {

using engine::Bytes;

constexpr std::uint16_t kFlagReadOnly = 1 << 1;

Bytes ImageBytes(std::uint64_t offset, std::uint64_t length) {
  Bytes bytes;
  for (std::uint64_t at = offset; at < offset + length; ++at) {
    bytes.push_back(ImageByteAt(at));
  }
  return bytes;
}

class NamedServers : public PeerFixture {
 protected:
  static constexpr const char* kNames[] = {"nbdkit",   "nbdkit:extents", "nbdkit:nbd",
                                           "qemu-nbd", "qemu-nbd:qcow2", "nbd-server"};

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

TEST_F(NamedServers, CanServeALargeImage) {
  for (const char* const name : kNames) {
    const auto target = Named(name);
    ASSERT_TRUE(target->CanSetUp(Setup::kLarge));
    const auto peer = MustStart(*target, Setup::kLarge);
    ASSERT_NE(peer, nullptr);
    Client client(peer->Connect(Soon()).value(), target->ExportName());
    EXPECT_EQ(client.size(), kLargeImageBytes) << name;
    const std::uint64_t offset = std::uint64_t{4} << 30;
    EXPECT_EQ(client.Read(offset, 1), Bytes{DataByteAt(offset)}) << name;
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
  for (const char* const name : {"nbdkit", "nbdkit:extents", "nbdkit:nbd", "qemu-nbd"}) {
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

TEST_F(NamedServers, AreSix) {
  for (const std::string_view name : {"", "nbd", "nbdkit ", "nbdkit:", "reference", "NBDKIT"}) {
    const auto target = TargetFromName(name);
    ASSERT_FALSE(target.has_value()) << name;
    EXPECT_TRUE(
        target.error().sentence.contains("known are nbdkit, nbdkit:extents, nbdkit:nbd, qemu-nbd, qemu-nbd:qcow2 and "
                                         "nbd-server"));
  }
}

}  // namespace
}  // namespace nbdspec::conformance
