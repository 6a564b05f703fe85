// SPDX-License-Identifier: BSD-3-Clause
// The reference client over sockets: on every server that nbdspec knows, and on every right one of a scenario.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "conformance/clients/scenario.h"
#include "conformance/peer/clients/recorded_connections.h"
#include "conformance/peer/socket/socket_server.h"
#include "conformance/peer/target.h"
#include "conformance/peer/targets/started_peer.h"
#include "conformance/peer/targets/uri.h"
#include "conformance/peer/testdata/peer_fixture.h"
#include "engine/client/client.h"
#include "engine/conduct/client_rules.h"

namespace nbdspec::conformance {
namespace {

using engine::Bytes;
using engine::ByteView;
using engine::ClientResult;
using engine::ReceiveError;
using Clock = Transport::Clock;

// A connection of the reference client.
class TransportLink final : public engine::ClientLink {
 public:
  explicit TransportLink(std::unique_ptr<Transport> transport) : transport_(std::move(transport)) {}

  void Send(ByteView bytes) override {
    if (transport_) {
      (void)transport_->Send(bytes, Late());
    }
  }
  std::optional<ReceiveError> Receive(Bytes& out) override {
    switch (transport_ ? transport_->Receive(out, 1 << 20, Late()) : Ending::kClosed) {
      case Ending::kNone:
        return {};
      case Ending::kClosed:
        return ReceiveError{.kind = ReceiveError::kClosed, .text = "the server closed the connection"};
      case Ending::kReset:
        return ReceiveError{.kind = ReceiveError::kReset, .text = "the server reset the connection"};
      case Ending::kTimedOut:
        return ReceiveError{.kind = ReceiveError::kTimedOut, .text = "the server said nothing"};
    }
    return {};
  }
  std::expected<void, std::string> BeginTls(ByteView /*behind*/) override { return std::unexpected("there is no TLS"); }
  void Close() override { transport_.reset(); }
  void Drop() override { transport_.reset(); }

 private:
  static Clock::time_point Late() { return Clock::now() + std::chrono::seconds(20); }

  std::unique_ptr<Transport> transport_;
};

// As other bytes than before, with zeroes among them.
Bytes Inverted(Bytes bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = i / 40'000 % 3 == 1 ? std::uint8_t{0} : static_cast<std::uint8_t>(bytes[i] ^ 0xa5);
  }
  return bytes;
}

// Copies out, maps, copies in, and copies out again.
void ExpectCopies(Peer& peer, const std::string& export_name, const Bytes& truth, bool may_write) {
  const engine::ConnectFunction connect = [&]() -> std::unique_ptr<engine::ClientLink> {
    auto transport = peer.Connect(Clock::now() + std::chrono::seconds(20));
    return transport ? std::make_unique<TransportLink>(*std::move(transport)) : nullptr;
  };
  const ClientResult out =
      engine::RunClient(connect, {.export_name = export_name, .copies_in = {}, .maps = true, .copies_out = true});
  EXPECT_TRUE(out.succeeded) << out.why;
  EXPECT_TRUE(out.bytes == truth);
  std::uint64_t end = 0;
  for (const engine::ClientExtent& each : out.map.value_or(std::vector<engine::ClientExtent>())) {
    EXPECT_EQ(each.offset, end);
    end += each.length;
  }
  EXPECT_EQ(end, truth.size());
  if (may_write) {
    const Bytes input = Inverted(truth);
    const ClientResult in =
        engine::RunClient(connect, {.export_name = export_name, .copies_in = input, .copies_out = true});
    EXPECT_TRUE(in.succeeded) << in.why;
    EXPECT_TRUE(in.bytes == input);
  }
}

class ReferenceClient : public PeerFixture {};

TEST_F(ReferenceClient, CopiesOnEveryServer) {
  Bytes image(kImageBytes);
  for (std::uint64_t at = 0; at < image.size(); ++at) {
    image[at] = ImageByteAt(at);
  }
  ASSERT_GE(ServerNames().size(), 6U);
  for (const std::string_view name : ServerNames()) {
    SCOPED_TRACE(name);
    const auto target = TargetFromName(name).value();
    const auto peer = target->Start(Setup::kWritable, Soon());
    ASSERT_TRUE(peer.has_value()) << peer.error().sentence;
    ExpectCopies(**peer, target->ExportName(), image, /*may_write=*/true);
    EXPECT_EQ((*peer)->Ended(), std::nullopt);
  }
}

// Oddities among them. What the bytes are worth is what the self-test asks, in memory. NBDSPEC_CLIENTS_STEP: only every
// so many of them.
TEST_F(ReferenceClient, CopiesOnTheServerOfEveryScenario) {
  const auto directory = PrivateDirectory::Make().value();
  const char* const given = std::getenv("NBDSPEC_CLIENTS_STEP");
  const std::size_t step = given == nullptr ? 1 : std::strtoul(given, nullptr, 10);
  std::size_t served_count = 0;
  for (std::size_t i = 0; i < AllScenarios().size(); i += step) {
    const Scenario& scenario = AllScenarios()[i];
    if (scenario.serves != Serves::kRight || scenario.tls.is_wanted || scenario.may_fail != 0) {
      continue;
    }
    SCOPED_TRACE(scenario.name);
    ServedExport served(scenario);
    RecordedConnections connections(served.serving());
    const auto server =
        SocketServer::Make([&] { return connections.Next(); }, {.pace = scenario.pace, .hears_to_the_end = true})
            .value();
    ASSERT_TRUE(server->Listen(directory.socket_path()).has_value());
    const auto target = TargetFromUri(UnixUriOf(directory.socket_path(), scenario.export_name)).value();
    const auto peer = target->Start(Setup::kWritable, Soon()).value();
    ExpectCopies(*peer, scenario.export_name, served.truth(), /*may_write=*/true);
    server->Finish(Clock::now() + kDepartureTime);
    ClientRun run;
    connections.GiveTo(run);
    for (const engine::Record& record : run.records) {
      for (const engine::ConductRuling& ruling : engine::JudgeConduct(record)) {
        EXPECT_FALSE(ruling.ruling.is_violated()) << ruling.requirement << ": " << ruling.ruling.saw;
      }
    }
    ++served_count;
  }
  EXPECT_GE(served_count, 80 / step);
}

}  // namespace
}  // namespace nbdspec::conformance
