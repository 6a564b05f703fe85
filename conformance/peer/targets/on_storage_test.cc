// SPDX-License-Identifier: BSD-3-Clause
// Real servers that store their bytes with us, and lose power.

#include <csignal>
#include <thread>

#include "conformance/peer/target.h"
#include "conformance/peer/targets/started_peer.h"
#include "conformance/peer/testdata/client.h"
#include "conformance/peer/testdata/peer_fixture.h"
#include "engine/storage/volatile_disk.h"

namespace nbdspec::conformance {
namespace {

using engine::Bytes;
using engine::PowerCut;

constexpr std::uint64_t kFlushes = 1 << 2;  // NBD_FLAG_SEND_FLUSH
constexpr PowerCut kLosesAll = {.keeps = PowerCut::Keeps::kNothing};
constexpr PowerCut kKeepsAll = {.keeps = PowerCut::Keeps::kEverything};
// Answers FLUSH, and never flushes. (qemu-nbd --cache=unsafe does over NBD, only not to files.)
constexpr char kUnsafe[] = "nbdkit -f -U {socket} --filter=cache nbd uri={image-uri} cache=unsafe";

std::unique_ptr<Target> Named(std::string_view name) { return TargetFromName(name, {.power_cut = true}).value(); }

class OnStorage : public PeerFixture {
 protected:
  static constexpr const char* kNames[] = {"nbdkit:nbd", "qemu-nbd", "qemu-nbd:qcow2"};

  static std::unique_ptr<Peer> MustStart(Target& target) {
    auto peer = target.Start(Setup::kOnStorage, Soon());
    if (!peer) {
      ADD_FAILURE() << peer.error().sentence;
      return nullptr;
    }
    return *std::move(peer);
  }

  static Client Enter(Peer& peer, const Target& target) { return {peer.Connect(Soon()).value(), target.ExportName()}; }

