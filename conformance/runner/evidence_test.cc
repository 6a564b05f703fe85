// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/runner/evidence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace nbdspec::conformance {
namespace {

using Part = reports::Message::Part;

// A conversation, written down message by message.
class Conversation {
 public:
  Conversation& Client(const engine::ClientMessage& message, int connection = 1) {
    const auto* request = std::get_if<engine::Request>(&message);
    Add({.connection = connection, .from = Transcript::From::kClient, .what = DescribeFields(message)},
        request == nullptr ? std::nullopt : std::optional(request->cookie));
    return *this;
  }
  Conversation& Server(const engine::ServerMessage& message, int connection = 1) {
    const auto head = HeadOf(message);
    Add({.connection = connection, .from = Transcript::From::kServer, .what = DescribeFields(message)},
        head ? std::optional(head->cookie) : std::nullopt);
    return *this;
  }
  Conversation& Note(std::string words) {
    transcript_.Add({.what = {.text = std::move(words)}});
    return *this;
  }
  Conversation& Leaves() {
    Client(engine::Request{.type = engine::CommandType::kDisc, .cookie = 99});
    transcript_.MarkFarewell();
    return *this;
  }

  [[nodiscard]] reports::Evidence Of(const Judgement& judgement) const { return EvidenceOf(transcript_, judgement); }

  // The lines of messages with that part.
  [[nodiscard]] std::vector<std::uint64_t> Lines(const Judgement& judgement, Part part) const {
    std::vector<std::uint64_t> lines;
    for (const reports::Message& message : Of(judgement).messages) {
      if (message.part == part) {
        lines.push_back(message.line);
      }
    }
    return lines;
  }

