// SPDX-License-Identifier: BSD-3-Clause
// Servers that say too much, too slowly, or nothing: each run ends, holds little, and accuses only who is wrong.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "conformance/peer/down.h"
#include "conformance/peer/reference_target.h"
#include "conformance/peer/target.h"
#include "engine/script/script.h"
#include "engine/spec/ids.h"
#include "engine/wire/fields.h"
#include "engine/wire/messages.h"
#include "fuzz/live/run/live_diff.h"
#include "fuzz/live/run/live_fuzz.h"

namespace nbdspec::fuzz {
namespace {

using conformance::Ending;
using conformance::Transport;
using engine::Bytes;
using engine::ByteView;
using engine::Chunk;
using engine::CommandType;
using std::chrono::milliseconds;

// What a server does to its bytes.
struct Malice {
  // What it says again and again once it has such a request, in place of all answers; nothing: it answers.
  std::function<Bytes(const engine::Request& request)> endless = {};
  std::uint16_t command = CommandType::kRead;
  int after = 0;  // So many requests of that kind are answered.

  std::size_t piece_bytes_max = 1 << 18;  // It sends no more at once,
  milliseconds pause{0};                  // and waits before each that is no part of the handshake.
  std::function<void(std::uint64_t endless_bytes)> on_endless = {};
};

// Counts over all connections.
struct Said {
  std::uint64_t endless_bytes = 0;
  int requests = 0;
};

class MaliciousTransport : public Transport {
 public:
  MaliciousTransport(std::unique_ptr<Transport> rest, const Malice& malice, Said& said)
      : rest_(std::move(rest)), malice_(malice), said_(said) {}

  // One request is sent at a time, so that its header begins the bytes.
  Ending SendSome(ByteView& bytes, Clock::time_point deadline) override {
    const engine::Header<engine::Request> header(bytes);
    const bool is_request = header.is_whole && header.magic == engine::Request::MagicOf(engine::HeaderForm::kCompact);
    has_entered_ = has_entered_ || is_request;
    if (malice_.endless && is_request && header.message.type == malice_.command && said_.requests++ >= malice_.after) {
      said_again_ = malice_.endless(header.message);
    }
    if (said_again_) {
      bytes = {};
      return Ending::kNone;
    }
    return rest_->SendSome(bytes, deadline);
  }

  Ending Receive(Bytes& out, std::size_t bytes_max, Clock::time_point deadline) override {
    const std::size_t before = out.size();
    if (has_entered_) {
      std::this_thread::sleep_for(malice_.pause);
    }
    if (!said_again_) {
      return rest_->Receive(out, std::min(bytes_max, malice_.piece_bytes_max), deadline);
    }
    const std::size_t piece_bytes = std::max(std::min(bytes_max, malice_.piece_bytes_max), said_again_->size());
    while (out.size() - before + said_again_->size() <= piece_bytes) {
      out.insert(out.end(), said_again_->begin(), said_again_->end());
    }
    said_.endless_bytes += out.size() - before;
    if (malice_.on_endless) {
      malice_.on_endless(said_.endless_bytes);
    }
    return Ending::kNone;
  }

  void CloseSending() override { rest_->CloseSending(); }

 private:
  std::unique_ptr<Transport> rest_;
  const Malice& malice_;
  Said& said_;
  bool has_entered_ = false;
  std::optional<Bytes> said_again_;
};

class MaliciousPeer : public conformance::Peer {
 public:
  MaliciousPeer(std::unique_ptr<conformance::Peer> rest, const Malice& malice, Said& said)
      : rest_(std::move(rest)), malice_(malice), said_(said) {}

  std::expected<std::unique_ptr<Transport>, engine::Trouble> Connect(Transport::Clock::time_point deadline) override {
    auto transport = rest_->Connect(deadline);
    return transport ? std::make_unique<MaliciousTransport>(*std::move(transport), malice_, said_)
                     : std::expected<std::unique_ptr<Transport>, engine::Trouble>(std::move(transport));
  }
  std::expected<void, engine::Trouble> Restart() override { return rest_->Restart(); }

 private:
  std::unique_ptr<conformance::Peer> rest_;
  const Malice& malice_;
  Said& said_;
};

// The reference server with that malice.
class Malicious {
 public:
  explicit Malicious(Malice malice) : malice_(std::move(malice)) {}