  static void MustCut(Peer& peer, const PowerCut& cut) {
    const auto started = peer.storage()->CutPower(cut, Soon());
    ASSERT_TRUE(started.has_value()) << started.error().sentence;
  }
};

TEST_F(OnStorage, HaveTheImageAndLoseNothingOfIt) {
  for (const char* const name : kNames) {
    const auto target = Named(name);
    const auto peer = MustStart(*target);
    ASSERT_NE(peer, nullptr) << name;
    ASSERT_NE(peer->storage(), nullptr);
    MustCut(*peer, kLosesAll);
    Client client = Enter(*peer, *target);
    EXPECT_EQ(client.size(), kImageBytes) << name;
    EXPECT_TRUE(client.flags() & kFlushes) << name;
    for (const engine::ByteRange data : kImageData) {
      const Bytes read = client.Read(data.begin, static_cast<std::uint32_t>(data.length()));
      for (std::uint64_t i = 0; i < read.size(); ++i) {
        ASSERT_EQ(read[i], ImageByteAt(data.begin + i)) << name;
      }
    }
    EXPECT_EQ(client.Read(kImageWrittenZeroes.begin, 4096), Bytes(4096)) << name;
  }
}

TEST_F(OnStorage, KeepWhatWasFlushed) {
  for (const char* const name : kNames) {
    const auto target = Named(name);
    const auto peer = MustStart(*target);
    ASSERT_NE(peer, nullptr) << name;
    const Bytes one(4096, 0x55);
    const Bytes other(4096, 0x77);
    {
      Client client = Enter(*peer, *target);
      EXPECT_EQ(client.Write(4096, one), 0U) << name;
      EXPECT_EQ(client.Write(kImageBytes - 4096, one), 0U) << name;
      EXPECT_EQ(client.Flush(), 0U) << name;
      EXPECT_EQ(client.Write(3 << 20, other, kCommandFua), 0U) << name;
      MustCut(*peer, kLosesAll);
    }
    Client client = Enter(*peer, *target);
    EXPECT_EQ(client.Read(4096, 4096), one) << name;
    EXPECT_EQ(client.Read(kImageBytes - 4096, 4096), one) << name;
    EXPECT_EQ(client.Read(3 << 20, 4096), other) << name;
  }
}

// What servers write through at once shows that a loss would be seen: nbdkit's nbd plugin and qemu keep nothing back.
TEST_F(OnStorage, LoseWhatWasNot) {
  for (const char* const name : {"nbdkit:nbd", "qemu-nbd"}) {
    const auto target = Named(name);
    const auto peer = MustStart(*target);
    ASSERT_NE(peer, nullptr) << name;
    const Bytes written(4096, 0x55);
    for (const PowerCut& cut : {kKeepsAll, kLosesAll}) {
      EXPECT_EQ(Enter(*peer, *target).Write(4096, written), 0U) << name;
      peer->storage()->With([&](engine::VolatileDisk& disk) { EXPECT_GT(disk.volatile_count(), 0U) << name; });
      MustCut(*peer, cut);
      const bool is_lost = Enter(*peer, *target).Read(4096, 1) != Bytes(1, 0x55);
      EXPECT_EQ(is_lost, cut.keeps == PowerCut::Keeps::kNothing) << name;
      ASSERT_TRUE(peer->Restart().has_value()) << name;
    }
  }
}

TEST_F(OnStorage, LoseWhatWasFlushedWhenTheyNeverFlush) {
  const auto target = TargetFromSpawn(kUnsafe, "", {.power_cut = true}).value();
  const auto peer = MustStart(*target);
  ASSERT_NE(peer, nullptr);
  {
    Client client = Enter(*peer, *target);
    EXPECT_EQ(client.Write(4096, Bytes(4096, 0x55)), 0U);
    EXPECT_EQ(client.Flush(), 0U);
    EXPECT_EQ(client.Write(8192, Bytes(4096, 0x55), kCommandFua), 0U);
  }
  MustCut(*peer, kLosesAll);
  EXPECT_EQ(Enter(*peer, *target).Read(4096, 1), Bytes(1, ImageByteAt(4096)));
  EXPECT_EQ(Enter(*peer, *target).Read(8192, 1), Bytes(1, ImageByteAt(8192)));
}

TEST_F(OnStorage, SayThatTheDiskFailed) {
  for (const char* const name : kNames) {
    const auto target = Named(name);
    const auto peer = MustStart(*target);
    ASSERT_NE(peer, nullptr) << name;
    peer->storage()->With([](engine::VolatileDisk& disk) {
      disk.Fail(engine::DiskFailure{.operations = engine::DiskFailure::kWrites, .error = 5, .count = 1});
    });
    Client client = Enter(*peer, *target);
    EXPECT_NE(client.Write(4096, Bytes(4096, 0x55)), 0U) << name;
    peer->storage()->With([&](engine::VolatileDisk& disk) { EXPECT_EQ(disk.failed_count(), 1U) << name; });
    EXPECT_EQ(client.Write(4096, Bytes(4096, 0x66)), 0U) << name;
    EXPECT_EQ(client.Read(4096, 4096), Bytes(4096, 0x66)) << name;
  }
}

TEST_F(OnStorage, RestartFromFreshContents) {
  for (const char* const name : kNames) {
    const auto target = Named(name);
    const auto peer = MustStart(*target);
    ASSERT_NE(peer, nullptr) << name;
    EXPECT_EQ(Enter(*peer, *target).Write(0, Bytes(512, 0x55), kCommandFua), 0U) << name;
    const auto restarted = peer->Restart();
    ASSERT_TRUE(restarted.has_value()) << restarted.error().sentence;
    EXPECT_EQ(Enter(*peer, *target).Read(0, 1), Bytes(1, ImageByteAt(0))) << name;
  }
}

TEST_F(OnStorage, HaveADiskOfTheirOwnEach) {
  for (const char* const name : kNames) {
    const auto target = Named(name);
    const auto one = MustStart(*target);
    const auto other = MustStart(*target);
    ASSERT_TRUE(one != nullptr && other != nullptr) << name;
    EXPECT_EQ(Enter(*one, *target).Write(0, Bytes(512, 0x55)), 0U) << name;
    EXPECT_EQ(Enter(*other, *target).Read(0, 1), Bytes(1, ImageByteAt(0))) << name;
  }
}

TEST_F(OnStorage, EndTheirConnectionsAtACut) {
  for (const char* const name : kNames) {
    const auto target = Named(name);
    const auto peer = MustStart(*target);
    ASSERT_NE(peer, nullptr) << name;
    const auto transport = peer->Connect(Soon()).value();
    MustCut(*peer, kLosesAll);
    Bytes said = ReceiveBytes(*transport, 1 << 10);
    EXPECT_LE(said.size(), 18U) << name;
    EXPECT_NE(transport->Receive(said, 1, Soon()), Ending::kTimedOut) << name;
  }
}

TEST_F(OnStorage, ServeManyConnectionsWhileTheDiskIsLookedAt) {
  for (const char* const name : kNames) {
    const auto target = Named(name);
    const auto peer = MustStart(*target);
    ASSERT_NE(peer, nullptr) << name;
    std::vector<std::thread> threads;
    for (std::uint8_t i = 0; i < 4; ++i) {
      threads.emplace_back([&, i] {
        Client client = Enter(*peer, *target);
        const std::uint64_t offset = (4 + i) * std::uint64_t{512 << 10};
        for (std::uint8_t round = 0; round < 20; ++round) {
          const Bytes written(32 << 10, static_cast<std::uint8_t>(16 * i + round));
          EXPECT_EQ(client.Write(offset, written), 0U);
          EXPECT_EQ(client.Read(offset, 32 << 10), written);
          EXPECT_EQ(client.Flush(), 0U);
          peer->storage()->With([](engine::VolatileDisk& disk) { EXPECT_GE(disk.size(), kImageBytes); });
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    MustCut(*peer, kLosesAll);
    for (std::uint8_t i = 0; i < 4; ++i) {
      EXPECT_EQ(Enter(*peer, *target).Read((4 + i) * std::uint64_t{512 << 10}, 1),
                Bytes(1, static_cast<std::uint8_t>(16 * i + 19)))
          << name;
    }
  }
}

TEST_F(OnStorage, GoWhenTheirOwnerIsKilled) {
  for (const int number : {SIGKILL, SIGINT}) {
    KillOwnerOfPeers(
        [] {
          std::vector<std::unique_ptr<Peer>> peers;
          for (const char* const name : kNames) {
            peers.push_back(Named(name)->Start(Setup::kOnStorage, Soon()).value());
            if (!peers.back()->storage()->CutPower(kLosesAll, Soon())) {
              peers.clear();
            }
          }
          return peers;
        },
        number);
    EXPECT_EQ(FileCount(tmpdir()), 0U) << number;
  }
}

TEST(OnStorageTarget, IsOfferedWhereItIsAskedForAndCanBe) {
  EXPECT_FALSE(TargetFromName("qemu-nbd").value()->CanSetUp(Setup::kOnStorage));
  EXPECT_TRUE(Named("qemu-nbd")->CanSetUp(Setup::kOnStorage));
  EXPECT_FALSE(Named("nbdkit:extents")->CanSetUp(Setup::kOnStorage));
  EXPECT_FALSE(TargetFromSpawn(kUnsafe, "").value()->CanSetUp(Setup::kOnStorage));
  EXPECT_FALSE(TargetFromSpawn("srv {socket}", "", {.power_cut = true}).value()->CanSetUp(Setup::kOnStorage));
  EXPECT_FALSE(TargetFromSpawn("srv {socket} {image} {image-uri}", "").has_value());
}

}  // namespace
}  // namespace nbdspec::conformance
