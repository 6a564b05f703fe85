// SPDX-License-Identifier: BSD-3-Clause
#include "engine/wire/messages.h"

#include <gtest/gtest.h>

#include "engine/base/quoted.h"
#include "engine/wire/payloads.h"

namespace nbdspec::engine {
namespace {

constexpr std::size_t kDescriptionMax = 320;  // "At most some 300 characters."

std::string OfServer(const ServerMessage& message) { return Describe(message); }
std::string OfClient(const ClientMessage& message) { return Describe(message); }

TEST(Describe, NegotiationUsesTheSpecificationsNames) {
  EXPECT_EQ(OfServer(Greeting{}), "greeting FIXED_NEWSTYLE|NO_ZEROES");
  EXPECT_EQ(OfClient(ClientFlags{}), "client flags C_FIXED_NEWSTYLE|C_NO_ZEROES");
  EXPECT_EQ(OfClient(Option{.option = OptionType::kGo,
                            .payload = EncodePayload(InfoQuery{.name = "disk", .requests = {InfoType::kBlockSize}})}),
            "NBD_OPT_GO, 12 bytes: \"disk\" asking NBD_INFO_BLOCK_SIZE");
  EXPECT_EQ(OfServer(OptionReply{.option = OptionType::kGo,
                                 .type = OptionReplyType::kInfo,
                                 .payload = EncodePayload(InfoExport{.size = 4096, .flags = 5})}),
            "NBD_REP_INFO for NBD_OPT_GO, 12 bytes: NBD_INFO_EXPORT size 4096, HAS_FLAGS|SEND_FLUSH");
  EXPECT_EQ(OfServer(OptionReply{.option = OptionType::kGo}), "NBD_REP_ACK for NBD_OPT_GO");
  EXPECT_EQ(OfServer(ExportNameReply{.size = 1, .flags = 1, .pad = Bytes(124)}),
            "reply to NBD_OPT_EXPORT_NAME, size 1, HAS_FLAGS, 124 bytes of padding");
}

TEST(Describe, TransmissionUsesTheSpecificationsNames) {
  EXPECT_EQ(OfClient(Request{.flags = CommandFlag::kReqOne,
                             .type = CommandType::kBlockStatus,
                             .cookie = 16,
                             .offset = 512,
                             .length = 1024}),
            "NBD_CMD_BLOCK_STATUS offset 512 length 1024 cookie 0x10, REQ_ONE");
  EXPECT_EQ(OfServer(SimpleReply{.error = NbdError::kEinval, .cookie = 1}), "simple reply to cookie 0x1, NBD_EINVAL");
  EXPECT_EQ(OfServer(SimpleReply{.cookie = 1, .data = Bytes(17, 0xab)}),
            "simple reply to cookie 0x1, no error, 17 bytes: ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ...");
  const BlockStatus status{.context_id = 3, .descriptors = {{.length = 512, .status = 3}, {.length = 8, .status = 0}}};
  EXPECT_EQ(OfServer(Chunk{.flags = 1, .type = ChunkType::kBlockStatus, .cookie = 1, .payload = EncodePayload(status)}),
            "NBD_REPLY_TYPE_BLOCK_STATUS to cookie 0x1, DONE, 20 bytes: context 3, 2 descriptors 512:0x3, 8:0x0");
  EXPECT_EQ(OfServer(HardDisconnect{}), "hard disconnect");
}

TEST(Describe, EachFieldHasItsPlaceInTheWords) {
  const Description request = DescribeFields(
      ClientMessage(Request{.flags = CommandFlag::kFua, .type = CommandType::kTrim, .cookie = 16, .length = 1024}));
  EXPECT_EQ(request.text.substr(0, request.name_bytes), "NBD_CMD_TRIM");
  const auto values_of = [](const Description& described) {
    std::string values;
    for (const auto& [name, begin, end] : described.fields) {
      values.append(name).append("=").append(described.text.substr(begin, end - begin)).append(";");
    }
    return values;
  };
  EXPECT_EQ(values_of(request), "offset=0;length=1024;cookie=0x10;command flags=FUA;");
  EXPECT_EQ(values_of(DescribeFields(ServerMessage(Chunk{.magic = 7,
                                                         .type = ChunkType::kOffsetHole,
                                                         .cookie = 1,
                                                         .payload = EncodePayload(OffsetHole{.offset = 8, .length = 9}),
                                                         .length_field = 3}))),
            "cookie=0x1;payload length=12;offset=8;hole size=9;length field=3;magic=0x7;");
  EXPECT_TRUE(DescribeFields(ServerMessage(HardDisconnect{})).fields.empty());
}

TEST(Describe, WhatIsIllegalIsShown) {
  EXPECT_EQ(OfServer(SimpleReply{.magic = kExtendedChunkMagic}),
            "simple reply to cookie 0x0, no error, magic 0x6e8a278c (NBD_EXTENDED_REPLY_MAGIC)");
  EXPECT_EQ(OfServer(Chunk{.length_field = 7}), "NBD_REPLY_TYPE_NONE to cookie 0x0, length field 7");
  EXPECT_EQ(OfClient(Option{.option = OptionType::kList, .length_field = 70000, .too_long = true}),
            "NBD_OPT_LIST, length field 70000, too long");
  EXPECT_EQ(OfServer(OldstyleGreeting{.size = 1, .flags = 2, .pad_is_zero = false}),
            "oldstyle greeting, size 1, flags 0x2, reserved bytes not zero");
}

TEST(Describe, PayloadThatCannotBeTakenApartIsShownAsBytes) {
  EXPECT_EQ(OfServer(Chunk{.type = ChunkType::kBlockStatus, .payload = {1, 2}}),
            "NBD_REPLY_TYPE_BLOCK_STATUS to cookie 0x0, 2 bytes: 01 02");
  EXPECT_EQ(OfServer(Chunk{.type = ChunkType::kOffsetData, .payload = {1}}),
            "NBD_REPLY_TYPE_OFFSET_DATA to cookie 0x0, 1 byte: 01");
  EXPECT_EQ(OfServer(RawBytes{.bytes = {'h', 'i'}}), "raw, 2 bytes: \"hi\"");
}

TEST(Describe, HostileMessagesStayOnOneShortLine) {
  const std::string nasty(70000, '\x1b');
  const Bytes noise(70000, 0x1b);
  const std::uint64_t big = ~std::uint64_t{0};
  std::vector<std::string> lines = {
      OfServer(Greeting{.magic = big, .option_magic = big, .flags = 0xffff}),
      OfServer(ExportNameReply{.size = big, .flags = 0xffff, .pad = noise}),
      OfServer(SimpleReply{.magic = 1, .error = 0xffffffff, .cookie = big, .data = noise}),
      OfServer(RawBytes{.bytes = noise}),
      OfClient(
          Option{.option = OptionType::kGo,
                 .payload = EncodePayload(InfoQuery{.name = nasty, .requests = std::vector<std::uint16_t>(9, 0xffff)}),
                 .length_field = 1}),
      OfClient(Option{
          .option = OptionType::kSetMetaContext,
          .payload = EncodePayload(MetaContextQuery{.export_name = nasty, .queries = {nasty, nasty, nasty, nasty}})}),
      OfClient(Request{.magic = 0, .flags = 0xffff, .cookie = big, .offset = big, .payload = noise, .too_long = true}),
  };
  for (std::uint32_t type = 0; type < 5; ++type) {
    lines.push_back(OfServer(OptionReply{.magic = big, .option = 0xffffffff, .type = type, .payload = noise}));
  }
  lines.push_back(OfServer(OptionReply{.type = OptionReplyType::kServer,
                                       .payload = EncodePayload(ListedExport{.name = nasty, .description = nasty})}));
  lines.push_back(OfServer(
      OptionReply{.type = OptionReplyType::kInfo, .payload = EncodePayload(InfoExport{.size = big, .flags = 0xffff})}));
  for (const std::uint16_t type : std::initializer_list<std::uint16_t>{0, 1, 2, 5, 6, 0x8001, 0x8002}) {
    lines.push_back(OfServer(Chunk{.flags = 0xffff, .type = type, .cookie = big, .payload = noise}));
  }
  for (const std::string& line : lines) {
    EXPECT_LE(line.size(), kDescriptionMax) << line;
    EXPECT_EQ(line.find_first_of("\n\x1b"), std::string::npos) << line;
  }
}

TEST(Quoted, EscapesWhatIsNotPrintableAscii) {
  EXPECT_EQ(Quoted(""), "\"\"");
  EXPECT_EQ(Quoted("a b~"), "\"a b~\"");
  EXPECT_EQ(Quoted("\n\r\t\"\\"), "\"\\n\\r\\t\\\"\\\\\"");
  EXPECT_EQ(Quoted(std::string_view("\0\x1b\x7f\xff", 4)), "\"\\x00\\x1b\\x7f\\xff\"");
}

TEST(Quoted, CutsOnlyWhatIsLonger) {
  EXPECT_EQ(Quoted("abc", 3), "\"abc\"");
  EXPECT_EQ(Quoted("abcd", 3), "\"abc\"...");
  EXPECT_EQ(Quoted("abcd", 0), "\"\"...");
}

}  // namespace
}  // namespace nbdspec::engine
