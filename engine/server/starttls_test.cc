// SPDX-License-Identifier: BSD-3-Clause
// What the reference server says before TLS in each mode, and that it knows where TLS begins. Of TLS itself it has
// nothing.

#include <gtest/gtest.h>

#include "engine/server/server.h"

namespace nbdspec::engine {
namespace {

class Starttls : public testing::Test {
 protected:
  // A server whose greeting is taken and answered.
  Server Haggling(TlsMode tls, std::uint32_t flags = ClientFlag::kFixedNewstyle) {
    Server server({.tls = tls}, {&open_, &hidden_});
    server.Receive(Encode(ClientFlags{.flags = flags}));
    (void)server.TakeOutput();
    return server;
  }

  // The types of the replies to `option`; none: the connection is closed.
  static std::vector<std::uint32_t> Types(Server& server, const Option& option) {
    server.Receive(Encode(option));
    ServerDecoder decoder;
    decoder.Feed(Encode(Greeting{}));
    (void)decoder.Next();
    decoder.Feed(server.TakeOutput());
    std::vector<std::uint32_t> types;
    while (const auto next = decoder.Next()) {
      types.push_back(std::get<OptionReply>(std::get<PlacedServerMessage>(*next).message).type);
    }
    return types;
  }

  static Option Info(const std::string& name) { return MakeOption(OptionType::kInfo, {.export_name = name}); }

  Export open_{.options = {.name = "open"}, .disk = Disk(512)};
  Export hidden_{.options = {.name = "hidden", .tls_only = true}, .disk = Disk(512)};
};

using Replies = std::vector<std::uint32_t>;
const Option kStarttls = MakeOption(OptionType::kStarttls);
const Option kList = MakeOption(OptionType::kList);

TEST_F(Starttls, ForcedServerAnswersNothingBefore) {
  for (const Option& option : {kList, Info("open"), MakeOption(OptionType::kStructuredReply), Option{.option = 77}}) {
    Server server = Haggling(TlsMode::kForced);
    EXPECT_EQ(Types(server, option), Replies{OptionReplyType::kErrTlsReqd}) << OptionName(option.option);
  }
  Server server = Haggling(TlsMode::kForced);
  server.Receive(Encode(MakeOption(OptionType::kExportName, {.export_name = "open"})));
  EXPECT_TRUE(server.TakeOutput().empty());
  EXPECT_TRUE(server.closed());
}

TEST_F(Starttls, SelectiveServerHidesWhatNeedsTls) {
  Server server = Haggling(TlsMode::kSelective);
  EXPECT_EQ(Types(server, kList), (Replies{OptionReplyType::kServer, OptionReplyType::kAck}));
  EXPECT_EQ(Types(server, Info("open")), (Replies{OptionReplyType::kInfo, OptionReplyType::kAck}));
  EXPECT_EQ(Types(server, Info("hidden")), Replies{OptionReplyType::kErrTlsReqd});
  EXPECT_EQ(Types(server, kStarttls), Replies{OptionReplyType::kAck});
  EXPECT_TRUE(server.BeginTls().empty());
  EXPECT_EQ(Types(server, kList), (Replies{OptionReplyType::kServer, OptionReplyType::kServer, OptionReplyType::kAck}));
  EXPECT_EQ(Types(server, Info("hidden")), (Replies{OptionReplyType::kInfo, OptionReplyType::kAck}));
  EXPECT_EQ(Types(server, kStarttls), Replies{OptionReplyType::kErrInvalid});
  EXPECT_FALSE(server.tls_is_due());
}

TEST_F(Starttls, WhatComesBehindIsOfTls) {
  Server server = Haggling(TlsMode::kSelective);
  Bytes bytes = Encode(kStarttls);
  const Bytes behind = Encode(kList);
  bytes.insert(bytes.end(), behind.begin(), behind.end());
  server.Receive(bytes);
  (void)server.TakeOutput();
  EXPECT_TRUE(server.tls_is_due());
  EXPECT_EQ(server.BeginTls(), behind);
  EXPECT_TRUE(server.TakeOutput().empty());
}

TEST_F(Starttls, NeedsFixedNewstyleAndNoData) {
  Server server = Haggling(TlsMode::kSelective, /*flags=*/0);
  EXPECT_EQ(Types(server, kStarttls), Replies{OptionReplyType::kErrPolicy});
  server = Haggling(TlsMode::kSelective);
  EXPECT_EQ(Types(server, Option{.option = OptionType::kStarttls, .payload = {0}}),
            Replies{OptionReplyType::kErrInvalid});
  EXPECT_FALSE(server.tls_is_due());
  server = Haggling(TlsMode::kNone);
  EXPECT_EQ(Types(server, kStarttls), Replies{OptionReplyType::kErrUnsup});
}

}  // namespace
}  // namespace nbdspec::engine
