// SPDX-License-Identifier: BSD-3-Clause
#include "engine/conduct/client_rules.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "engine/spec/catalogue.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine {
namespace {

// A client's end of one connection to the reference server, as bytes.
class Conversation {
 public:
  Conversation() { Take(); }

  Conversation& Say(const ClientMessage& message) { return SayBytes(Encode(message)); }
  Conversation& SayBytes(const Bytes& bytes) {
    said_ += bytes.size();
    server_.Receive(bytes);
    Take();
    return *this;
  }
  Conversation& Leave(Departure::How how = Departure::How::kClosed) {
    if (server_.closed() && !recorder_.has_server_ended() && said_ > recorder_.message_bytes()) {
      recorder_.CannotRead({});
    }
    recorder_.Left({.how = how});
    return *this;
  }
  Conversation& Enter() {
    return Say(ClientFlags{})
        .Say(MakeOption(OptionType::kStructuredReply))
        .Say(MakeOption(OptionType::kGo, {.requests = {InfoType::kBlockSize}}));
  }

  // The clauses that were violated.
  [[nodiscard]] std::vector<std::string_view> Violated() const { return With(Ruling::Kind::kViolated); }
  [[nodiscard]] std::vector<std::string_view> Kept() const { return With(Ruling::Kind::kKept); }

 private:
  void Take() {
    while (!server_.TakeOutput().empty()) {
    }
    recorder_.AllSent();
  }
  [[nodiscard]] std::vector<std::string_view> With(Ruling::Kind kind) const {
    std::vector<std::string_view> ids;
    for (const ConductRuling& each : JudgeConduct(recorder_.record())) {
      if (each.ruling.kind == kind) {
        ids.push_back(each.requirement);
      }
    }
    return ids;
  }

  Export export_{.options = {.name = ""}, .disk = Disk(1 << 20)};
  Recorder recorder_{nullptr};
  Server server_{{}, {&export_}, &recorder_};
  std::uint64_t said_ = 0;
};

using Ids = std::vector<std::string_view>;

const Request kDisc = {.type = CommandType::kDisc};

TEST(ClientRules, AreOfClausesThatBindClients) {
  for (const ClientRule& rule : AllClientRules()) {
    const spec::Requirement* row = spec::TheCatalogue().Find(rule.requirement);
    ASSERT_NE(row, nullptr) << rule.requirement;
    EXPECT_EQ(row->role, spec::Role::kClient) << rule.requirement;
  }
}

TEST(ClientRules, AccuseNoClientThatKeepsThem) {
  Conversation right;
  right.Enter().Say(Request{.cookie = 1, .length = 4096}).Say(kDisc).Leave(Departure::How::kServerEnd);
  EXPECT_EQ(right.Violated(), Ids());
  EXPECT_EQ(std::ranges::count(right.Kept(), spec::kTransmissionBoundsClient), 1);
  EXPECT_EQ(std::ranges::count(right.Kept(), spec::kTrimClientGated), 0);  // It did not trim.
}

TEST(ClientRules, AccuseWhoLeavesInSilence) {
  EXPECT_EQ(Conversation().Enter().Leave().Violated(),
            Ids({spec::kTransmissionDisconnectOnlyAllowedClient, spec::kBaselineDiscClient}));
  EXPECT_EQ(Conversation().Say(ClientFlags{}).Leave().Violated(), Ids({spec::kSessionClientMustSoft}));
}

TEST(ClientRules, DoNotAccuseWhoLeavesAnOldstyleServerThatItSentNothing) {
  const auto violated = [](bool asks) {
    Record record;
    record.seen.push_back({.what = ServerMessage(OldstyleGreeting{.size = 4096})});
    if (asks) {
      record.seen.push_back({.what = ClientMessage(Request{.cookie = 1, .length = 512})});
    }
    record.seen.push_back({.what = Departure{}});
    Ids ids;
    for (const ConductRuling& each : JudgeConduct(record)) {
      if (each.ruling.kind == Ruling::Kind::kViolated) {
        ids.push_back(each.requirement);
      }
    }
    return ids;
  };
  EXPECT_EQ(violated(/*asks=*/false), Ids());
  EXPECT_EQ(std::ranges::count(violated(/*asks=*/true), spec::kBaselineDiscClient), 1);
}

TEST(ClientRules, AccuseRequestsPastTheEnd) {
  EXPECT_EQ(Conversation().Enter().Say(Request{.offset = 1 << 20, .length = 512}).Say(kDisc).Leave().Violated(),
            Ids({spec::kTransmissionBoundsClient}));
}

TEST(ClientRules, AccuseOptionsThatDoNotWait) {
  Bytes both = Encode(ClientMessage(MakeOption(OptionType::kList)));
  const Bytes abort = Encode(ClientMessage(MakeOption(OptionType::kAbort)));
  both.insert(both.end(), abort.begin(), abort.end());
  EXPECT_EQ(Conversation().Say(ClientFlags{}).SayBytes(both).Leave().Violated(), Ids({spec::kOptionSerial}));
}

TEST(ClientRules, AccuseWhatIsNoMessageOnce) {
  EXPECT_EQ(Conversation()
                .Enter()
                .Say(Request{.magic = 0x25609514, .length = 512})
                .Leave(Departure::How::kServerEnd)
                .Violated(),
            Ids({spec::kTransmissionRequestMagic}));  // Without its bytes nobody knows that this one is reserved.
  EXPECT_EQ(Conversation()
                .Say(ClientFlags{})
                .Say(Option{.magic = 1, .option = OptionType::kList})
                .Leave(Departure::How::kServerEnd)
                .Violated(),
            Ids({spec::kOptionHeaderMagic}));
}

}  // namespace
}  // namespace nbdspec::engine
