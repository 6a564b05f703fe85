// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include "engine/wire/decoders.h"
#include "engine/wire/messages.h"
#include "engine/wire/testdata/decode_in_pieces.h"

namespace nbdspec::engine {
namespace {

using Messages = Decoded<ServerDecoder>;

constexpr ServerDecoder::Limits kLimits = {.payload_bytes_max = 40};

Bytes EncodeAll(const std::vector<ServerMessage>& messages) {
  Bytes bytes;
  for (const ServerMessage& message : messages) {
    Encode(message, bytes);
  }
  return bytes;
}

// `messages` one after the other, each where it stands.
Messages Placed(const std::vector<ServerMessage>& messages) {
  Messages placed;
  std::uint64_t offset = 0;
  for (const ServerMessage& message : messages) {
    const std::uint64_t length = Encode(message).size();
    placed.emplace_back(PlacedServerMessage{.message = message, .offset = offset, .length = length});
    offset += length;
  }
  return placed;
}

std::vector<ServerMessage> Session() {
  return {
      Greeting{.flags = 0xabcd},
      OptionReply{.option = OptionType::kList, .type = OptionReplyType::kServer, .payload = Bytes(40, 1)},
      OptionReply{.option = 1234, .type = OptionReplyType::kErrUnsup},
      OptionReply{.option = OptionType::kGo, .type = OptionReplyType::kInfo, .payload = Bytes(12, 2)},
      OptionReply{.option = OptionType::kGo},
      SimpleReply{.cookie = 1},
      SimpleReply{.cookie = 2, .data = Bytes(40, 3)},
      SimpleReply{.cookie = 2, .data = Bytes(1, 4)},
      SimpleReply{.cookie = 2},
      SimpleReply{.error = NbdError::kEio, .cookie = 3},
      SimpleReply{.cookie = 3},
      Chunk{.type = ChunkType::kOffsetData, .cookie = 4, .payload = Bytes(40, 5)},
      Chunk{.flags = 0xffff, .type = 0xffff, .cookie = 4},
      SimpleReply{.cookie = 4},
  };
}

ServerDecoder SessionDecoder() {
  ServerDecoder decoder(kLimits);
  decoder.ExpectData(2, 40);
  decoder.ExpectData(2, 1);
  decoder.ExpectData(3, 5);
  decoder.ExpectData(4, 5);
  return decoder;
}

TEST(ServerDecoder, SessionIsTheSameForEveryTwoPieces) {
  const Bytes bytes = EncodeAll(Session());
  for (std::size_t cut = 1; cut <= bytes.size(); ++cut) {
    ASSERT_EQ(DecodeInPieces(SessionDecoder(), bytes, {cut, bytes.size()}), Placed(Session())) << cut;
  }
}

TEST(ServerDecoder, SessionIsTheSameForEveryPieceSize) {
  const Bytes bytes = EncodeAll(Session());
  for (std::size_t piece = 1; piece <= 64; ++piece) {
    ASSERT_EQ(DecodeInPieces(SessionDecoder(), bytes, {piece}), Placed(Session())) << piece;
  }
}

TEST(ServerDecoder, NothingComesBeforeTheLastByte) {
  const Bytes bytes = EncodeAll(Session());
  ServerDecoder decoder = SessionDecoder();
  std::size_t begin = 0;
  for (const auto& expected : Placed(Session())) {
    const auto& placed = std::get<PlacedServerMessage>(expected);
    EXPECT_EQ(decoder.offset(), placed.offset);
    for (; begin < placed.offset + placed.length; ++begin) {
      ASSERT_EQ(decoder.Next(), std::nullopt) << begin;
      decoder.Feed(ByteView(bytes).subspan(begin, 1));
    }
    ASSERT_EQ(decoder.Next(), expected);
    React(decoder, placed);
  }
}

TEST(ServerDecoder, PendingIsWhatIsNotYetAMessage) {
  ServerDecoder decoder;
  decoder.Feed(EncodeAll({Greeting{}, RawBytes{.bytes = {1, 2, 3}}}));
  EXPECT_EQ(decoder.Pending().size(), 21U);
  ASSERT_TRUE(decoder.Next().has_value());
  EXPECT_EQ(Bytes(decoder.Pending().begin(), decoder.Pending().end()), (Bytes{1, 2, 3}));
  EXPECT_EQ(decoder.offset(), 18U);
}

TEST(ServerDecoder, ExportNameReplyHasAPadWhenExpected) {
  for (const std::size_t pad_bytes : {std::size_t{0}, kExportNamePadBytes}) {
    const std::vector<ServerMessage> said = {
        Greeting{}, ExportNameReply{.size = 9, .flags = 1, .pad = Bytes(pad_bytes, 0xee)}, SimpleReply{.cookie = 5}};
    const Bytes bytes = EncodeAll(said);
    ServerDecoder decoder;
    decoder.Feed(ByteView(bytes).first(18));
    Messages received;
    TakeAll(decoder, received);
    decoder.ExpectExportNameReply(pad_bytes != 0);
    for (const std::uint8_t& byte : ByteView(bytes).subspan(18)) {
      decoder.Feed({&byte, 1});
      TakeAll(decoder, received);
    }
    EXPECT_EQ(received, Placed(said));
  }
}

TEST(ServerDecoder, OldstyleGreetingBeginsTransmission) {
  const std::vector<ServerMessage> said = {OldstyleGreeting{.size = 5, .flags = 6}, SimpleReply{.cookie = 5}};
  EXPECT_EQ(DecodeInPieces(ServerDecoder(), EncodeAll(said), {1}), Placed(said));
}

TEST(ServerDecoder, OldstyleReservedBytesAreLookedAt) {
  for (const std::size_t at : {28U, 100U, 151U}) {
    Bytes bytes = EncodeAll({OldstyleGreeting{}});
    bytes[at] = 1;
    EXPECT_EQ(DecodeInPieces(ServerDecoder(), bytes, {1000}), Placed({OldstyleGreeting{.pad_is_zero = false}}));
  }
}

// What is wrong with the last bytes of `said`, and where, byte by byte.
Undecodable WrongWith(const std::vector<ServerMessage>& said) {
  const Messages received = DecodeInPieces(SessionDecoder(), EncodeAll(said), {1});
  const auto* wrong = received.empty() ? nullptr : std::get_if<Undecodable>(&received.back());
  EXPECT_NE(wrong, nullptr);
  return wrong == nullptr ? Undecodable{} : *wrong;
}

TEST(ServerDecoder, GreetingOfSomethingElseIsUndecodable) {
  const Undecodable http = WrongWith({RawBytes{.bytes = {'H', 'T', 'T', 'P', '/', '1', '.', '1'}}});
  EXPECT_EQ(http, (Undecodable{.what = "first magic of the greeting is 0x485454502f312e31, not 0x4e42444d41474943 "
                                       "(NBDMAGIC)",
                               .offset = 0}));
  EXPECT_EQ(WrongWith({Greeting{.option_magic = kNbdMagic}}).what,
            "second magic of the greeting is 0x4e42444d41474943 (NBDMAGIC), neither 0x49484156454f5054 (IHAVEOPT) nor "
            "0x420281861253 (cliserv_magic of the oldstyle handshake)");
}

TEST(ServerDecoder, OptionReplyWithAnotherMagicIsUndecodable) {
  EXPECT_EQ(WrongWith({Greeting{}, OptionReply{}, OptionReply{.magic = kOptionMagic}}),
            (Undecodable{.what = "option reply magic is 0x49484156454f5054 (IHAVEOPT), not 0x3e889045565a9 (magic of "
                                 "an option reply)",
                         .offset = 38}));
}

TEST(ServerDecoder, ReplyWithAnotherMagicIsUndecodableAndNamed) {
  const std::string tail = ", neither 0x67446698 (NBD_SIMPLE_REPLY_MAGIC) nor 0x668e33ef (NBD_STRUCTURED_REPLY_MAGIC)";
  const std::vector<std::pair<std::uint32_t, std::string>> cases = {
      {0x96744668, "0x96744668 (historic NBD_REPLY_MAGIC)"},
      {kExtendedChunkMagic, "0x6e8a278c (NBD_EXTENDED_REPLY_MAGIC)"},
      {0x0003e889, "0x3e889 (first half of 0x3e889045565a9, magic of an option reply)"},
      {0x98664467, "0x98664467"},
  };
  for (const auto& [magic, text] : cases) {
    const Undecodable wrong =
        WrongWith({Greeting{}, OptionReply{.option = OptionType::kGo}, SimpleReply{.magic = magic}});
    EXPECT_EQ(wrong, (Undecodable{.what = "reply magic is " + text + tail, .offset = 38}));
  }
}

TEST(ServerDecoder, LengthAboveTheLimitIsUndecodableWithoutThePayload) {
  const OptionReply go{.option = OptionType::kGo};
  EXPECT_EQ(WrongWith({Greeting{}, OptionReply{.option = 3, .type = 2, .length_field = 41}}).what,
            "payload of NBD_REP_SERVER for NBD_OPT_LIST would be 41 bytes (0x29), above the limit of 40");
  EXPECT_EQ(WrongWith({Greeting{}, go, Chunk{.type = 5, .length_field = 0xffffffff}}),
            (Undecodable{.what = "payload of a chunk NBD_REPLY_TYPE_BLOCK_STATUS would be 4294967295 bytes "
                                 "(0xffffffff), above the limit of 40",
                         .offset = 38}));
  ServerDecoder decoder = SessionDecoder();
  decoder.ExpectData(9, 41);
  decoder.EnterTransmission();
  decoder.Feed(EncodeAll({SimpleReply{.cookie = 9}}));
  EXPECT_EQ(std::get<Undecodable>(decoder.Next().value()).what,
            "data of a simple reply would be 41 bytes (0x29), above the limit of 40");
}

TEST(ServerDecoder, ErrorReplyIsReadableHoweverMuchDataWasExpected) {
  ServerDecoder decoder(kLimits);
  decoder.EnterTransmission();
  decoder.ExpectData(9, 0xffffffff);
  const SimpleReply reply{.error = 1, .cookie = 9};
  decoder.Feed(EncodeAll({reply}));
  EXPECT_EQ(std::get<PlacedServerMessage>(decoder.Next().value()).message, ServerMessage(reply));
}

TEST(ServerDecoder, ChunkWithoutDoneKeepsTheExpectation) {
  ServerDecoder decoder;
  decoder.EnterTransmission();
  decoder.ExpectData(9, 2);
  const std::vector<ServerMessage> said = {Chunk{.cookie = 9}, SimpleReply{.cookie = 9, .data = {1, 2}}};
  EXPECT_EQ(DecodeInPieces(decoder, EncodeAll(said), {1}), Placed(said));
}

TEST(ServerDecoder, UndecodableStaysAndKeepsWhatWasPending) {
  ServerDecoder decoder;
  decoder.EnterTransmission();
  decoder.Feed(Bytes(4, 1));
  const auto first = decoder.Next();
  ASSERT_TRUE(first && std::holds_alternative<Undecodable>(*first));
  decoder.Feed(EncodeAll({SimpleReply{}}));
  EXPECT_EQ(decoder.Next(), first);
  EXPECT_EQ(decoder.Pending().size(), 4U);
}

}  // namespace
}  // namespace nbdspec::engine
