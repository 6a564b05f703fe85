// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/session/session.h"

#include <gtest/gtest.h>

#include <deque>

#include "conformance/peer/reference_target.h"
#include "conformance/session/probe.h"
#include "engine/wire/messages.h"

namespace nbdspec::conformance {
namespace {

using engine::Bytes;
using engine::ByteView;

// A server that says what the test wrote down, piece by piece, whatever it hears.
class Recited : public Transport {
 public:
  Recited(std::deque<Bytes> pieces, Ending ending) : pieces_(std::move(pieces)), ending_(ending) {}

  Ending SendSome(ByteView& bytes, Clock::time_point) override {
    bytes = {};
    return Ending::kNone;
  }
  Ending Receive(Bytes& out, std::size_t bytes_max, Clock::time_point) override {
    if (pieces_.empty()) {
      return ending_;
    }
    Bytes& piece = pieces_.front();
    const std::size_t take = std::min(bytes_max, piece.size());
    out.insert(out.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(take));
    piece.erase(piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(take));
    if (piece.empty()) {
      pieces_.pop_front();
    }
    return Ending::kNone;
  }
  void CloseSending() override {}

 private:
  std::deque<Bytes> pieces_;
  Ending ending_;
};

Session Hearing(std::vector<engine::ServerMessage> messages, Transcript& transcript, Ending ending = Ending::kClosed,
                Session::Limits limits = {}) {
  std::deque<Bytes> pieces;
  for (const engine::ServerMessage& message : messages) {
    pieces.push_back(engine::Encode(message));
  }
  return {std::make_unique<Recited>(std::move(pieces), ending), limits, transcript};
}

engine::OptionReply Reply(std::uint32_t type) {
  return {.option = engine::OptionType::kList, .type = type, .payload = {}};
}

TEST(Session, RepliesAreTakenUpToTheFinalOne) {
  Transcript transcript;
  Session session = Hearing({engine::Greeting{}, Reply(2), Reply(3), Reply(4), Reply(1), Reply(2)}, transcript);
  ASSERT_TRUE(session.NextGreeting());
  const auto replies = session.NextOptionReplies();
  ASSERT_TRUE(replies);
  EXPECT_EQ(replies->size(), 4U);
  EXPECT_EQ(session.NextOptionReplies().error().kind, ReceiveError::kClosed);
}

TEST(Session, HowAConnectionEndedStaysApart) {
  Transcript transcript;
  EXPECT_EQ(Hearing({}, transcript, Ending::kClosed).Next().error().kind, ReceiveError::kClosed);
  EXPECT_EQ(Hearing({}, transcript, Ending::kReset).Next().error().kind, ReceiveError::kReset);
  EXPECT_EQ(Hearing({}, transcript, Ending::kTimedOut).Next().error().kind, ReceiveError::kTimedOut);
  EXPECT_EQ(Hearing({engine::RawBytes{.bytes = Bytes(16, 1)}}, transcript).Next().error().kind,
            ReceiveError::kUndecodable);
  EXPECT_EQ(Hearing({engine::Greeting{}, Reply(1)}, transcript).NextOptionReplies().error().kind,
            ReceiveError::kUnexpected);
}

TEST(Session, AMessageCutShortIsSaidToBe) {
  Transcript transcript;
  Session session = Hearing({engine::RawBytes{.bytes = Bytes{0x4e, 0x42, 0x44}}}, transcript);
  EXPECT_NE(session.Next().error().text.find("3 bytes into a message"), std::string::npos);
}

TEST(Session, AnswersAreSortedByCookie) {
  Transcript transcript;
  using engine::Chunk;
  Session session = Hearing({engine::Greeting{}, Chunk{.flags = 0, .cookie = 2}, Chunk{.flags = 1, .cookie = 1},
                             Chunk{.flags = 1, .cookie = 9}, Chunk{.flags = 1, .cookie = 2}},
                            transcript);
  ASSERT_TRUE(session.NextGreeting());
  session.EnterTransmission();
  session.Send(engine::Request{.type = engine::CommandType::kFlush, .cookie = 1});
  session.Send(engine::Request{.type = engine::CommandType::kFlush, .cookie = 2});
  const auto first = session.NextAnswer(1);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->chunks.size(), 1U);
  const auto second = session.NextAnswer(2);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->chunks.size(), 2U);
  EXPECT_EQ(session.unmatched().size(), 1U);
}

TEST(Session, AFloodEndsIt) {
  Transcript transcript;
  std::vector<engine::ServerMessage> flood(50, Reply(2));
  flood.insert(flood.begin(), engine::Greeting{});
  Session few = Hearing(flood, transcript, Ending::kTimedOut, {.messages_max = 10});
  ASSERT_TRUE(few.NextGreeting());
  EXPECT_EQ(few.NextOptionReplies().error().kind, ReceiveError::kFlood);
  Session bytes = Hearing(flood, transcript, Ending::kTimedOut, {.received_bytes_max = 100});
  ASSERT_TRUE(bytes.NextGreeting());
  EXPECT_EQ(bytes.NextOptionReplies().error().kind, ReceiveError::kFlood);
  engine::OptionReply large = Reply(engine::OptionReplyType::kServer);
  large.payload.resize(60);
  Session option = Hearing({engine::Greeting{}, large, large, Reply(engine::OptionReplyType::kAck)}, transcript,
                           Ending::kTimedOut, {.option_bytes_max = 100});
  ASSERT_TRUE(option.NextGreeting());
  EXPECT_EQ(option.NextOptionReplies().error().kind, ReceiveError::kFlood);
}