 private:
  void Add(Transcript::Line line, std::optional<std::uint64_t> cookie) {
    line.cookie = cookie;
    transcript_.Add(std::move(line));
  }
  Transcript transcript_;
};

using Numbers = std::vector<std::uint64_t>;

engine::Request Read(std::uint64_t cookie) { return {.cookie = cookie, .length = 512}; }
engine::SimpleReply Reply(std::uint64_t cookie, std::uint32_t error = 0) { return {.error = error, .cookie = cookie}; }
engine::Option List(engine::Bytes data = {}) {
  return {.option = engine::OptionType::kList, .payload = std::move(data)};
}
engine::OptionReply To(std::uint32_t option, std::uint32_t type) { return {.option = option, .type = type}; }

constexpr std::uint32_t kOther = 0x7ffffff0;

TEST(Evidence, IsAboutWhatWasAskedLastAndNotAboutLeaving) {
  Conversation talk;
  talk.Server(engine::Greeting{}).Client(engine::ClientFlags{}).Client(List()).Server(To(3, 1)).Leaves();
  const Judgement broken = Broken("it", "not it");
  EXPECT_EQ(talk.Lines(broken, Part::kAsked), Numbers{3});
  EXPECT_EQ(talk.Lines(broken, Part::kJudged), Numbers{4});
  EXPECT_EQ(talk.Of(broken).sent, "NBD_OPT_LIST");
  EXPECT_EQ(talk.Of(broken).place, "line 4, byte 0 from the server");
}

TEST(Evidence, FindsARequestAmongManyByItsCookie) {
  Conversation talk;
  talk.Client(Read(1)).Client(Read(2)).Client(Read(3)).Server(Reply(3)).Server(Reply(2, 22)).Server(Reply(1)).Leaves();
  const Judgement broken = About(SubjectOf(Read(2)), Broken("NBD_EINVAL", "success"));
  EXPECT_EQ(talk.Lines(broken, Part::kAsked), Numbers{2});
  EXPECT_EQ(talk.Lines(broken, Part::kJudged), Numbers{5});
  EXPECT_TRUE(talk.Of(broken).sent.contains("cookie 0x2"));
}

TEST(Evidence, WithoutAnAnswerJudgesWhatWasAskedAndHowItWentOn) {
  Conversation talk;
  talk.Client(Read(1)).Client(Read(2)).Server(Reply(2)).Note("the server said nothing in time").Leaves();
  const Judgement broken = About(SubjectOf(Read(1)), Broken("no reply", "a reply"));
  EXPECT_EQ(talk.Lines(broken, Part::kAsked), Numbers{});
  EXPECT_EQ(talk.Lines(broken, Part::kJudged), (Numbers{1, 4}));
  EXPECT_EQ(talk.Of(broken).place, "line 1, byte 0 from the client");
}

TEST(Evidence, OfALaterAnswerShowsWhatLedToIt) {
  Conversation talk;
  talk.Client(List({1})).Server(To(3, engine::OptionReplyType::kErrInvalid)).Client(engine::Option{.option = kOther});
  talk.Note("the server closed the connection after 38 bytes");
  const Judgement broken = About(WhatFollows(SubjectOf(List({1}))), Broken("closed", "an answer"));
  EXPECT_EQ(talk.Lines(broken, Part::kAsked), Numbers{1});
  EXPECT_EQ(talk.Lines(broken, Part::kJudged), (Numbers{3, 4}));
}

TEST(Evidence, AReplyIsAskedForByTheOptionThatItNames) {
  Conversation talk;
  const engine::OptionReply late = To(3, 1);
  talk.Client(List()).Server(To(3, engine::OptionReplyType::kErrInvalid)).Client(engine::Option{.option = kOther});
  talk.Server(late).Server(To(kOther, 1));
  const Judgement broken = About(SubjectOf(late), Broken("late", "one reply"));
  EXPECT_EQ(talk.Lines(broken, Part::kAsked), Numbers{1});
  EXPECT_EQ(talk.Lines(broken, Part::kJudged), Numbers{4});
}

TEST(Evidence, AnswersOfOtherConnectionsAreOthers) {
  Conversation talk;
  talk.Client(List(), 1).Server(To(3, 2), 2).Server(To(3, 1), 1);
  EXPECT_EQ(talk.Lines(Broken("it", "not it"), Part::kJudged), Numbers{3});
}

TEST(Evidence, MarksTheChunkAndTheFieldThatARuleIsAbout) {
  const engine::BlockStatus status{.context_id = 7, .descriptors = {{.length = 512}, {.length = 0}}};
  engine::Chunk chunk{.type = engine::ChunkType::kBlockStatus, .cookie = 4, .payload = engine::EncodePayload(status)};
  engine::Negotiated agreed{.structured_replies = true, .transmission = true};
  agreed.info.size = 4096;
  agreed.contexts = {{.id = 7, .name = "base:allocation"}};
  engine::Exchange exchange;
  exchange.Start({.type = engine::CommandType::kBlockStatus, .cookie = 4, .length = 1024}, agreed);
  exchange.answer.Add(engine::Chunk{.type = engine::ChunkType::kNone, .cookie = 4});
  exchange.answer.Add(chunk);
  const engine::Ruling ruling = Apply(engine::RuleOf(spec::kBlockStatusExtentNonzeroLength), exchange);
  ASSERT_TRUE(ruling.is_violated());
  Conversation talk;
  talk.Client(engine::Request{.type = engine::CommandType::kBlockStatus, .cookie = 4, .length = 1024});
  talk.Server(engine::Chunk{.type = engine::ChunkType::kNone, .cookie = 4}).Server(chunk);
  const Judgement broken = About(SubjectOf(exchange, ruling), Broken(ruling.saw, ruling.expected));
  EXPECT_EQ(talk.Lines(broken, Part::kJudged), Numbers{3});
  const reports::Evidence evidence = talk.Of(broken);
  for (const reports::MessageField& field : evidence.messages.back().fields) {
    EXPECT_EQ(field.is_judged, field.name == "descriptors") << field.name;
  }
  ASSERT_EQ(evidence.bars.size(), 2U);
  EXPECT_EQ(evidence.bars[0].who, "asked");
  EXPECT_EQ(evidence.bars[1].who, "\"base:allocation\"");
  ASSERT_EQ(evidence.bars[1].stretches.size(), 1U);  // One of no length cannot be drawn.
  EXPECT_EQ(evidence.bars[1].stretches[0].said, "data");
}

TEST(Evidence, MarksFieldsWhoseValuesAreQuoted) {
  Conversation talk;
  talk.Client(Read(1)).Server(Reply(1, 22));
  const reports::Evidence evidence = talk.Of(Broken("READ: NBD_EINVAL", "success"));
  for (const reports::MessageField& field : evidence.messages.back().fields) {
    EXPECT_EQ(field.is_judged, field.value == "NBD_EINVAL") << field.name;
  }
  // What repeats the question is right, whoever quotes it.
  const reports::Evidence echo = talk.Of(Broken("the reply to 0x1: NBD_EINVAL", "success"));
  EXPECT_EQ(std::ranges::count(echo.messages.back().fields, true, &reports::MessageField::is_judged), 1);
  // A part of a longer word is no quotation.
  const reports::Evidence other = talk.Of(Broken("NBD_EINVALID", "success"));
  EXPECT_EQ(std::ranges::count(other.messages.back().fields, true, &reports::MessageField::is_judged), 0);
}

TEST(Evidence, OfALongConversationShowsWhatIsNear) {
  Conversation talk;
  for (std::uint64_t i = 1; i <= 100; ++i) {
    talk.Client(Read(i)).Server(Reply(i));
  }
  const reports::Evidence evidence = talk.Of(About(SubjectOf(Read(50)), Broken("it", "not it")));
  ASSERT_EQ(evidence.messages.size(), kMessagesShownMax);
  EXPECT_LT(evidence.messages.front().line, 99U);
  EXPECT_GT(evidence.messages.back().line, 100U);
  EXPECT_EQ(evidence.transcript.size(), 200U);
}

TEST(Evidence, OneOfThousandsStandsInTheTranscriptThatIsShown) {
  Conversation talk;
  for (std::uint64_t i = 1; i <= 5000; ++i) {
    talk.Client(Read(i));
  }
  const reports::Evidence evidence = talk.Of(About(SubjectOf(Read(2500)), Broken("it", "not it")));
  EXPECT_EQ(evidence.place, "line 2500, byte 0 from the client");
  EXPECT_EQ(std::ranges::count(evidence.transcript, LineOf(evidence.messages[kMessagesShownMax / 2])), 1);
  EXPECT_LT(evidence.transcript.size(), 500U);
}

TEST(Evidence, WhatWasDroppedIsNamedAllTheSame) {
  Conversation talk;
  for (std::uint64_t i = 1; i <= 2 * Transcript::kKeptMax; ++i) {
    talk.Client(Read(i));
  }
  const reports::Evidence evidence = talk.Of(About(SubjectOf(Read(1000)), Broken("it", "not it")));
  EXPECT_EQ(evidence.sent, Describe(engine::ClientMessage(Read(1000))));
  EXPECT_EQ(evidence.place, "");
  EXPECT_EQ(evidence.messages.size(), kMessagesShownMax);
}

TEST(Evidence, WhatHoldsShowsNoMessages) {
  Conversation talk;
  talk.Client(Read(1)).Server(Reply(1));
  EXPECT_TRUE(talk.Of(Holds()).messages.empty());
  EXPECT_TRUE(talk.Of(NotApplicable("no")).messages.empty());
  EXPECT_FALSE(talk.Of(Inconclusive("who knows")).messages.empty());
}

}  // namespace
}  // namespace nbdspec::conformance
