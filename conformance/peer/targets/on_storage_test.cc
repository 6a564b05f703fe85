// SPDX-License-Identifier: BSD-3-Clause
// Real servers that store their bytes with us, and lose power.

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

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
// Answer FLUSH, and never flush. (qemu-nbd does all the same where its disk is an NBD export.)
constexpr char kQemuUnsafe[] = "qemu-nbd --cache=unsafe -t --shared=0 -k {socket} -x '' -f raw {image}";
constexpr char kUnsafe[] = "nbdkit -f -U {socket} --filter=cache nbd uri={image-uri} cache=unsafe";

// qemu-nbd with a file: its threads and the kernel's page cache, or past both.
constexpr char kQemuThreads[] = "qemu-nbd -t --shared=0 -k {socket} -x '' -f raw {image}";
constexpr char kQemuAio[] = "qemu-nbd --cache=none --aio=native -t --shared=0 -k {socket} -x '' -f raw {image}";
constexpr char kQemuUring[] = "qemu-nbd --cache=none --aio=io_uring -t --shared=0 -k {socket} -x '' -f raw {image}";

// A server by name, or a command.
std::unique_ptr<Target> Named(std::string_view name) {
  return name.contains("{socket}") ? TargetFromSpawn(name, "", {.power_cut = true}).value()
                                   : TargetFromName(name, {.power_cut = true}).value();
}

class OnStorage : public PeerFixture {
 protected:
  // Those that store to files can do so with us only where there is /dev/fuse, and mounting is allowed.
  static std::vector<std::string> Names() {
    std::vector<std::string> names = {"nbdkit:nbd", "qemu-nbd", "qemu-nbd:qcow2"};
    if (HasFuse()) {
      names.insert(names.end(), {"nbdkit", "nbd-server", kQemuThreads, kQemuAio, kQemuUring});
    }
    return names;
  }

  static std::unique_ptr<Peer> MustStart(Target& target) {
    auto peer = target.Start(Setup::kOnStorage, Soon());
    if (!peer) {
      ADD_FAILURE() << peer.error().sentence;
      return nullptr;
    }
    return *std::move(peer);
  }

  static Client Enter(Peer& peer, const Target& target) { return {peer.Connect(Soon()).value(), target.ExportName()}; }

  // What is mounted below this test's directory.
  [[nodiscard]] std::size_t MountCount() const {
    std::ifstream mounts("/proc/self/mounts");
    std::size_t count = 0;
    for (std::string line; std::getline(mounts, line);) {
      count += line.contains(tmpdir()) ? 1 : 0;
    }
    return count;
  }

  // Of the only one.
  [[nodiscard]] pid_t PidOfNbdfuse() const {
    pid_t pid = 0;
    for (const auto& directory : std::filesystem::directory_iterator(tmpdir())) {
      if (std::filesystem::exists(directory.path() / "mounted")) {
        std::ifstream(directory.path() / "pid") >> pid;
      }
    }
    return pid;
  }

  static void MustCut(Peer& peer, const PowerCut& cut) {
    peer.storage()->CutPower(cut);
    const auto started = peer.storage()->PowerUp(Soon());
    ASSERT_TRUE(started.has_value()) << started.error().sentence;
  }

  // What a cut has damaged; the server is up again.
  static std::optional<std::string> DamageAfter(Peer& peer, const PowerCut& cut) {
    peer.storage()->CutPower(cut);
    auto damage = peer.storage()->FindDamage(Soon());
    EXPECT_TRUE(damage.has_value()) << damage.error().sentence;
    EXPECT_TRUE(peer.storage()->PowerUp(Soon()).has_value());
    return damage.value_or(std::nullopt);
  }
};

