// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include "engine/wire/messages.h"

namespace nbdspec::engine {
namespace {

// The bytes below are written from the specification, not from the encoder.

TEST(Encode, Greeting) {
  EXPECT_EQ(Encode(ServerMessage(Greeting{})),
            (Bytes{'N', 'B', 'D', 'M', 'A', 'G', 'I', 'C', 'I', 'H', 'A', 'V', 'E', 'O', 'P', 'T', 0, 3}));
}

TEST(Encode, OldstyleGreeting) {
  const Bytes bytes = Encode(ServerMessage(OldstyleGreeting{.size = 0x0102030405060708, .flags = 0x090a0b0c}));
  ASSERT_EQ(bytes.size(), 152U);
  EXPECT_EQ(Bytes(bytes.begin() + 8, bytes.begin() + 28),
            (Bytes{0x00, 0x00, 0x42, 0x02, 0x81, 0x86, 0x12, 0x53, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}));
  EXPECT_EQ(Bytes(bytes.begin() + 28, bytes.end()), Bytes(124));
}

TEST(Encode, OptionReply) {
  EXPECT_EQ(Encode(ServerMessage(OptionReply{.option = 7, .type = OptionReplyType::kErrUnsup, .payload = {1, 2}})),
            (Bytes{0x00, 0x03, 0xe8, 0x89, 0x04, 0x55, 0x65, 0xa9, 0, 0, 0, 7, 0x80, 0, 0, 1, 0, 0, 0, 2, 1, 2}));
}

TEST(Encode, ExportNameReply) {
  EXPECT_EQ(Encode(ServerMessage(ExportNameReply{.size = 256, .flags = 0x0102, .pad = {0}})),
            (Bytes{0, 0, 0, 0, 0, 0, 1, 0, 1, 2, 0}));
}

TEST(Encode, SimpleReply) {
  EXPECT_EQ(Encode(ServerMessage(SimpleReply{.error = 5, .cookie = 0x0102030405060708, .data = {9}})),
            (Bytes{0x67, 0x44, 0x66, 0x98, 0, 0, 0, 5, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

TEST(Encode, Chunk) {
  EXPECT_EQ(Encode(ServerMessage(Chunk{.flags = 1, .type = 0x8001, .cookie = 2, .payload = {3}})),
            (Bytes{0x66, 0x8e, 0x33, 0xef, 0, 1, 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 3}));
}

TEST(Encode, ClientFlags) { EXPECT_EQ(Encode(ClientMessage(ClientFlags{})), (Bytes{0, 0, 0, 3})); }

TEST(Encode, Option) {
  EXPECT_EQ(Encode(ClientMessage(Option{.option = 3, .payload = {1}})),
            (Bytes{'I', 'H', 'A', 'V', 'E', 'O', 'P', 'T', 0, 0, 0, 3, 0, 0, 0, 1, 1}));
}

TEST(Encode, Request) {
  EXPECT_EQ(Encode(ClientMessage(
                Request{.flags = 1, .type = 1, .cookie = 2, .offset = 3, .length = 0x01000000, .payload = {4}})),
            (Bytes{0x25, 0x60, 0x95, 0x13, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 1, 0, 0, 0, 4}));
}

TEST(Encode, LengthFieldIsSentAsItIs) {
  const Bytes reply = Encode(ServerMessage(OptionReply{.payload = {1}, .length_field = 0xfffffffe}));
  EXPECT_EQ(Bytes(reply.begin() + 16, reply.end()), (Bytes{0xff, 0xff, 0xff, 0xfe, 1}));
  const Bytes chunk = Encode(ServerMessage(Chunk{.payload = {1}, .length_field = 0}));
  EXPECT_EQ(Bytes(chunk.begin() + 16, chunk.end()), (Bytes{0, 0, 0, 0, 1}));
  const Bytes option = Encode(ClientMessage(Option{.payload = {}, .length_field = 9}));
  EXPECT_EQ(Bytes(option.begin() + 12, option.end()), (Bytes{0, 0, 0, 9}));
}

TEST(Encode, WrongMagicsAreSentAsTheyAre) {
  EXPECT_EQ(Encode(ServerMessage(Chunk{.magic = kExtendedChunkMagic}))[0], 0x6e);
  EXPECT_EQ(Encode(ClientMessage(Request{.magic = 0x01020304}))[3], 4);
}

TEST(Encode, RawBytesAreThemselvesAndADisconnectIsNothing) {
  EXPECT_EQ(Encode(ServerMessage(RawBytes{.bytes = {1, 2}})), (Bytes{1, 2}));
  EXPECT_TRUE(Encode(ServerMessage(HardDisconnect{})).empty());
}

TEST(Encode, Appends) {
  Bytes out = {7};
  Encode(ServerMessage(RawBytes{.bytes = {8}}), out);
  Encode(ClientMessage(ClientFlags{.flags = 9}), out);
  EXPECT_EQ(out, (Bytes{7, 8, 0, 0, 0, 9}));
}

}  // namespace
}  // namespace nbdspec::engine
