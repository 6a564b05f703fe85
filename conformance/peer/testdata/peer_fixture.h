// SPDX-License-Identifier: BSD-3-Clause
// A test fixture for peers with processes: it sees everything that one leaves behind.

#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "conformance/peer/process/process.h"
#include "conformance/peer/target.h"
#include "engine/base/bytes.h"

namespace nbdspec::conformance {

// Gives each test a TMPDIR of its own and adopts every orphan; TearDown asks that neither has anything left.
class PeerFixture : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // A deadline that a working start never meets.
  static Transport::Clock::time_point Soon() { return Transport::Clock::now() + std::chrono::seconds(30); }

  // Runs `start_peers` in a process of its own, then ends that process with `signal_number` while it holds them.
  // Waits until what it started is gone; it fails when that takes very long.
  static void KillOwnerOfPeers(const std::function<std::vector<std::unique_ptr<Peer>>()>& start_peers,
                               int signal_number);

  // Whether servers of files can store them with us: there is /dev/fuse, and mounting is allowed.
  static bool HasFuse();

  static std::size_t FileCount(const std::string& directory);
  [[nodiscard]] const std::string& tmpdir() const { return directory_->path(); }

 private:
  std::expected<PrivateDirectory, engine::Trouble> directory_ = std::unexpected(engine::Trouble{});
};

// Reads until there are `length` bytes or the connection says no more.
engine::Bytes ReceiveBytes(Transport& transport, std::size_t length);

}  // namespace nbdspec::conformance