TEST_F(OnStorage, HaveTheImageAndLoseNothingOfIt) {
  for (const std::string& name : Names()) {
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
  for (const std::string& name : Names()) {
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

// What is written arrives at once and unflushed, except in qcow2 clusters, so that a loss is seen.
TEST_F(OnStorage, LoseWhatWasNot) {
  for (const std::string& name : Names()) {
    if (name == "qemu-nbd:qcow2") {
      continue;
    }
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
  for (const char* const command : {kUnsafe, kQemuUnsafe}) {
    if (command == kQemuUnsafe && !HasFuse()) {
      continue;
    }
    const auto target = Named(command);
    const auto peer = MustStart(*target);
    ASSERT_NE(peer, nullptr);
    {
      Client client = Enter(*peer, *target);
      EXPECT_EQ(client.Write(4096, Bytes(4096, 0x55)), 0U);
      EXPECT_EQ(client.Flush(), 0U);
      EXPECT_EQ(client.Write(8192, Bytes(4096, 0x55), kCommandFua), 0U);
      MustCut(*peer, kLosesAll);
    }
    EXPECT_EQ(Enter(*peer, *target).Read(4096, 1), Bytes(1, ImageByteAt(4096))) << command;
    EXPECT_EQ(Enter(*peer, *target).Read(8192, 1), Bytes(1, ImageByteAt(8192))) << command;
  }
}

TEST_F(OnStorage, HaveTheirFormatCheckedAfterACut) {
  const auto target = Named("qemu-nbd:qcow2");
  const auto peer = MustStart(*target);
  ASSERT_NE(peer, nullptr);
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    {
      Client client = Enter(*peer, *target);
      for (std::uint64_t i = 0; i < 8; ++i) {  // Into new clusters.
        EXPECT_EQ(client.Write((seed * 8 + i) * (96 << 10) + 100, Bytes(3000, 0x55)), 0U);
      }
      EXPECT_EQ(DamageAfter(*peer, {.keeps = PowerCut::Keeps::kSome, .seed = seed, .tears = true}), std::nullopt)
          << seed;
    }
  }
  // The third cluster is the table of what each cluster is used for. That one is used which nothing uses is a leak.
  constexpr std::uint64_t kUsedBytes = 2;
  constexpr std::uint64_t kUnusedCluster = 200;
  peer->storage()->With([](engine::VolatileDisk& disk) {
    EXPECT_TRUE(disk.Write((128 << 10) + kUsedBytes * kUnusedCluster, Bytes{0, 1}));
  });
  EXPECT_EQ(DamageAfter(*peer, kKeepsAll), std::nullopt);
  peer->storage()->With([](engine::VolatileDisk& disk) {
    EXPECT_TRUE(disk.WriteZeroes({.begin = 128 << 10, .end = 192 << 10}, /*may_punch_hole=*/false));
  });
  const auto damage = DamageAfter(*peer, kKeepsAll);
  ASSERT_TRUE(damage.has_value());
  EXPECT_TRUE(damage->starts_with("ERROR") && damage->contains("refcount=0")) << *damage;
}

TEST_F(OnStorage, SayThatTheDiskFailed) {
  for (const std::string& name : Names()) {
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
  for (const std::string& name : Names()) {
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
  for (const std::string& name : Names()) {
    const auto target = Named(name);
    const auto one = MustStart(*target);
    const auto other = MustStart(*target);
    ASSERT_TRUE(one != nullptr && other != nullptr) << name;
    EXPECT_EQ(Enter(*one, *target).Write(0, Bytes(512, 0x55)), 0U) << name;
    EXPECT_EQ(Enter(*other, *target).Read(0, 1), Bytes(1, ImageByteAt(0))) << name;
  }
}

TEST_F(OnStorage, EndTheirConnectionsAtACut) {
  for (const std::string& name : Names()) {
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
  for (const std::string& name : Names()) {
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

TEST_F(OnStorage, ThatNeedAFileSayWhatItTakes) {
  const std::string path = std::getenv("PATH");
  setenv("PATH", tmpdir().c_str(), 1);
  const auto peer = Named("cat {socket} {image}")->Start(Setup::kOnStorage, Soon());
  setenv("PATH", path.c_str(), 1);
  ASSERT_FALSE(peer.has_value());
  EXPECT_EQ(peer.error().sentence,
            "The server's disk cannot be a file of nbdspec's: nbdfuse is not installed. Run ./setup --tests, or apt "
            "install libnbd-bin.");
  if (!HasFuse()) {
    const auto without = Named("nbd-server")->Start(Setup::kOnStorage, Soon());
    ASSERT_FALSE(without.has_value());
    const std::string& sentence = without.error().sentence;
    EXPECT_TRUE(sentence.contains("/dev/fuse cannot be opened") || sentence.contains("needs --cap-add SYS_ADMIN"))
        << sentence;
  }
}

TEST_F(OnStorage, LeaveNothingMounted) {
  if (HasFuse()) {
    // Also when nbdfuse itself is killed, and a server holds its file open.
    auto peer = MustStart(*Named("nbd-server"));
    ASSERT_NE(peer, nullptr);
    EXPECT_EQ(MountCount(), 1U);
    const Client client = {peer->Connect(Soon()).value(), "d"};
    EXPECT_EQ(kill(PidOfNbdfuse(), SIGKILL), 0);
    MustCut(*peer, kLosesAll);
    EXPECT_EQ(MountCount(), 1U);
    EXPECT_EQ(Client(peer->Connect(Soon()).value(), "d").Read(0, 1), Bytes(1, ImageByteAt(0)));
  }
  EXPECT_EQ(MountCount(), 0U);
}

TEST_F(OnStorage, GoWhenTheirOwnerIsKilled) {
  for (const int number : {SIGKILL, SIGINT}) {
    KillOwnerOfPeers(
        [] {
          std::vector<std::unique_ptr<Peer>> peers;
          for (const std::string& name : Names()) {
            peers.push_back(Named(name)->Start(Setup::kOnStorage, Soon()).value());
            peers.back()->storage()->CutPower(kLosesAll);
            if (!peers.back()->storage()->PowerUp(Soon())) {
              peers.clear();
            }
          }
          return peers;
        },
        number);
    EXPECT_EQ(FileCount(tmpdir()), 0U) << number;
    EXPECT_EQ(MountCount(), 0U) << number;
  }
}

TEST(OnStorageTarget, IsOfferedWhereItIsAskedForAndCanBe) {
  EXPECT_FALSE(TargetFromName("qemu-nbd").value()->CanSetUp(Setup::kOnStorage));
  EXPECT_TRUE(Named("qemu-nbd")->CanSetUp(Setup::kOnStorage));
  EXPECT_TRUE(Named("nbd-server")->CanSetUp(Setup::kOnStorage));
  EXPECT_TRUE(Named("srv {socket} {image}")->CanSetUp(Setup::kOnStorage));
  EXPECT_FALSE(Named("nbdkit:extents")->CanSetUp(Setup::kOnStorage));
  EXPECT_FALSE(TargetFromSpawn(kUnsafe, "").value()->CanSetUp(Setup::kOnStorage));
  EXPECT_FALSE(TargetFromSpawn("srv {socket}", "", {.power_cut = true}).value()->CanSetUp(Setup::kOnStorage));
  EXPECT_FALSE(TargetFromSpawn("srv {socket} {image} {image-uri}", "").has_value());
}

}  // namespace
}  // namespace nbdspec::conformance