  conformance::Target& target() { return target_; }
  [[nodiscard]] std::uint64_t endless_bytes() const { return said_.endless_bytes; }

 private:
  Malice malice_;
  Said said_;
  std::unique_ptr<conformance::Target> reference_ = conformance::ReferenceTarget();
  conformance::Target target_{{.description = "malicious", .command_line = "malicious"},
                              [this](conformance::Setup setup, auto deadline) -> conformance::PeerOrTrouble {
                                auto peer = reference_->Start(setup, deadline);
                                return peer ? std::make_unique<MaliciousPeer>(*std::move(peer), malice_, said_)
                                            : std::move(peer);
                              }};
};

FuzzOptions OneAtATimeOptions() {
  return {.seed = 1, .scripts_max = 40, .connections = 1, .tries_max = 0, .live = {.in_flight = 1}};
}

Bytes ChunkBytes(const engine::Request& request, std::uint16_t type, std::size_t payload_bytes) {
  Bytes bytes;
  Encode(
      engine::ServerMessage(Chunk{.flags = 0, .type = type, .cookie = request.cookie, .payload = Bytes(payload_bytes)}),
      bytes);
  return bytes;
}

// Of a READ: the same data again and again, whole.
Bytes SameData(const engine::Request& request) {
  Bytes bytes;
  Encode(engine::ServerMessage(Chunk{
             .flags = 0,
             .type = engine::ChunkType::kOffsetData,
             .cookie = request.cookie,
             .payload = EncodePayload(engine::OffsetData{.offset = request.offset, .data = Bytes(request.length)})}),
         bytes);
  return bytes;
}

struct Endless {
  const char* name;
  std::uint16_t command;
  std::function<Bytes(const engine::Request& request)> says;
};

class EndlessAnswer : public testing::TestWithParam<Endless> {};

TEST_P(EndlessAnswer, IsAFindingAndLittleIsHeld) {
  Malicious server({.endless = GetParam().says, .command = GetParam().command, .after = 20});
  std::atomic<bool> has_found = false;
  FuzzOptions options = OneAtATimeOptions();
  options.live.cancelled = &has_found;
  options.on_finding = [&](const Finding&, const std::string&) { has_found = true; };
  const FuzzReport report = Fuzz(server.target(), options);
  EXPECT_TRUE(report.HasNew());
  EXPECT_FALSE(report.trouble);
  EXPECT_LT(server.endless_bytes(), 100U << 20);
}

INSTANTIATE_TEST_SUITE_P(
    Of, EndlessAnswer,
    testing::Values(
        Endless{"ReadWithTheSameData", CommandType::kRead, SameData},
        Endless{"ReadWithErrors", CommandType::kRead,
                [](const auto& request) { return ChunkBytes(request, engine::ChunkType::kError, 6); }},
        Endless{"ReadWithNone", CommandType::kRead,
                [](const auto& request) { return ChunkBytes(request, engine::ChunkType::kNone, 0); }},
        Endless{"WriteWithNone", CommandType::kWrite,
                [](const auto& request) { return ChunkBytes(request, engine::ChunkType::kNone, 0); }},
        Endless{"WriteWithErrors", CommandType::kWrite,
                [](const auto& request) { return ChunkBytes(request, engine::ChunkType::kError, 6); }},
        Endless{"WriteWithLongErrors", CommandType::kWrite,
                [](const auto& request) { return ChunkBytes(request, engine::ChunkType::kError, 1 << 16); }},
        Endless{"StatusWithDescriptors", CommandType::kBlockStatus,
                [](const auto& request) { return ChunkBytes(request, engine::ChunkType::kBlockStatus, 4 + 8 * 1024); }},
        Endless{"TrimWithHugeChunks", CommandType::kTrim,
                [](const auto& request) { return ChunkBytes(request, engine::ChunkType::kNone, 8 << 20); }}),
    [](const auto& param) { return param.param.name; });

TEST(EndlessAnswer, WhileTheServerIsLearnedIsAFindingToo) {
  Malicious server({.endless = SameData});
  const FuzzReport report = Fuzz(server.target(), OneAtATimeOptions());
  EXPECT_TRUE(report.HasNew());
  EXPECT_TRUE(report.is_unusable);
  EXPECT_EQ(report.script_count, 0U);
}

TEST(EndlessAnswer, OfOneOfTwoIsUnsound) {
  Malicious server({.endless = SameData, .after = 20});
  const auto right = conformance::ReferenceTarget();
  const DiffReport report = Diff(*right, server.target(), {.scripts_max = 4});
  EXPECT_GT(report.count(DifferenceKind::kSoundness) + report.count(DifferenceKind::kDisconnect), 0U);
}

// --- What is wrong before the first script ---

FuzzReport FuzzOf(conformance::ReferenceOptions options) {
  const auto target = conformance::ReferenceTarget(std::move(options));
  return Fuzz(*target, OneAtATimeOptions());
}

TEST(Learning, BlockSizesThatBreakAMustAreAFinding) {
  const FuzzReport report = FuzzOf({.offers = {.block_size = engine::InfoBlockSize{.minimum = 3}}});
  ASSERT_EQ(report.findings.size(), 1U);
  EXPECT_EQ(report.findings.front().finding.rule, spec::kBlockSizeMinPowerOf2);
  EXPECT_TRUE(report.is_unusable);
}

// Each piece that the server says, with its bytes changed: the first of one piece, its magic.
conformance::WireFactory SpoilsPiece(int number) {
  return [number] {
    return [number, count = 0](ByteView bytes, Bytes& arrives) mutable {
      arrives.assign(bytes.begin(), bytes.end());
      if (count++ == number && !arrives.empty()) {
        arrives.front() ^= 1;
      }
      return true;
    };
  };
}

TEST(Learning, AWrongMagicIsAFindingThatShowsAgain) {
  for (const auto& [number, rule] :
       {std::pair{0, std::string_view(spec::kHandshakeMagic)}, {1, std::string_view(spec::kOptionReplyMagic)}}) {
    const auto target = conformance::ReferenceTarget({.wires = SpoilsPiece(number)});
    FuzzOptions options = OneAtATimeOptions();
    options.tries_max = 20;
    const FuzzReport report = Fuzz(*target, options);
    ASSERT_EQ(report.findings.size(), 1U) << rule;
    const Finding& finding = report.findings.front().finding;
    EXPECT_EQ(finding.rule, rule);
    EXPECT_EQ(finding.state, FindingState::kReproduced);
    EXPECT_TRUE(finding.script.steps.empty());
    EXPECT_FALSE(finding.transcript.empty());
    EXPECT_TRUE(report.is_unusable);
  }
}

// A server that greets only the first clients.
TEST(Learning, ScriptsThatCannotBeRunAreNoSuccess) {
  for (const int greeted : {1, 2, 3}) {
    auto clients = std::make_shared<int>(0);
    const FuzzReport report = FuzzOf({.wires = [=] {
      const bool is_greeted = ++*clients <= greeted;
      return [=](ByteView bytes, Bytes& arrives) {
        arrives.assign(bytes.begin(), bytes.end());
        return is_greeted;
      };
    }});
    EXPECT_TRUE(report.findings.empty());
    EXPECT_TRUE(report.is_unusable) << greeted;
    EXPECT_TRUE(report.trouble) << greeted;
    EXPECT_LE(report.script_count, 1U);
  }
}

// A server that ends in that way once its first client has left.
class OneClientPeer : public conformance::Peer {
 public:
  OneClientPeer(std::unique_ptr<conformance::Peer> rest, std::string ends)
      : rest_(std::move(rest)), ends_(std::move(ends)) {}

