// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/storage/storage_server.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>

#include "conformance/peer/testdata/client.h"
#include "conformance/peer/testdata/peer_fixture.h"

namespace nbdspec::conformance {
namespace {

using engine::Bytes;

constexpr std::uint64_t kDiskBytes = 64 << 20;
constexpr std::uint32_t kPayloadBytesMax = 32 << 20;

// The directory is left empty: each test asks of it.
class StorageServerTest : public PeerFixture {
 protected:
  void SetUp() override {
    PeerFixture::SetUp();
    descriptors_before_ = FileCount("/proc/self/fd");
    server_ = StorageServer::Make(kDiskBytes).value();
    ASSERT_TRUE(server_->Listen(path()).has_value());
  }

  void TearDown() override {
    server_.reset();
    EXPECT_EQ(FileCount("/proc/self/fd"), descriptors_before_);
    PeerFixture::TearDown();
  }

  [[nodiscard]] std::string path() const { return tmpdir() + "/disk"; }

  static std::expected<std::unique_ptr<Transport>, int> Connect(const std::string& path) {
    return ConnectSocket(UnixSocketAddress(path).value(), Soon());
  }
  [[nodiscard]] Client Enter() const { return {Connect(path()).value(), ""}; }

  // Whether nothing but an end comes from it.
  static bool IsEnded(Transport& transport) {
    Bytes said = ReceiveBytes(transport, 1 << 10);
    return said.size() <= 18 && transport.Receive(said, 1, Soon()) != Ending::kTimedOut;
  }

  std::unique_ptr<StorageServer> server_;

 private:
  std::size_t descriptors_before_ = 0;
};

TEST_F(StorageServerTest, ServesItsDiskToManyConnections) {
  Client one = Enter();
  Client other = Enter();
  EXPECT_EQ(one.size(), kDiskBytes);
  EXPECT_EQ(one.Write(512, Bytes(512, 0x55)), 0U);
  EXPECT_EQ(other.Read(512, 512), Bytes(512, 0x55));
  server_->With([](engine::VolatileDisk& disk) { EXPECT_EQ(disk.volatile_count(), 1U); });
  EXPECT_EQ(other.Flush(), 0U);
  EXPECT_EQ(one.Write(1024, Bytes(512, 0x66)), 0U);
  EXPECT_EQ(one.Write(2048, Bytes(512, 0x77), kCommandFua), 0U);
  server_->With([](engine::VolatileDisk& disk) { EXPECT_EQ(disk.volatile_count(), 1U); });
}

TEST_F(StorageServerTest, TakesTheLargestPayload) {
  Client client = Enter();
  const Bytes written(kPayloadBytesMax, 0x55);
  EXPECT_EQ(client.Write(kDiskBytes - kPayloadBytesMax, written), 0U);
  EXPECT_EQ(client.Read(kDiskBytes - kPayloadBytesMax, kPayloadBytesMax), written);
}

TEST_F(StorageServerTest, FailsWhenTheDiskDoes) {
  Client client = Enter();
  server_->With([](engine::VolatileDisk& disk) {
    disk.Fail(engine::DiskFailure{.operations = engine::DiskFailure::kFlushes, .error = 28});
  });
  EXPECT_EQ(client.Flush(), 28U);
  EXPECT_EQ(client.Write(0, Bytes(512, 1)), 0U);
}

TEST_F(StorageServerTest, EndsOnlyTheConnectionThatBreaksTheProtocol) {
  Client good = Enter();
  const auto bad = Connect(path()).value();
  EXPECT_EQ(bad->Send(Bytes(1 << 20, 0xff), Soon()) == Ending::kTimedOut, false);
  EXPECT_TRUE(IsEnded(*bad));
  EXPECT_EQ(good.Read(0, 512), Bytes(512));
}

TEST_F(StorageServerTest, DoesNotWaitForAClientThatNeverReads) {
  const auto deaf = Connect(path()).value();
  Client good = Enter();
  // Flags, EXPORT_NAME of "", then READs of 32 MiB, more than anybody may keep the answers of.
  Bytes said = {0, 0, 0, 3, 'I', 'H', 'A', 'V', 'E', 'O', 'P', 'T', 0, 0, 0, 1, 0, 0, 0, 0};
  Bytes read(28);
  read[0] = 0x25, read[1] = 0x60, read[2] = 0x95, read[3] = 0x13, read[24] = kPayloadBytesMax >> 24;
  for (int i = 0; i < 1000; ++i) {
    said.insert(said.end(), read.begin(), read.end());
  }
  EXPECT_EQ(deaf->Send(said, Soon()), Ending::kNone);
  EXPECT_EQ(good.Read(0, 512), Bytes(512));
  server_->With([](engine::VolatileDisk& disk) { EXPECT_EQ(disk.volatile_count(), 0U); });
}

TEST_F(StorageServerTest, ClosesWhatIsTooMany) {
  std::vector<Client> clients;
  for (std::size_t i = 0; i < StorageServer::kConnectionsMax; ++i) {
    clients.push_back(Enter());
  }
  EXPECT_TRUE(IsEnded(**Connect(path())));
  EXPECT_EQ(clients.back().Read(0, 512), Bytes(512));
}

TEST_F(StorageServerTest, IsSilentUntilItListensAgain) {
  {
    Client client = Enter();
    EXPECT_EQ(client.Write(0, Bytes(512, 0x55)), 0U);
  }
  const auto transport = Connect(path()).value();
  server_->Silence();
  EXPECT_TRUE(IsEnded(*transport));
  EXPECT_FALSE(Connect(path()).has_value());
  EXPECT_EQ(FileCount(tmpdir()), 0U);
  server_->Silence();
  ASSERT_TRUE(server_->Listen(path()).has_value());
  EXPECT_EQ(Enter().Read(0, 512), Bytes(512, 0x55));
  ASSERT_TRUE(server_->Listen(path() + "2").has_value());
  EXPECT_FALSE(Connect(path()).has_value());
  EXPECT_EQ(Client(Connect(path() + "2").value(), "").Read(0, 512), Bytes(512, 0x55));
}

TEST_F(StorageServerTest, EndsWithClientsThatAreThere) {
  const auto transport = Connect(path()).value();
  EXPECT_EQ(ReceiveBytes(*transport, 18).size(), 18U);
  server_.reset();
  EXPECT_TRUE(IsEnded(*transport));
}

TEST_F(StorageServerTest, SaysWhereItCannotListen) {
  const auto listens = server_->Listen("/no/such/directory/disk");
  ASSERT_FALSE(listens.has_value());
  EXPECT_EQ(listens.error().sentence, "Cannot listen at \"/no/such/directory/disk\": No such file or directory.");
}

}  // namespace
}  // namespace nbdspec::conformance
