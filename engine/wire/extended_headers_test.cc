// SPDX-License-Identifier: BSD-3-Clause
// The extended form of requests, chunks and their payloads.
#include <gtest/gtest.h>

#include <limits>

#include "engine/wire/decoders.h"
#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"
#include "engine/wire/testdata/decode_in_pieces.h"

namespace nbdspec::engine {
namespace {

constexpr HeaderForm kExtended = HeaderForm::kExtended;
constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();

ClientDecoder RequestDecoder() {
  ClientDecoder decoder({.write_bytes_max = 30});
  decoder.EnterTransmission(kExtended);
  return decoder;
}

ServerDecoder ReplyDecoder() {
  ServerDecoder decoder({.payload_bytes_max = 40});
  decoder.EnterTransmission(kExtended);
  return decoder;
}

// The bytes below are written from the specification, not from the encoder.

TEST(ExtendedHeaders, RequestOnTheWire) {
  EXPECT_EQ(Encode(ClientMessage(Request{.form = kExtended,
                                         .flags = CommandFlag::kPayloadLen,
                                         .type = CommandType::kWrite,
                                         .cookie = 2,
                                         .offset = 3,
                                         .length = 0x0100'0000'0000'0001,
                                         .payload = {4}})),
            (Bytes{0x21, 0xe4, 0x1c, 0x71, 0, 0x20, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0,
                   0,    0,    0,    0,    0, 0,    3, 1, 0, 0, 0, 0, 0, 0, 1, 4}));
}

TEST(ExtendedHeaders, ChunkOnTheWire) {
  EXPECT_EQ(Encode(ServerMessage(
                Chunk{.form = kExtended, .flags = 1, .type = 0x8001, .cookie = 2, .offset = 3, .payload = {4}})),
            (Bytes{0x6e, 0x8a, 0x27, 0x8c, 0, 1, 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0,
                   0,    0,    0,    0,    0, 0, 3,    0, 0, 0, 0, 0, 0, 0, 1, 4}));
}

TEST(ExtendedHeaders, WhatIsIllegalIsSentAsItIs) {
  const Bytes chunk = Encode(ServerMessage(Chunk{.form = kExtended, .magic = 0x01020304, .length_field = kMax}));
  EXPECT_EQ(GetBigEndian<std::uint32_t>(chunk), 0x01020304U);
  EXPECT_EQ(GetBigEndian<std::uint64_t>(chunk, 24), kMax);
  EXPECT_EQ(Encode(ClientMessage(Request{.form = kExtended, .magic = kRequestMagic})).size(), 32U);
}

TEST(ExtendedHeaders, StatusPayloadsOnTheWire) {
  const BlockStatus status = {.form = kExtended, .context_id = 1, .descriptors = {{.length = 1ULL << 40, .status = 3}}};
  const Bytes payload = {0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3};
  EXPECT_EQ(EncodePayload(status), payload);
  EXPECT_EQ(DecodeBlockStatus(ChunkType::kBlockStatusExt, payload), status);
  const StatusQuery query = {.length = 1ULL << 40, .context_ids = {7, 8}};
  const Bytes of_query = {0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 8};
  EXPECT_EQ(EncodePayload(query), of_query);
  EXPECT_EQ(DecodePayload<StatusQuery>(of_query), query);
  for (std::size_t count = 0; count < 8; ++count) {
    EXPECT_EQ(DecodePayload<StatusQuery>(ByteView(of_query).first(count)), std::nullopt) << count;
    EXPECT_EQ(DecodeBlockStatus(ChunkType::kBlockStatusExt, ByteView(payload).first(count)), std::nullopt) << count;
  }
  EXPECT_EQ(DecodePayload<StatusQuery>(ByteView(of_query).first(9)), std::nullopt);
}

TEST(ExtendedHeaders, ACountThatIsNotTheirsIsKept) {
  const BlockStatus status = {.form = kExtended, .descriptors = {{.length = 1}}, .count_field = 0xffffffff};
  EXPECT_EQ(DecodeBlockStatus(ChunkType::kBlockStatusExt, EncodePayload(status)), status);
}

TEST(ExtendedHeaders, AStatusPayloadIsReadByItsType) {
  const Bytes compact = EncodePayload(BlockStatus{.descriptors = {{.length = 1}}});
  EXPECT_EQ(DecodeBlockStatus(ChunkType::kBlockStatusExt, compact), std::nullopt);
  EXPECT_TRUE(DecodeBlockStatus(ChunkType::kBlockStatus, compact).has_value());
  EXPECT_EQ(DecodeBlockStatus(ChunkType::kNone, compact), std::nullopt);
}

// --- Decoding ---

TEST(ExtendedHeaders, RequestsAreTheSameForEveryPieceSize) {
  const std::vector<ClientMessage> sent = {
      Request{.form = kExtended, .type = CommandType::kTrim, .cookie = 1, .offset = kMax, .length = kMax},
      // Without PAYLOAD_LEN no payload follows, whatever the command; with it one does.
      Request{.form = kExtended, .type = CommandType::kWrite, .cookie = 2, .length = 5},
      Request{.form = kExtended,
              .flags = CommandFlag::kPayloadLen,
              .type = CommandType::kRead,
              .cookie = 3,
              .length = 30,
              .payload = Bytes(30, 7)},
      Request{.form = kExtended, .flags = CommandFlag::kPayloadLen, .type = CommandType::kFlush, .cookie = 4},
      Request{.form = kExtended, .type = CommandType::kDisc},
  };
  Bytes bytes;
  for (const ClientMessage& message : sent) {
    Encode(message, bytes);
  }
  const Decoded<ClientDecoder> expected(sent.begin(), sent.end());
  for (std::size_t piece = 1; piece <= 70; ++piece) {
    ASSERT_EQ(DecodeInPieces(RequestDecoder(), bytes, {piece}), expected) << piece;
  }
}

TEST(ExtendedHeaders, RepliesAreTheSameForEveryPieceSize) {
  const std::vector<ServerMessage> said = {
      Chunk{.form = kExtended, .type = ChunkType::kOffsetData, .cookie = 1, .offset = 2, .payload = Bytes(40, 3)},
      Chunk{.form = kExtended, .flags = ChunkFlag::kDone, .cookie = kMax, .offset = kMax},
      SimpleReply{.error = NbdError::kEio, .cookie = 5},  // Wrong, but a message.
  };
  Bytes bytes;
  Decoded<ServerDecoder> expected;
  for (const ServerMessage& message : said) {
    const std::size_t offset = bytes.size();
    Encode(message, bytes);
    expected.emplace_back(PlacedServerMessage{.message = message, .offset = offset, .length = bytes.size() - offset});
  }
  for (std::size_t piece = 1; piece <= 70; ++piece) {
    ASSERT_EQ(DecodeInPieces(ReplyDecoder(), bytes, {piece}), expected) << piece;
  }
}

// What is wrong with `message`; empty when nothing is.
std::string WhyNot(ClientDecoder decoder, const ClientMessage& message) {
  decoder.Feed(Encode(message));
  const auto next = decoder.Next();
  return next && std::holds_alternative<Undecodable>(*next) ? std::get<Undecodable>(*next).what : "";
}

std::string WhyNot(ServerDecoder decoder, const ServerMessage& message) {
  decoder.Feed(Encode(message));
  const auto next = decoder.Next();
  return next && std::holds_alternative<Undecodable>(*next) ? std::get<Undecodable>(*next).what : "";
}

TEST(ExtendedHeaders, TheOtherFormIsUndecodableAndNamed) {
  EXPECT_EQ(WhyNot(RequestDecoder(), Request{}),
            "request magic is 0x25609513 (NBD_REQUEST_MAGIC), not 0x21e41c71 (NBD_EXTENDED_REQUEST_MAGIC)");
  EXPECT_EQ(WhyNot(ReplyDecoder(), Chunk{}),
            "reply magic is 0x668e33ef (NBD_STRUCTURED_REPLY_MAGIC), neither 0x67446698 (NBD_SIMPLE_REPLY_MAGIC) nor "
            "0x6e8a278c (NBD_EXTENDED_REPLY_MAGIC)");
}

TEST(ExtendedHeaders, AHostileLengthIsKnownAtOnceAndNeverHeld) {
  for (const std::uint64_t length : {std::uint64_t{31}, std::uint64_t{1} << 32, kMax}) {
    Request request = {
        .form = kExtended, .flags = CommandFlag::kPayloadLen, .type = CommandType::kWrite, .length = length};
    ClientDecoder decoder = RequestDecoder();
    decoder.Feed(Encode(ClientMessage(request)));
    request.too_long = true;
    EXPECT_EQ(decoder.Next(), (Decoded<ClientDecoder>::value_type(ClientMessage(request))));
    for (int i = 0; i < 100; ++i) {
      EXPECT_EQ(decoder.Next(), std::nullopt);
      decoder.Feed(Bytes(length == 31 && i > 0 ? 0 : 31));
      EXPECT_EQ(decoder.pending_bytes(), 0U);
    }
    decoder.Feed(Encode(ClientMessage(Request{.form = kExtended})));
    EXPECT_EQ(decoder.Next().has_value(), length == 31);
  }
  EXPECT_EQ(
      WhyNot(ReplyDecoder(), Chunk{.form = kExtended, .length_field = kMax}),
      "payload of a chunk NBD_REPLY_TYPE_NONE would be 18446744073709551615 bytes (0xffffffffffffffff), above the "
      "limit of 40");
}

TEST(ExtendedHeaders, TextShowsTheFormAndItsFields) {
  EXPECT_EQ(Describe(ClientMessage(Request{.form = kExtended,
                                           .flags = CommandFlag::kPayloadLen,
                                           .type = CommandType::kBlockStatus,
                                           .cookie = 1,
                                           .length = 12,
                                           .payload = EncodePayload(StatusQuery{.length = 512, .context_ids = {3}})})),
            "NBD_CMD_BLOCK_STATUS offset 0 length 12 cookie 0x1, PAYLOAD_LEN, 12 bytes: length 512, 1 contexts: 3, "
            "extended");
  BlockStatus status = {.form = kExtended, .context_id = 3, .descriptors = {{.length = 512, .status = 3}}};
  Chunk chunk = {.form = kExtended, .type = ChunkType::kBlockStatusExt, .offset = 7, .payload = EncodePayload(status)};
  EXPECT_EQ(Describe(ServerMessage(chunk)),
            "NBD_REPLY_TYPE_BLOCK_STATUS_EXT to cookie 0x0 and offset 7, 24 bytes: context 3, 1 descriptors 512:0x3");
  status.descriptors.resize(5);
  status.count_field = 9;
  chunk.payload = EncodePayload(status);
  EXPECT_EQ(Describe(ServerMessage(chunk)),
            "NBD_REPLY_TYPE_BLOCK_STATUS_EXT to cookie 0x0 and offset 7, 88 bytes: context 3, 5 descriptors 512:0x3, "
            "0:0x0, ..., count field 9");
}

}  // namespace
}  // namespace nbdspec::engine