  std::expected<std::unique_ptr<Transport>, engine::Trouble> Connect(Transport::Clock::time_point deadline) override {
    if (clients_++ > 0) {
      return std::unexpected(engine::Trouble{"Nobody is there."});
    }
    return rest_->Connect(deadline);
  }
  std::optional<std::string> Ended() override { return clients_ > 1 ? std::optional(ends_) : std::nullopt; }
  std::expected<void, engine::Trouble> Restart() override {
    clients_ = 0;
    return rest_->Restart();
  }

 private:
  std::unique_ptr<conformance::Peer> rest_;
  std::string ends_;
  int clients_ = 0;
};

class OneClient {
 public:
  explicit OneClient(std::string ends) : ends_(std::move(ends)) {}

  conformance::Target& target() { return target_; }

 private:
  std::string ends_;
  std::unique_ptr<conformance::Target> reference_ = conformance::ReferenceTarget();
  conformance::Target target_{{.description = "one client", .command_line = "one client"},
                              [this](conformance::Setup setup, auto deadline) -> conformance::PeerOrTrouble {
                                auto peer = reference_->Start(setup, deadline);
                                return peer ? std::make_unique<OneClientPeer>(*std::move(peer), ends_)
                                            : std::move(peer);
                              }};
};

TEST(OneClient, AServerThatEndsWellWhenItHasLeftIsNotAccused) {
  OneClient server{std::string(conformance::kEndedWell)};
  const FuzzReport report = Fuzz(server.target(), OneAtATimeOptions());
  EXPECT_TRUE(report.findings.empty());
  EXPECT_TRUE(report.is_unusable);
  ASSERT_TRUE(report.trouble);
  EXPECT_TRUE(report.trouble->sentence.contains("Let it stay")) << report.trouble->sentence;
}

TEST(OneClient, AServerThatDiesWhenItHasLeftIs) {
  OneClient server("exited with status 1");
  const FuzzReport report = Fuzz(server.target(), OneAtATimeOptions());
  ASSERT_EQ(report.findings.size(), 1U);
  EXPECT_EQ(report.findings.front().finding.kind, FindingKind::kCrash);
}

// It was left in the middle of a READ, which was nothing to show a script by.
TEST(OneClient, WhoseTimeIsOverWhileItIsLearnedIsNotAccused) {
  OneClient server("killed by SIGABRT");
  LiveOptions options = OneAtATimeOptions().live;
  options.deadline = Transport::Clock::now();
  const auto ran = RunOnFreshServer(server.target(), {.size = 1}, options);
  ASSERT_TRUE(ran) << ran.error().sentence;
  EXPECT_FALSE(ran->finding);
}

// --- What does not come up after a power cut ---

// The reference server on a disk of ours, on which it does not start again.
class NotPoweredUp : public conformance::Peer, public conformance::Storage {
 public:
  NotPoweredUp(std::unique_ptr<conformance::Peer> rest, bool is_down) : rest_(std::move(rest)), is_down_(is_down) {}

