// SPDX-License-Identifier: BSD-3-Clause
// Both ends of a handshake against each other, over every order of a few options: client and server must know the same,
// and it must be what the options say by a rule that is written down here once more, naively.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "engine/negotiation/client_negotiation.h"
#include "engine/server/server.h"
#include "engine/wire/messages.h"

namespace nbdspec::engine {
namespace {

constexpr std::uint64_t kDiskBytes = 4096;

class InMemoryClient : public ClientNegotiation {
 public:
  explicit InMemoryClient(Server& server) : ClientNegotiation(Limits{}), server_(server) {}

 private:
  void SendMessage(const ClientMessage& message) override { server_.Receive(Encode(message)); }

  Received<ServerMessage> ReceiveMessage() override {
    for (Bytes bytes = server_.TakeOutput(); !bytes.empty(); bytes = server_.TakeOutput()) {
      decoder_.Feed(bytes);
    }
    auto next = decoder_.Next();
    if (!next || !std::holds_alternative<PlacedServerMessage>(*next)) {
      return std::unexpected(ReceiveError{.kind = ReceiveError::kClosed, .text = "nothing"});
    }
    return std::get<PlacedServerMessage>(std::move(*next)).message;
  }

  Server& server_;
};

struct Ask {
  std::uint32_t option;
  std::string export_name = {};
};

const Ask kAsks[] = {
    {OptionType::kStructuredReply},
    {OptionType::kExtendedHeaders},
    {OptionType::kSetMetaContext, ""},
    {OptionType::kSetMetaContext, "b"},
    {OptionType::kSetMetaContext, "none"},
    {OptionType::kInfo, "b"},
    {OptionType::kListMetaContext, ""},
    {OptionType::kStarttls},
    {OptionType::kGo, ""},
    {OptionType::kGo, "b"},
    {OptionType::kGo, "none"},
    {OptionType::kExportName, ""},
    {OptionType::kExportName, "b"},
};

// What a reader of the specification expects after `asks`.
struct Expected {
  bool structured = false;
  bool extended = false;
  bool ended = false;  // By EXPORT_NAME, which no client may send after EXTENDED_HEADERS.
  bool transmission = false;
  bool has_context = false;

  explicit Expected(const std::vector<Ask>& asks) {
    std::string selected = "none";  // The export that the selection in force is for.
    for (const Ask& ask : asks) {
      extended = extended || ask.option == OptionType::kExtendedHeaders;
      structured = structured || extended || ask.option == OptionType::kStructuredReply;
      ended = extended && ask.option == OptionType::kExportName;
      if (ask.option == OptionType::kSetMetaContext) {
        selected = structured ? ask.export_name : "none";
      }
      const bool enters = ask.option == OptionType::kGo || ask.option == OptionType::kExportName;
      transmission = enters && ask.export_name != "none";
      has_context = selected != "none" && (!transmission || selected == ask.export_name);
    }
  }
};

class HandshakeTest : public testing::TestWithParam<std::uint16_t> {
 protected:
  // Tries `asks`, and every longer order that begins with them.
  void TryAll(std::vector<Ask>& asks, std::size_t length_max) {
    const bool goes_on = Try(asks);
    ++tried_;
    if (!goes_on || asks.size() == length_max || testing::Test::HasFailure()) {
      return;
    }
    for (const Ask& ask : kAsks) {
      asks.push_back(ask);
      TryAll(asks, length_max);
      asks.pop_back();
    }
  }

  // Returns whether the client may ask more.
  bool Try(const std::vector<Ask>& asks) {
    Server server({.handshake_flags = GetParam()}, {&default_, &other_});
    InMemoryClient client(server);
    EXPECT_TRUE(client.Greet());
    std::string order;
    std::vector<Ask> asked;
    for (const Ask& ask : asks) {
      asked.push_back(ask);
      order += OptionName(ask.option) + " '" + ask.export_name + "'; ";
      const OptionData data{.export_name = ask.export_name, .queries = {std::string(kBaseAllocation)}};
      const bool answered = ask.option == OptionType::kExportName
                                ? client.EnterByName(ask.export_name).has_value()
                                : client.Try(MakeOption(ask.option, data)).has_value();
      if (!client.negotiated().is_fixed_newstyle() && ask.option != OptionType::kExportName) {
        EXPECT_TRUE(!answered && server.closed()) << order;  // option.export-name.others-need-fixed
        return false;
      }
      EXPECT_EQ(answered, !Expected(asked).ended) << order;
    }
    const Negotiated& state = server.state();
    const Expected expected(asks);
    if (expected.ended) {
      EXPECT_TRUE(server.closed()) << order;
      return false;
    }
    EXPECT_EQ(state.headers == HeaderForm::kExtended, expected.extended) << order;
    EXPECT_EQ(client.negotiated(), state) << order;
    EXPECT_EQ(state.structured_replies, expected.structured) << order;
    EXPECT_EQ(state.transmission, expected.transmission) << order;
    EXPECT_EQ(!state.contexts.empty(), expected.has_context) << order;
    if (state.transmission) {
      EXPECT_EQ(state.export_name, asks.back().export_name) << order;
      EXPECT_EQ(state.info.size, kDiskBytes + asks.back().export_name.size()) << order;
    }
    return !state.transmission;
  }

  int tried_ = 0;

 private:
  Export default_{{.name = ""}, Disk(kDiskBytes)};
  Export other_{{.name = "b"}, Disk(kDiskBytes + 1)};
};

TEST_P(HandshakeTest, BothEndsKnowTheSameAfterEveryOrderOfOptions) {
  std::vector<Ask> asks;
  TryAll(asks, 4);
  EXPECT_GT(tried_, (GetParam() & HandshakeFlag::kFixedNewstyle) != 0 ? 5000 : 12);
}

INSTANTIATE_TEST_SUITE_P(HandshakeFlags, HandshakeTest, testing::Values(0, 1, 2, 3));

TEST(Handshake, AnOldstyleGreetingEntersTheDefaultExport) {
  Export served({.name = ""}, Disk(kDiskBytes));
  Server server({.oldstyle = true}, {&served});
  InMemoryClient client(server);
  ASSERT_TRUE(client.Greet());
  EXPECT_EQ(client.EnterByGoOrName("any"), ClientNegotiation::EnteredBy(0));
  EXPECT_EQ(client.negotiated(), server.state());
  EXPECT_TRUE(server.state().oldstyle && server.state().transmission);
  EXPECT_EQ(server.state().info.size, kDiskBytes);
  EXPECT_FALSE(server.state().Has(TransmissionFlag::kSendDf));
}

}  // namespace
}  // namespace nbdspec::engine
