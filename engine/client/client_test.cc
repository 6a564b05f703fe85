// SPDX-License-Identifier: BSD-3-Clause
// The right client does its job on every right server, keeps every rule, and comes to an end on every wrong one.
#include "engine/client/client.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string_view>

#include "engine/client/testdata/play.h"
#include "engine/faults/fault.h"
#include "engine/oddities/oddity.h"
#include "engine/spec/catalogue.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine {
namespace {

using Ids = std::set<std::string_view>;

TEST(Client, CopiesOutAndMaps) {
  Export disk = MixedExport();
  MemoryServer server({&disk});
  const ClientResult result = RunClient(server.Connector(), {.maps = true, .copies_out = true});
  EXPECT_TRUE(result.succeeded) << result.why;
  EXPECT_EQ(result.bytes, ContentOf(disk));
  ASSERT_TRUE(result.map);
  EXPECT_TRUE(IsTrue(*result.map, ContentOf(disk)));
  EXPECT_EQ(result.map->size(), 7U);
  EXPECT_EQ(server.Violated(), Ids()) << server.Said();
}

TEST(Client, CopiesIn) {
  Export disk = MixedExport();
  MemoryServer server({&disk});
  const Bytes bytes = NewContent(disk.disk.size());
  const ClientResult result = RunClient(server.Connector(), {.copies_in = bytes});
  EXPECT_TRUE(result.succeeded) << result.why;
  EXPECT_EQ(ContentOf(disk), bytes);
  EXPECT_EQ(server.Violated(), Ids()) << server.Said();
}

TEST(Client, NeedsNothingThatAServerMayLack) {
  for (const ServerOptions& options :
       {ServerOptions{.oldstyle = true}, ServerOptions{.handshake_flags = 0},
        ServerOptions{.handshake_flags = HandshakeFlag::kNoZeroes},
        ServerOptions{.handshake_flags = HandshakeFlag::kFixedNewstyle}, ServerOptions{.structured_replies = false}}) {
    Export disk = MixedExport();
    MemoryServer server({&disk}, options);
    const Bytes bytes = NewContent(disk.disk.size());
    const ClientResult result = RunClient(server.Connector(), {.copies_in = bytes, .maps = true, .copies_out = true});
    EXPECT_TRUE(result.succeeded) << result.why;
    EXPECT_EQ(result.bytes, bytes);
    ASSERT_TRUE(result.map);
    EXPECT_TRUE(IsTrue(*result.map, bytes));
    EXPECT_EQ(server.Violated(), Ids()) << server.Said();
  }
}

TEST(Client, KeepsToBlockSizes) {
  for (const bool structured : {false, true}) {
    Export disk = MixedExport("", 256 * kKiB);
    disk.options.block_size = {.minimum = 4096, .preferred = 8192, .maximum = 16384};
    MemoryServer server({&disk}, {.structured_replies = structured});
    const Bytes bytes = NewContent(disk.disk.size());
    const ClientResult result = RunClient(server.Connector(), {.copies_in = bytes, .maps = true, .copies_out = true});
    EXPECT_TRUE(result.succeeded) << result.why;
    EXPECT_EQ(result.bytes, bytes);
    EXPECT_EQ(server.Violated(), Ids()) << server.Said();
  }
}

TEST(Client, SaysWhyItCannot) {
  Export disk = MixedExport("disk");
  disk.options.read_only = true;
  const auto why = [&](const ClientJob& job, bool shuts_down = false) {
    MemoryServer server({&disk});
    server.is_shutting_down = shuts_down;
    const ClientResult result = RunClient(server.Connector(), job);
    EXPECT_FALSE(result.succeeded);
    EXPECT_FALSE(result.bytes);
    EXPECT_EQ(server.Violated(), Ids()) << server.Said();
    return result.why;
  };
  EXPECT_NE(why({.export_name = "other"}).find("ERR_UNKNOWN"), std::string::npos);
  EXPECT_NE(why({.export_name = "disk", .tls = true}).find("STARTTLS"), std::string::npos);
  EXPECT_NE(why({.export_name = "disk", .copies_in = Bytes(5)}).find("5"), std::string::npos);
  EXPECT_NE(why({.export_name = "disk", .copies_in = NewContent(disk.disk.size())}).find("read-only"),
            std::string::npos);
  EXPECT_NE(why({.export_name = "disk", .copies_out = true}, true).find("SHUTDOWN"), std::string::npos);
  EXPECT_NE(why({.export_name = "disk", .copies_out = true, .export_bytes_max = 1000}).find("too large"),
            std::string::npos);
}

TEST(Client, TakesWhatRightServersAnswer) {
  for (const oddities::Oddity& oddity : oddities::AllOddities()) {
    SCOPED_TRACE(oddity.name);
    Export disk = MixedExport("", 256 * kKiB);
    ServerOptions options;
    if (oddity.server) {
      oddity.server(options);
    }
    if (oddity.offers) {
      oddity.offers(disk.options);
    }
    MemoryServer server({&disk}, options, oddity.change);
    const Bytes before = ContentOf(disk);
    const ClientResult result =
        RunClient(server.Connector(), {.tls = options.tls != TlsMode::kNone, .maps = true, .copies_out = true});
    EXPECT_TRUE(result.succeeded) << result.why;
    EXPECT_TRUE(result.bytes == before);
    if (result.map) {
      EXPECT_TRUE(IsTrue(*result.map, before));
    }
    EXPECT_EQ(server.Violated(), Ids()) << server.Said();
  }
}

// Servers that do something else than they say, so that a right client's next message is none to them.
constexpr std::string_view kTwoMinded[] = {"server_pads_oldstyle_greeting_too_much",
                                           "server_announces_data_after_ack",
                                           "server_does_not_know_go",
                                           "server_takes_go_for_info",
                                           "server_requires_block_size_of_who_asks",
                                           "server_demands_extended_headers"};

TEST(Client, ComesToAnEndOnWrongServers) {
  std::size_t noticed = 0;
  for (const faults::Fault& fault : faults::AllFaults()) {
    SCOPED_TRACE(fault.name);
    Export disk = MixedExport("", 256 * kKiB);
    MemoryServer server({&disk}, fault.server, fault.change);
    const Bytes bytes = NewContent(disk.disk.size());
    const ClientResult result =
        RunClient(server.Connector(),
                  {.tls = fault.server.tls != TlsMode::kNone, .copies_in = bytes, .maps = true, .copies_out = true});
    noticed += result.succeeded ? 0 : 1;
    for (const std::string_view id :
         std::ranges::count(kTwoMinded, fault.name) > 0 ? Ids() : server.Violated(/*is_right=*/false)) {
      EXPECT_NE(spec::SeverityOf(spec::RequirementOf(id), spec::Role::kClient), spec::Severity::kFailure)
          << id << "\n"
          << server.Said();
    }
  }
  EXPECT_GT(noticed, 80U);
}

}  // namespace
}  // namespace nbdspec::engine