  std::expected<std::unique_ptr<Transport>, engine::Trouble> Connect(Transport::Clock::time_point deadline) override {
    return rest_->Connect(deadline);
  }
  std::optional<std::string> Ended() override {
    return is_cut_ && is_down_ ? std::optional<std::string>(conformance::kIsDown) : std::nullopt;
  }
  std::expected<void, engine::Trouble> Restart() override { return rest_->Restart(); }
  conformance::Storage* storage() override { return this; }
  void CutPower(const engine::PowerCut& cut) override {
    is_cut_ = true;
    rest_->storage()->CutPower(cut);
  }
  std::expected<void, engine::Trouble> PowerUp(Transport::Clock::time_point /*deadline*/) override {
    return std::unexpected(engine::Trouble{"no room"});
  }
  void With(const std::function<void(engine::VolatileDisk& disk)>& use) override { rest_->storage()->With(use); }

 private:
  std::unique_ptr<conformance::Peer> rest_;
  bool is_down_;
  bool is_cut_ = false;
};

std::expected<RunResult, engine::Trouble> CutPowerOf(bool is_down) {
  const auto reference = conformance::ReferenceTarget();
  conformance::Target target({.description = "", .command_line = ""},
                             [&](conformance::Setup setup, auto deadline) -> conformance::PeerOrTrouble {
                               return std::make_unique<NotPoweredUp>(*reference->Start(setup, deadline), is_down);
                             });
  LiveOptions options = OneAtATimeOptions().live;
  options.power_cut = true;
  return RunOnFreshServer(target, {.size = 1, .steps = {engine::CutStep{}}}, options);
}

TEST(PowerCut, WhoDoesNotStartOnWhatItLeftIsAFinding) {
  const auto ran = CutPowerOf(/*is_down=*/false);
  ASSERT_TRUE(ran) << ran.error().sentence;
  ASSERT_TRUE(ran->finding);
  EXPECT_EQ(ran->finding->request_kind, "cut");
}

TEST(PowerCut, WhoCannotBeStartedIsNoFinding) {
  const auto ran = CutPowerOf(/*is_down=*/true);
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().sentence, "no room");
}

// --- Silent, cancelled, and slow ---

// Says the first bytes of a greeting, and no more.
class SilentTransport : public Transport {
 public:
  explicit SilentTransport(std::size_t greeting_bytes) : left_(kGreeting.substr(0, greeting_bytes)) {}

