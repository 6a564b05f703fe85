// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/checks/witness.h"

#include <gtest/gtest.h>

#include <string_view>

#include "engine/spec/ids.h"
#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"

namespace nbdspec::conformance {
namespace {

constexpr std::uint32_t kList = OptionType::kList;
constexpr std::uint32_t kInfo = OptionType::kInfo;
constexpr std::uint32_t kAck = OptionReplyType::kAck;
const ReceiveError kSilence = {.kind = ReceiveError::kTimedOut, .text = "silence"};

// A connection in option haggling, or in transmission on an export of 1 MiB with structured replies.
class ConnectionWitnessTest : public testing::Test {
 protected:
  void Haggle() {
    witness_.Received(Greeting{.flags = HandshakeFlag::kFixedNewstyle});
    witness_.Sent(engine::ClientFlags{.flags = ClientFlag::kFixedNewstyle});
  }

  void Enter() {
    Haggle();
    Ask(OptionType::kStructuredReply);
    Reply(OptionType::kStructuredReply);
    Ask(OptionType::kGo);
    witness_.Received(OptionReply{.option = OptionType::kGo,
                                  .type = OptionReplyType::kInfo,
                                  .payload = engine::EncodePayload(InfoExport{.size = 1 << 20, .flags = 1})});
    Reply(OptionType::kGo);
  }

  void Ask(std::uint32_t option) { witness_.Sent(Option{.option = option}); }
  void Reply(std::uint32_t option, std::uint32_t type = kAck) {
    witness_.Received(OptionReply{.option = option, .type = type});
  }
  void Read(std::uint64_t cookie, std::uint64_t length = 512) {
    witness_.Sent(Request{.cookie = cookie, .length = length});
  }
  void Data(std::uint64_t cookie, std::uint64_t offset = 0, std::uint16_t flags = engine::ChunkFlag::kDone) {
    witness_.Received(
        Chunk{.flags = flags,
              .type = ChunkType::kOffsetData,
              .cookie = cookie,
              .payload = engine::EncodePayload(engine::OffsetData{.offset = offset, .data = engine::Bytes(512)})});
  }

  [[nodiscard]] std::string_view OutOfStep() const {
    return witness_.out_of_step() ? witness_.out_of_step()->requirement : "";
  }
  [[nodiscard]] std::string_view WrongAnswer() const {
    return witness_.wrong_answer() ? witness_.wrong_answer()->requirement : "";
  }

