// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include "engine/wire/decoders.h"
#include "engine/wire/messages.h"
#include "engine/wire/testdata/decode_in_pieces.h"

namespace nbdspec::engine {
namespace {

using Messages = Decoded<ClientDecoder>;

constexpr ClientDecoder::Limits kLimits = {.option_bytes_max = 20, .write_bytes_max = 30};

Bytes EncodeAll(const std::vector<ClientMessage>& messages) {
  Bytes bytes;
  for (const ClientMessage& message : messages) {
    Encode(message, bytes);
  }
  return bytes;
}

// A session with everything that a decoder treats in its own way. An overlong message is written with its payload.
std::vector<ClientMessage> SentSession() {
  return {
      ClientFlags{.flags = 0xfffffffe},
      Option{.option = OptionType::kList},
      Option{.option = 1234, .payload = Bytes(20, 5)},
      Option{.option = 1235, .payload = Bytes(21, 6)},
      Option{.option = OptionType::kGo, .payload = Bytes(6)},
      Request{.type = CommandType::kRead, .cookie = 1, .offset = 2, .length = 0xffffffff},
      Request{.type = CommandType::kWrite, .cookie = 2, .length = 30, .payload = Bytes(30, 7)},
      Request{.type = CommandType::kWrite, .cookie = 3, .length = 31, .payload = Bytes(31, 8)},
      Request{.type = CommandType::kWrite, .cookie = 4, .length = 0},
      Request{.flags = 0xffff, .type = 0xffff, .cookie = ~0ULL, .offset = ~0ULL, .length = 77},
      Request{.type = CommandType::kDisc},
  };
}

Messages ReceivedSession() {
  std::vector<ClientMessage> messages = SentSession();
  auto& option = std::get<Option>(messages[3]);
  option.payload.clear();
  option.length_field = 21;
  option.too_long = true;
  auto& request = std::get<Request>(messages[7]);
  request.payload.clear();
  request.too_long = true;
  return {messages.begin(), messages.end()};
}

TEST(ClientDecoder, SessionIsTheSameForEveryTwoPieces) {
  const Bytes bytes = EncodeAll(SentSession());
  for (std::size_t cut = 1; cut <= bytes.size(); ++cut) {
    ASSERT_EQ(DecodeInPieces(ClientDecoder(kLimits), bytes, {cut, bytes.size()}), ReceivedSession()) << cut;
  }
}

TEST(ClientDecoder, SessionIsTheSameForEveryPieceSize) {
  const Bytes bytes = EncodeAll(SentSession());
  for (std::size_t piece = 1; piece <= 64; ++piece) {
    ASSERT_EQ(DecodeInPieces(ClientDecoder(kLimits), bytes, {piece}), ReceivedSession()) << piece;
  }
}

TEST(ClientDecoder, ReturnsNoMessageBeforeItsLastByte) {
  const Bytes bytes = EncodeAll(SentSession());
  std::size_t begin = 0;
  ClientDecoder decoder(kLimits);
  for (const ClientMessage& sent : SentSession()) {
    const std::size_t end = begin + Encode(sent).size();
    for (; begin < end; ++begin) {
      ASSERT_EQ(decoder.Next(), std::nullopt) << begin;
      decoder.Feed(ByteView(bytes).subspan(begin, 1));
    }
    const auto received = decoder.Next();
    ASSERT_TRUE(received.has_value()) << begin;
    React(decoder, std::get<ClientMessage>(*received));
  }
}

TEST(ClientDecoder, FeedingNothingChangesNothing) {
  ClientDecoder decoder;
  decoder.Feed({});
  EXPECT_EQ(decoder.Next(), std::nullopt);
  decoder.Feed(EncodeAll({ClientFlags{}}));
  decoder.Feed({});
  EXPECT_EQ(decoder.Next(), (Messages::value_type(ClientMessage(ClientFlags{}))));
  EXPECT_EQ(decoder.Next(), std::nullopt);
}

// What the last of `sent` gives, after the others.
Messages::value_type LastOf(const std::vector<ClientMessage>& sent) {
  return DecodeInPieces(ClientDecoder(kLimits), EncodeAll(sent), {1}).back();
}

TEST(ClientDecoder, OptionWithAnotherMagicIsUndecodable) {
  EXPECT_EQ(LastOf({ClientFlags{}, Option{}, Option{.magic = kOptionMagic + 1}}),
            (Messages::value_type(Undecodable{
                .what = "option magic is 0x49484156454f5055, not 0x49484156454f5054 (IHAVEOPT)", .offset = 20})));
}

TEST(ClientDecoder, RequestBeforeTransmissionIsUndecodableAndNamed) {
  EXPECT_EQ(LastOf({ClientFlags{}, Request{.type = CommandType::kDisc}}),
            (Messages::value_type(Undecodable{.what = "option magic is 0x2560951300000002 (begins with "
                                                      "NBD_REQUEST_MAGIC), not 0x49484156454f5054 (IHAVEOPT)",
                                              .offset = 4})));
}

TEST(ClientDecoder, RequestWithAnotherMagicIsUndecodable) {
  EXPECT_EQ(LastOf({ClientFlags{}, Option{.option = OptionType::kGo}, Request{.magic = kExtendedRequestMagic}}),
            (Messages::value_type(Undecodable{.what = "request magic is 0x21e41c71 (NBD_EXTENDED_REQUEST_MAGIC), not "
                                                      "0x25609513 (NBD_REQUEST_MAGIC)",
                                              .offset = 20})));
}

TEST(ClientDecoder, WrongMagicIsSeenWithoutTheRestOfTheHeader) {
  ClientDecoder decoder;
  decoder.EnterTransmission();
  decoder.Feed(Bytes{1, 2, 3});
  EXPECT_EQ(decoder.Next(), std::nullopt);
  decoder.Feed(Bytes{4});
  EXPECT_TRUE(std::holds_alternative<Undecodable>(decoder.Next().value()));
}

TEST(ClientDecoder, UndecodableStays) {
  ClientDecoder decoder;
  decoder.EnterTransmission();
  decoder.Feed(Bytes(4));
  const auto first = decoder.Next();
  ASSERT_TRUE(first && std::holds_alternative<Undecodable>(*first));
  decoder.Feed(EncodeAll({Request{}}));
  decoder.EnterTransmission();
  EXPECT_EQ(decoder.Next(), first);
  EXPECT_EQ(decoder.Next(), first);
}

TEST(ClientDecoder, ALimitOfZeroStillKeepsItsPlace) {
  const std::vector<ClientMessage> sent = {
      ClientFlags{},
      Option{.option = OptionType::kGo, .payload = {1}},
      Request{.type = CommandType::kWrite, .length = 1, .payload = {1}},
      Request{.type = CommandType::kFlush},
  };
  const Messages received =
      DecodeInPieces(ClientDecoder({.option_bytes_max = 0, .write_bytes_max = 0}), EncodeAll(sent), {1000});
  ASSERT_EQ(received.size(), 4U);
  EXPECT_TRUE(std::get<Option>(std::get<ClientMessage>(received[1])).too_long);
  EXPECT_TRUE(std::get<Request>(std::get<ClientMessage>(received[2])).too_long);
  EXPECT_EQ(received[3], (Messages::value_type(sent[3])));
}

}  // namespace
}  // namespace nbdspec::engine
