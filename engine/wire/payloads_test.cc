// SPDX-License-Identifier: BSD-3-Clause
#include "engine/wire/payloads.h"

#include <gtest/gtest.h>

namespace nbdspec::engine {
namespace {

Bytes Without(Bytes bytes, std::size_t count) {
  bytes.resize(bytes.size() - count);
  return bytes;
}

Bytes With(Bytes bytes, std::size_t count) {
  bytes.resize(bytes.size() + count);
  return bytes;
}

// Every payload that is shorter than `payload` is refused by `decode`.
template <typename Decode>
void ExpectEveryPrefixRefused(const Bytes& payload, Decode decode) {
  for (std::size_t cut = 1; cut <= payload.size(); ++cut) {
    EXPECT_FALSE(decode(Without(payload, cut)).has_value()) << cut << " bytes missing";
  }
}

TEST(InfoQuery, IsFramedByItsLengthAndCount) {
  const InfoQuery query{.name = "ab", .requests = {0, 0x1234}};
  const Bytes payload = {0, 0, 0, 2, 'a', 'b', 0, 2, 0, 0, 0x12, 0x34};
  EXPECT_EQ(EncodePayload(query), payload);
  EXPECT_EQ(DecodePayload<InfoQuery>(payload), query);
  EXPECT_EQ(DecodePayload<InfoQuery>(Bytes(6)), InfoQuery{});
  ExpectEveryPrefixRefused(payload, DecodePayload<InfoQuery>);
  EXPECT_EQ(DecodePayload<InfoQuery>(With(payload, 1)), std::nullopt);
}

TEST(InfoQuery, LengthOutsideOfThePayloadIsRefused) {
  EXPECT_EQ(DecodePayload<InfoQuery>(Bytes{0xff, 0xff, 0xff, 0xff, 'a', 'b', 0, 0}), std::nullopt);
  EXPECT_EQ(DecodePayload<InfoQuery>(Bytes{0, 0, 0, 0, 0xff, 0xff}), std::nullopt);
}

TEST(MetaContextQuery, IsFramedByItsLengthsAndCount) {
  const MetaContextQuery query{.export_name = "e", .queries = {"base:", ""}};
  const Bytes payload = {0, 0, 0, 1, 'e', 0, 0, 0, 2, 0, 0, 0, 5, 'b', 'a', 's', 'e', ':', 0, 0, 0, 0};
  EXPECT_EQ(EncodePayload(query), payload);
  EXPECT_EQ(DecodePayload<MetaContextQuery>(payload), query);
  ExpectEveryPrefixRefused(payload, DecodePayload<MetaContextQuery>);
  EXPECT_EQ(DecodePayload<MetaContextQuery>(With(payload, 1)), std::nullopt);
}

TEST(MetaContextQuery, CountThatClaimsTooMuchIsRefused) {
  EXPECT_EQ(DecodePayload<MetaContextQuery>(Bytes{0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}), std::nullopt);
}

TEST(ListedExport, DescriptionIsWhatFollowsTheName) {
  const ListedExport listed{.name = "n", .description = "d d"};
  const Bytes payload = {0, 0, 0, 1, 'n', 'd', ' ', 'd'};
  EXPECT_EQ(EncodePayload(listed), payload);
  EXPECT_EQ(DecodePayload<ListedExport>(payload), listed);
  EXPECT_EQ(DecodePayload<ListedExport>(Bytes(4)), ListedExport{});
  EXPECT_EQ(DecodePayload<ListedExport>(Bytes(3)), std::nullopt);
  EXPECT_EQ(DecodePayload<ListedExport>(Bytes{0, 0, 0, 2, 'n'}), std::nullopt);
}

TEST(MetaContext, NameIsWhatFollowsTheId) {
  const MetaContext context{.id = 0x01020304, .name = "base:allocation"};
  EXPECT_EQ(DecodePayload<MetaContext>(EncodePayload(context)), context);
  EXPECT_EQ(EncodePayload(context)[0], 1);
  EXPECT_EQ(DecodePayload<MetaContext>(Bytes(4)), MetaContext{});
  EXPECT_EQ(DecodePayload<MetaContext>(Bytes(3)), std::nullopt);
}

TEST(InfoType, IsTheFirstTwoBytes) {
  EXPECT_EQ(DecodeInfoType(Bytes{1, 2, 3}), 0x0102);
  EXPECT_EQ(DecodeInfoType(Bytes{1}), std::nullopt);
}

TEST(InfoExport, IsExactlyTwelveBytesOfItsType) {
  const InfoExport info{.size = 0x0102030405060708, .flags = 0x090a};
  const Bytes payload = {0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  EXPECT_EQ(EncodePayload(info), payload);
  EXPECT_EQ(DecodePayload<InfoExport>(payload), info);
  ExpectEveryPrefixRefused(payload, DecodePayload<InfoExport>);
  EXPECT_EQ(DecodePayload<InfoExport>(With(payload, 1)), std::nullopt);
  Bytes other = payload;
  other[1] = InfoType::kBlockSize;
  EXPECT_EQ(DecodePayload<InfoExport>(other), std::nullopt);
}

TEST(InfoBlockSize, IsExactlyFourteenBytesOfItsType) {
  const InfoBlockSize info{.minimum = 512, .preferred = 4096, .maximum = 0xffffffff};
  const Bytes payload = {0, 3, 0, 0, 2, 0, 0, 0, 16, 0, 0xff, 0xff, 0xff, 0xff};
  EXPECT_EQ(EncodePayload(info), payload);
  EXPECT_EQ(DecodePayload<InfoBlockSize>(payload), info);
  ExpectEveryPrefixRefused(payload, DecodePayload<InfoBlockSize>);
  EXPECT_EQ(DecodePayload<InfoBlockSize>(With(payload, 1)), std::nullopt);
  Bytes other = payload;
  other[1] = InfoType::kExport;
  EXPECT_EQ(DecodePayload<InfoBlockSize>(other), std::nullopt);
}

TEST(InfoText, TextIsWhatFollowsTheType) {
  const InfoText info{.type = InfoType::kDescription, .text = std::string("a\0b", 3)};
  EXPECT_EQ(DecodePayload<InfoText>(EncodePayload(info)), info);
  EXPECT_EQ(DecodePayload<InfoText>(Bytes{0, 1}), InfoText{});
  EXPECT_EQ(DecodePayload<InfoText>(Bytes{0}), std::nullopt);
}

TEST(OffsetData, MayHaveNoData) {
  const OffsetData data{.offset = 0x0102030405060708, .data = {9}};
  EXPECT_EQ(EncodePayload(data), (Bytes{1, 2, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_EQ(DecodePayload<OffsetData>(EncodePayload(data)), data);
  EXPECT_EQ(DecodePayload<OffsetData>(Bytes(8)), OffsetData{});
  EXPECT_EQ(DecodePayload<OffsetData>(Bytes(7)), std::nullopt);
}

TEST(OffsetHole, IsExactlyTwelveBytes) {
  const OffsetHole hole{.offset = 1, .length = 2};
  EXPECT_EQ(EncodePayload(hole), (Bytes{0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2}));
  EXPECT_EQ(DecodePayload<OffsetHole>(EncodePayload(hole)), hole);
  EXPECT_EQ(DecodePayload<OffsetHole>(Bytes(11)), std::nullopt);
  EXPECT_EQ(DecodePayload<OffsetHole>(Bytes(13)), std::nullopt);
}

TEST(BlockStatus, IsFourBytesAndAnyNumberOfEight) {
  const BlockStatus status{.context_id = 7, .descriptors = {{.length = 1, .status = 2}, {.length = 3, .status = 4}}};
  const Bytes payload = {0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4};
  EXPECT_EQ(EncodePayload(status), payload);
  EXPECT_EQ(DecodePayload<BlockStatus>(payload), status);
  for (std::size_t size = 0; size <= 40; ++size) {
    const auto decoded = DecodePayload<BlockStatus>(Bytes(size));
    ASSERT_EQ(decoded.has_value(), size % 8 == 4) << size;
    if (decoded) {
      EXPECT_EQ(decoded->descriptors.size(), size / 8);
    }
  }
}

TEST(ErrorPayload, OffsetFollowsTheMessageOnlyInErrorOffset) {
  const ErrorPayload error{.error = 5, .message = "no", .offset = 0x0102030405060708};
  const Bytes payload = {0, 0, 0, 5, 0, 2, 'n', 'o', 1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT_EQ(EncodePayload(error), payload);
  EXPECT_EQ(DecodeErrorPayload(ChunkType::kErrorOffset, payload), error);
  const ErrorPayload without = {.error = 5, .message = "no"};
  EXPECT_EQ(DecodeErrorPayload(ChunkType::kError, payload), without);
  EXPECT_EQ(DecodeErrorPayload(0x8abc, payload), without);
  ExpectEveryPrefixRefused(payload, [](ByteView cut) { return DecodeErrorPayload(ChunkType::kErrorOffset, cut); });
}

TEST(ErrorPayload, BytesAfterTheKnownFieldsAreIgnored) {
  const ErrorPayload error{.error = 5, .message = "no", .offset = 1};
  EXPECT_EQ(DecodeErrorPayload(ChunkType::kErrorOffset, With(EncodePayload(error), 3)), error);
}

TEST(ErrorPayload, MessageLengthOutsideOfThePayloadIsRefused) {
  EXPECT_EQ(DecodeErrorPayload(ChunkType::kError, Bytes{0, 0, 0, 5, 0, 3, 'n', 'o'}), std::nullopt);
  EXPECT_EQ(DecodeErrorPayload(ChunkType::kError, Bytes(5)), std::nullopt);
  EXPECT_TRUE(DecodeErrorPayload(ChunkType::kError, Bytes(6)).has_value());
}

TEST(IsValidString, AcceptsTheEdgesOfEveryUtf8Length) {
  for (const std::string_view text :
       {"", "a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf",
        "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "caf\xc3\xa9 \xe2\x82\xac"}) {
    EXPECT_TRUE(IsValidString(text)) << text;
  }
}

TEST(IsValidString, RefusesNulAndWhatIsNotUtf8) {
  EXPECT_FALSE(IsValidString(std::string_view("\0", 1)));
  EXPECT_FALSE(IsValidString(std::string_view("a\0b", 3)));
  for (const std::string_view text : {
           "\x80",
           "a\xbf",
           "\xff",
           "\xfe",
           "\xf8\x88\x80\x80\x80",  // No first byte.
           "\xc2",
           "\xe2\x82",
           "\xf0\x90\x80",  // Cut short.
           "\xc2 ",
           "\xe2\x82 ",
           "\xe2 \x82",
           "\xf0\x90\x80 ",  // Broken off.
           "\xc0\x80",
           "\xc1\xbf",
           "\xe0\x9f\xbf",
           "\xf0\x8f\xbf\xbf",  // Overlong.
           "\xed\xa0\x80",
           "\xed\xbf\xbf",  // Surrogates.
           "\xf4\x90\x80\x80",
           "\xf5\x80\x80\x80",
           "\xf7\xbf\xbf\xbf",  // Above U+10FFFF.
       }) {
    EXPECT_FALSE(IsValidString(text)) << text;
  }
}

}  // namespace
}  // namespace nbdspec::engine