TEST(Session, AServerThatAlwaysHasOneMoreByteDoesNotHoldUpACancelledRun) {
  Transcript transcript;
  const std::atomic<bool> cancelled = true;
  std::deque<Bytes> pieces;
  for (const std::uint8_t byte : engine::Encode(engine::Greeting{})) {
    pieces.push_back({byte});
  }
  Session session(std::make_unique<Recited>(std::move(pieces), Ending::kTimedOut), {.cancelled = &cancelled},
                  transcript);
  const auto greeting = session.NextGreeting();
  ASSERT_FALSE(greeting);
  EXPECT_EQ(greeting.error().kind, ReceiveError::kTimedOut);
}

TEST(Session, SilenceIsSilenceOnlyWhileConnected) {
  Transcript transcript;
  EXPECT_FALSE(Hearing({}, transcript, Ending::kTimedOut).ExpectSilence());
  EXPECT_TRUE(Hearing({}, transcript, Ending::kClosed).ExpectSilence());
  EXPECT_TRUE(Hearing({engine::Greeting{}}, transcript, Ending::kTimedOut).ExpectSilence());
  EXPECT_TRUE(Hearing({engine::RawBytes{.bytes = {0x4e}}}, transcript, Ending::kTimedOut).ExpectSilence());
}

TEST(Transcript, KeepsBothEndsOfALongConversation) {
  Transcript transcript;
  for (int i = 0; i < 1000; ++i) {
    transcript.Add({.what = {.text = "note " + std::to_string(i)}});
  }
  const auto text = transcript.Text();
  EXPECT_EQ(text.front(), "   1 -- note 0");
  EXPECT_EQ(text.back(), "1000 -- note 999");
  EXPECT_EQ(text.size(), Transcript::kLinesMax + 1);
  EXPECT_EQ(text[Transcript::kLinesMax / 2], "     -- 600 lines left out");
}

TEST(Transcript, HasTheFieldsOfEachMessageAndItsBytes) {
  Transcript transcript;
  Session session = Hearing({engine::Greeting{}}, transcript, Ending::kTimedOut);
  ASSERT_TRUE(session.Greet());
  ASSERT_EQ(transcript.lines().size(), 2U);
  const reports::Message flags = transcript.MessageAt(1);
  EXPECT_EQ(LineOf(flags), "   2 C> @0 +4  client flags C_FIXED_NEWSTYLE|C_NO_ZEROES");
  EXPECT_EQ(flags.name, "client flags");
  ASSERT_EQ(flags.fields.size(), 1U);
  EXPECT_EQ(flags.fields.front().value, "C_FIXED_NEWSTYLE|C_NO_ZEROES");
}

TEST(Session, NoTwoOfATranscriptUseOneCookie) {
  Transcript transcript;
  Session first(std::make_unique<Recited>(std::deque<Bytes>{}, Ending::kClosed), {}, transcript, 1);
  Session second(std::make_unique<Recited>(std::deque<Bytes>{}, Ending::kClosed), {}, transcript, 2);
  EXPECT_NE(first.NextCookie(), second.NextCookie());
}

TEST(Probe, LearnsWhatTheReferenceServerOffers) {
  const auto target = ReferenceTarget();
  const auto peer = target->Start(Setup::kWritable, Transport::Clock::time_point::max());
  ASSERT_TRUE(peer);
  Transcript transcript;
  const auto profile =
      Probe(**peer, {.export_name = "", .may_write = true, .asks_extended = true, .limits = {}}, transcript);
  ASSERT_TRUE(profile) << profile.error().sentence;
  for (int i = 0; i < kFeatureCount; ++i) {
    const Features feature = 1U << i;
    const bool absent =
        feature == Feature::kReadOnly || feature == Feature::kNoFastZero || feature == Feature::kMinimumAboveOne;
    EXPECT_EQ(profile->Offers(feature), !absent) << Describe(feature);
  }
  EXPECT_EQ(profile->exports.size(), 2U);
  EXPECT_EQ(profile->contexts.size(), 3U);
}

TEST(Probe, WithoutPermissionTheExportIsNotWritable) {
  const auto target = ReferenceTarget();
  const auto peer = target->Start(Setup::kWritable, Transport::Clock::time_point::max());
  Transcript transcript;
  const auto profile = Probe(**peer, {.export_name = "", .may_write = false, .limits = {}}, transcript);
  ASSERT_TRUE(profile);
  EXPECT_FALSE(profile->Offers(Feature::kWritable));
}

TEST(Probe, AnExportThatCannotBeEnteredLeavesWhatShowedBefore) {
  const auto target = ReferenceTarget();
  const auto peer = target->Start(Setup::kWritable, Transport::Clock::time_point::max());
  Transcript transcript;
  const auto profile = Probe(**peer, {.export_name = "no\nsuch", .may_write = false, .limits = {}}, transcript);
  ASSERT_TRUE(profile) << profile.error().sentence;
  EXPECT_TRUE(profile->refusal.starts_with("NBD_OPT_GO was answered NBD_REP_ERR_UNKNOWN")) << profile->refusal;
  EXPECT_EQ(profile->exports.size(), 2U);
  EXPECT_TRUE(profile->Offers(Feature::kStructuredReplies));
  EXPECT_FALSE(profile->Offers(Feature::kGo));
}

}  // namespace
}  // namespace nbdspec::conformance
