// SPDX-License-Identifier: BSD-3-Clause
// Servers that serve one client at a time: no script is lost, and what is wrong is found.

#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "conformance/peer/reference_target.h"
#include "conformance/peer/target.h"
#include "engine/faults/fault.h"
#include "fuzz/live/run/fuzz_fault.h"
#include "fuzz/live/run/live_fuzz.h"

namespace nbdspec::fuzz {
namespace {

using conformance::Ending;
using conformance::Transport;

// What a server says of its clients.
struct Door {
  int busy_left = 0;  // So many are turned away before the next one,
  bool is_taken = false;
  int turned_away = 0;
};

// So many are turned away after each that was served: until then the server has not noticed that it left.
constexpr int kSlowness = 3;

class OnlyClient : public Transport {
 public:
  OnlyClient(std::unique_ptr<Transport> rest, std::shared_ptr<Door> door)
      : rest_(std::move(rest)), door_(std::move(door)) {
    door_->is_taken = true;
  }
  ~OnlyClient() override { *door_ = {.busy_left = kSlowness, .turned_away = door_->turned_away}; }
  OnlyClient(const OnlyClient&) = delete;
  OnlyClient& operator=(const OnlyClient&) = delete;

  Ending SendSome(engine::ByteView& bytes, Clock::time_point deadline) override {
    return rest_->SendSome(bytes, deadline);
  }
  Ending Receive(engine::Bytes& out, std::size_t bytes_max, Clock::time_point deadline) override {
    return rest_->Receive(out, bytes_max, deadline);
  }
  void CloseSending() override { rest_->CloseSending(); }

 private:
  std::unique_ptr<Transport> rest_;
  std::shared_ptr<Door> door_;
};

class TurnedAway : public Transport {
 public:
  Ending SendSome(engine::ByteView&, Clock::time_point) override { return Ending::kReset; }
  Ending Receive(engine::Bytes&, std::size_t, Clock::time_point) override { return Ending::kClosed; }
  void CloseSending() override {}
};

class OneClientServer : public conformance::Peer {
 public:
  OneClientServer(std::unique_ptr<conformance::Peer> rest, std::shared_ptr<Door> door)
      : rest_(std::move(rest)), door_(std::move(door)) {}

  std::expected<std::unique_ptr<Transport>, engine::Trouble> Connect(Transport::Clock::time_point deadline) override {
    if (door_->is_taken || door_->busy_left > 0) {
      door_->busy_left -= door_->is_taken ? 0 : 1;
      ++door_->turned_away;
      return std::make_unique<TurnedAway>();
    }
    auto transport = rest_->Connect(deadline);
    return transport ? std::make_unique<OnlyClient>(*std::move(transport), door_)
                     : std::expected<std::unique_ptr<Transport>, engine::Trouble>(std::move(transport));
  }
  std::expected<void, engine::Trouble> Restart() override { return rest_->Restart(); }

 private:
  std::unique_ptr<conformance::Peer> rest_;
  std::shared_ptr<Door> door_;
};

FuzzReport FuzzOneClientServer(const engine::faults::Change& change, std::shared_ptr<Door> door) {
  const auto reference = ReferenceWith(change);
  conformance::Target target({.description = "one client", .command_line = "one client"},
                             [&](conformance::Setup setup, auto deadline) -> conformance::PeerOrTrouble {
                               auto peer = reference->Start(setup, deadline);
                               return peer ? std::make_unique<OneClientServer>(*std::move(peer), door)
                                           : std::move(peer);
                             });
  return Fuzz(target, {.seed = 1, .scripts_max = 100, .tries_max = 0});
}

TEST(OneClient, NoScriptIsLost) {
  const auto door = std::make_shared<Door>();
  const FuzzReport report = FuzzOneClientServer({}, door);
  EXPECT_FALSE(report.trouble) << report.trouble->sentence;
  EXPECT_TRUE(report.findings.empty());
  EXPECT_EQ(report.script_count, 100U);
  EXPECT_GT(report.command_count, 1000U);
  EXPECT_GT(door->turned_away, kSlowness);
}

TEST(OneClient, WhatIsWrongIsFound) {
  const FuzzReport report =
      FuzzOneClientServer(engine::faults::FaultNamed("server_writes_wrong_last_byte").change, std::make_shared<Door>());
  EXPECT_FALSE(report.trouble) << report.trouble->sentence;
  ASSERT_FALSE(report.findings.empty());
  EXPECT_EQ(report.findings.front().finding.kind, FindingKind::kWrongData);
}

}  // namespace
}  // namespace nbdspec::fuzz