  ConnectionWitness witness_;
};

TEST_F(ConnectionWitnessTest, OptionsAnsweredOnceAreInStep) {
  Haggle();
  Ask(kList);
  Reply(kList, OptionReplyType::kServer);
  Reply(kList);
  Ask(kInfo);
  Reply(kInfo, OptionReplyType::kErrUnknown);
  witness_.Missed(kSilence);
  EXPECT_EQ(OutOfStep(), "");
}

TEST_F(ConnectionWitnessTest, SecondFinalReplyToAnOptionIsOutOfStep) {
  Haggle();
  Ask(kList);
  Reply(kList);
  Ask(kInfo);
  Reply(kList);
  EXPECT_EQ(OutOfStep(), spec::kOptionReplyForEveryOption);
}

TEST_F(ConnectionWitnessTest, ReplyToAnotherOptionThanTheLastAnsweredIsNotSaidToBeASecondOne) {
  Haggle();
  Ask(kList);
  Reply(kInfo);
  witness_.Missed(kSilence);
  EXPECT_EQ(OutOfStep(), "");
}

TEST_F(ConnectionWitnessTest, SilenceToAnOptionIsOutOfStepAndTheEndOfTheConnectionIsNot) {
  Haggle();
  Ask(kList);
  witness_.Missed({.kind = ReceiveError::kClosed, .text = "closed"});
  EXPECT_EQ(OutOfStep(), "");
  witness_.Missed(kSilence);
  EXPECT_EQ(OutOfStep(), spec::kOptionReplyForEveryOption);
}

TEST_F(ConnectionWitnessTest, WhatIsSentBehindStarttlsIsNoOption) {
  Haggle();
  Ask(OptionType::kStarttls);
  Ask(kList);
  Reply(OptionType::kStarttls);
  witness_.Missed(kSilence);
  EXPECT_EQ(OutOfStep(), "");
}

TEST_F(ConnectionWitnessTest, LooksAwayWhereBytesNeedNotBeAMessage) {
  Haggle();
  Ask(kList);
  witness_.SentBytes();
  witness_.Missed(kSilence);
  Reply(kInfo);
  EXPECT_EQ(OutOfStep(), "");
}

TEST_F(ConnectionWitnessTest, LooksAwayWhereAnOptionIsNotWhole) {
  Haggle();
  witness_.Sent(Option{.option = kList, .length_field = 12});
  witness_.Missed(kSilence);
  EXPECT_EQ(OutOfStep(), "");
}

TEST_F(ConnectionWitnessTest, RightAnswersToRequestsAreRight) {
  Enter();
  Read(1);
  Read(2);
  Data(2);
  Data(1);
  witness_.Missed(kSilence);
  EXPECT_EQ(OutOfStep(), "");
  EXPECT_EQ(WrongAnswer(), "");
}

TEST_F(ConnectionWitnessTest, MoreRepliesThanRequestsAreOutOfStep) {
  Enter();
  Read(1);
  Data(1);
  Data(7);
  EXPECT_EQ(OutOfStep(), spec::kTransmissionReplyPerRequest);
}

TEST_F(ConnectionWitnessTest, ReplyWithTheCookieOfNoRequestMayBeForOneInFlight) {
  Enter();
  Read(1);
  Data(7, 0, /*flags=*/0);
  Data(7);
  witness_.Missed(kSilence);
  EXPECT_EQ(OutOfStep(), "");
  Data(1);
  EXPECT_EQ(OutOfStep(), spec::kTransmissionReplyPerRequest);
}

TEST_F(ConnectionWitnessTest, SecondReplyToARequestIsOutOfStep) {
  Enter();
  Read(1);
  Data(1);
  Data(1);
  EXPECT_EQ(OutOfStep(), spec::kTransmissionReplyPerRequest);
}

TEST_F(ConnectionWitnessTest, AnswerWithoutAnEndIsOutOfStepUnlessTheRequestIsLong) {
  Enter();
  Read(1);
  Data(1, 0, /*flags=*/0);
  witness_.Missed(kSilence);
  EXPECT_EQ(OutOfStep(), spec::kTransmissionReplyPerRequest);
}

TEST_F(ConnectionWitnessTest, SilenceSaysNothingOfALongRequest) {
  Enter();
  Read(1, 1 << 20);
  witness_.Missed(kSilence);
  EXPECT_EQ(OutOfStep(), "");
}

TEST_F(ConnectionWitnessTest, BytesThatAreNoReplyAreNone) {
  Enter();
  Read(1);
  witness_.Missed({.kind = ReceiveError::kUndecodable, .text = "no magic"});
  EXPECT_EQ(OutOfStep(), spec::kTransmissionReplyPerRequest);
}

TEST_F(ConnectionWitnessTest, NothingIsDueAfterDisc) {
  Enter();
  Read(1);
  witness_.Sent(Request{.type = CommandType::kDisc, .cookie = 2});
  witness_.Missed(kSilence);
  EXPECT_EQ(OutOfStep(), "");
}

TEST_F(ConnectionWitnessTest, ChunkOutOfBoundsBreaksItsClause) {
  Enter();
  Read(1);
  Data(1, /*offset=*/4096);
  EXPECT_EQ(OutOfStep(), "");
  EXPECT_EQ(WrongAnswer(), spec::kStructuredOffsetDataInBounds);
}

TEST(Witnesses, WhatAnyOfThemSawIsFound) {
  Witnesses witnesses(2);
  EXPECT_FALSE(FirstBreach(witnesses).has_value());
  ConnectionWitness& second = witnesses.back();
  second.Received(Greeting{.flags = HandshakeFlag::kFixedNewstyle});
  second.Sent(engine::ClientFlags{.flags = ClientFlag::kFixedNewstyle});
  second.Sent(Option{.option = kList});
  second.Missed(kSilence);
  ASSERT_TRUE(FirstOutOfStep(witnesses).has_value());
  EXPECT_EQ(FirstBreach(witnesses)->requirement, spec::kOptionReplyForEveryOption);
}

}  // namespace
}  // namespace nbdspec::conformance
