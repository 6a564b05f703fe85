// SPDX-License-Identifier: BSD-3-Clause
#include "engine/wire/protocol.h"

#include <gtest/gtest.h>

namespace nbdspec::engine {
namespace {

TEST(Protocol, NamesAreTheSpecifications) {
  EXPECT_EQ(OptionName(OptionType::kGo), "NBD_OPT_GO");
  EXPECT_EQ(OptionName(OptionType::kExtendedHeaders), "NBD_OPT_EXTENDED_HEADERS");
  EXPECT_EQ(OptionReplyName(OptionReplyType::kAck), "NBD_REP_ACK");
  EXPECT_EQ(OptionReplyName(0x80000009), "NBD_REP_ERR_TOO_BIG");
  EXPECT_EQ(InfoName(0), "NBD_INFO_EXPORT");
  EXPECT_EQ(CommandName(0), "NBD_CMD_READ");
  EXPECT_EQ(CommandName(7), "NBD_CMD_BLOCK_STATUS");
  EXPECT_EQ(ChunkName(0), "NBD_REPLY_TYPE_NONE");
  EXPECT_EQ(ChunkName(0x8002), "NBD_REPLY_TYPE_ERROR_OFFSET");
  EXPECT_EQ(ErrorName(22), "NBD_EINVAL");
  EXPECT_EQ(ErrorName(0), "no error");
}

TEST(Protocol, NumbersWithoutANameAreShown) {
  EXPECT_EQ(OptionName(1234), "NBD_OPT_0x4d2");
  EXPECT_EQ(OptionName(0), "NBD_OPT_0x0");
  EXPECT_EQ(OptionReplyName(0xffffffff), "NBD_REP_0xffffffff");
  EXPECT_EQ(InfoName(4), "NBD_INFO_0x4");
  EXPECT_EQ(CommandName(9), "NBD_CMD_0x9");
  EXPECT_EQ(ChunkName(3), "NBD_REPLY_TYPE_0x3");
  EXPECT_EQ(ErrorName(999), "error 999");
}

TEST(Protocol, FlagsAreNamedInBitOrderAndTheRestIsOneNumber) {
  EXPECT_EQ(HandshakeFlagNames(0), "0");
  EXPECT_EQ(HandshakeFlagNames(3), "FIXED_NEWSTYLE|NO_ZEROES");
  EXPECT_EQ(ClientFlagNames(0x81), "C_FIXED_NEWSTYLE|0x80");
  EXPECT_EQ(ClientFlagNames(0xfffffffc), "0xfffffffc");
  EXPECT_EQ(TransmissionFlagNames(5), "HAS_FLAGS|SEND_FLUSH");
  EXPECT_EQ(CommandFlagNames(8), "REQ_ONE");
  EXPECT_EQ(ChunkFlagNames(1), "DONE");
  EXPECT_EQ(ChunkFlagNames(0), "0");
}

TEST(Protocol, MagicsAreNamedAlsoWhenReservedHistoricOrOfTheOtherWidth) {
  EXPECT_EQ(MagicText(kSimpleReplyMagic), "0x67446698 (NBD_SIMPLE_REPLY_MAGIC)");
  EXPECT_EQ(MagicText(kExtendedChunkMagic), "0x6e8a278c (NBD_EXTENDED_REPLY_MAGIC)");
  EXPECT_EQ(MagicText(std::uint32_t{0x96744668}), "0x96744668 (historic NBD_REPLY_MAGIC)");
  EXPECT_EQ(MagicText(kOptionMagic), "0x49484156454f5054 (IHAVEOPT)");
  EXPECT_EQ(MagicText(std::uint32_t{0x49484156}), "0x49484156 (first half of 0x49484156454f5054, IHAVEOPT)");
  EXPECT_EQ(MagicText(std::uint64_t{0x2560951300000003}), "0x2560951300000003 (begins with NBD_REQUEST_MAGIC)");
}

TEST(Protocol, OtherMagicsAreOnlyNumbers) {
  EXPECT_EQ(MagicText(std::uint32_t{0}), "0x0");
  EXPECT_EQ(MagicText(std::uint64_t{0}), "0x0");
  EXPECT_EQ(MagicText(std::uint64_t{kRequestMagic}), "0x25609513");
  EXPECT_EQ(MagicText(~std::uint64_t{0}), "0xffffffffffffffff");
}

}  // namespace
}  // namespace nbdspec::engine