  Ending SendSome(ByteView& bytes, Clock::time_point /*deadline*/) override {
    bytes = {};
    return Ending::kNone;
  }
  Ending Receive(Bytes& out, std::size_t bytes_max, Clock::time_point deadline) override {
    if (left_.empty()) {
      std::this_thread::sleep_until(deadline);
      return Ending::kTimedOut;
    }
    const std::string_view said = left_.substr(0, bytes_max);
    out.insert(out.end(), said.begin(), said.end());
    left_.remove_prefix(said.size());
    return Ending::kNone;
  }
  void CloseSending() override {}

 private:
  static constexpr std::string_view kGreeting{"NBDMAGICIHAVEOPT\x00\x03", 18};
  std::string_view left_;
};

class SilentPeer : public conformance::Peer {
 public:
  explicit SilentPeer(std::size_t greeting_bytes) : greeting_bytes_(greeting_bytes) {}

  std::expected<std::unique_ptr<Transport>, engine::Trouble> Connect(Transport::Clock::time_point) override {
    return std::make_unique<SilentTransport>(greeting_bytes_);
  }
  std::expected<void, engine::Trouble> Restart() override { return {}; }

 private:
  std::size_t greeting_bytes_;
};

class SilentServer : public testing::TestWithParam<std::size_t> {};

// Were each try to enter to take all of start_timeout, this would last longer than a test may.
TEST_P(SilentServer, IsNotWaitedForAsLongAsAStart) {
  conformance::Target target(
      {.description = "", .command_line = "", .is_ours = false},  // So that nobody waits for its end.
      [](auto, auto) -> conformance::PeerOrTrouble { return std::make_unique<SilentPeer>(GetParam()); });
  LiveOptions options = OneAtATimeOptions().live;
  options.reply_timeout = milliseconds(5);
  options.start_timeout = std::chrono::hours(1);
  const auto ran = RunOnFreshServer(target, {.size = 1}, options);
  ASSERT_FALSE(ran);
  EXPECT_TRUE(ran.error().sentence.contains("cannot be entered")) << ran.error().sentence;
}

INSTANTIATE_TEST_SUITE_P(After, SilentServer, testing::Values(0, 10, 18));

// Errors never end an answer, and 65,536 of them are not yet too many.
TEST(EndlessAnswer, EndsWhenTheRunIsCancelled) {
  std::atomic<bool> cancelled = false;
  Malicious server({.endless = [](const auto& request) { return ChunkBytes(request, engine::ChunkType::kError, 6); },
                    .command = CommandType::kWrite,
                    .after = 5,
                    .piece_bytes_max = 26,
                    .on_endless = [&](std::uint64_t bytes) { cancelled = bytes > 1000; }});
  FuzzOptions options = OneAtATimeOptions();
  options.live.cancelled = &cancelled;
  const FuzzReport report = Fuzz(server.target(), options);
  EXPECT_FALSE(report.HasNew());
  EXPECT_FALSE(report.trouble);
  EXPECT_LT(server.endless_bytes(), 2000U);
}

TEST(SlowServer, ThatPassesAFewBytesIsTooSlowAndNotAccused) {
  Malicious server({.piece_bytes_max = 1, .pause = milliseconds(5)});
  FuzzOptions options = OneAtATimeOptions();
  options.live.reply_timeout = milliseconds(50);
  options.live.start_timeout = std::chrono::minutes(1);
  const FuzzReport report = Fuzz(server.target(), options);
  EXPECT_TRUE(report.findings.empty());
  EXPECT_TRUE(report.is_unusable);
  ASSERT_TRUE(report.trouble);
  EXPECT_TRUE(report.trouble->sentence.contains("too slow")) << report.trouble->sentence;
}

TEST(SlowServer, ThatGoesOnIsJudged) {
  Malicious server({.piece_bytes_max = 16 << 10, .pause = milliseconds(1)});
  FuzzOptions options = OneAtATimeOptions();
  options.scripts_max = 2;
  options.live.reply_timeout = milliseconds(200);  // Far less than all of it takes.
  const FuzzReport report = Fuzz(server.target(), options);
  EXPECT_FALSE(report.trouble) << report.trouble->sentence;
  EXPECT_TRUE(report.findings.empty());
  EXPECT_EQ(report.script_count, 2U);
}

}  // namespace
}  // namespace nbdspec::fuzz
