// SPDX-License-Identifier: BSD-3-Clause
// Right payloads are accused of nothing, and each planted bug of a codec is seen.

#include "fuzz/comparisons/wire_decode_differential.h"

#include <gtest/gtest.h>

#include "engine/wire/protocol.h"

namespace nbdspec::fuzz {
namespace {

using engine::Bytes;
using engine::ClientMessage;
using engine::ServerMessage;

ServerMessage ErrorAtOffset() {
  return engine::Chunk{
      .type = engine::ChunkType::kErrorOffset,
      .payload = engine::EncodePayload(engine::ErrorPayload{.error = 5, .message = "gone", .offset = 1ULL << 40})};
}

ServerMessage Status(std::size_t bytes) {
  return engine::Chunk{.type = engine::ChunkType::kBlockStatus, .payload = Bytes(bytes)};
}

ServerMessage ExtendedStatus(std::size_t bytes) {
  return engine::Chunk{
      .form = engine::HeaderForm::kExtended, .type = engine::ChunkType::kBlockStatusExt, .payload = Bytes(bytes, 0x81)};
}

ClientMessage StatusQuery(std::size_t bytes) {
  return engine::Request{.form = engine::HeaderForm::kExtended,
                         .flags = engine::CommandFlag::kPayloadLen,
                         .type = engine::CommandType::kBlockStatus,
                         .length = bytes,
                         .payload = Bytes(bytes, 0x81)};
}

ClientMessage ContextsOf(const std::string& name) {
  return engine::Option{
      .option = engine::OptionType::kSetMetaContext,
      .payload = engine::EncodePayload(engine::MetaContextQuery{.export_name = name, .queries = {"base:", ""}})};
}

TEST(PayloadDifferential, AccusesTheEngineOfNothing) {
  EXPECT_FALSE(FindPayloadDisagreement(ErrorAtOffset()));
  EXPECT_FALSE(FindPayloadDisagreement(ContextsOf("\xf0\x9f\x92\xbe")));
  EXPECT_FALSE(FindPayloadDisagreement(ContextsOf("\xed\xa0\x80")));
  for (const std::size_t bytes : {0U, 3U, 4U, 5U, 12U, 13U, 2000U}) {
    EXPECT_FALSE(FindPayloadDisagreement(Status(bytes))) << bytes;
    EXPECT_FALSE(FindPayloadDisagreement(ExtendedStatus(bytes + 4))) << bytes;
    EXPECT_FALSE(FindPayloadDisagreement(StatusQuery(bytes + 4))) << bytes;
  }
}

struct ForgetsTheOffsetOfAnError : EnginePayloads {
  using EnginePayloads::TakeApart;
  static std::optional<TakenApart> TakeApart(const engine::Chunk& chunk) {
    auto again = EnginePayloads::TakeApart(chunk);
    if (again && chunk.type == engine::ChunkType::kErrorOffset) {
      again->bytes.resize(again->bytes.size() - 8);
    }
    return again;
  }
};

struct RefusesStatusWithoutDescriptors : EnginePayloads {
  using EnginePayloads::TakeApart;
  static std::optional<TakenApart> TakeApart(const engine::Chunk& chunk) {
    return chunk.payload.size() == 4 ? std::nullopt : EnginePayloads::TakeApart(chunk);
  }
};

struct TakesStatusOfAnyLength : EnginePayloads {
  using EnginePayloads::TakeApart;
  static std::optional<TakenApart> TakeApart(const engine::Chunk& chunk) { return TakenApart{.bytes = chunk.payload}; }
};

struct ChangesAQuery : EnginePayloads {
  using EnginePayloads::TakeApart;
  static std::optional<TakenApart> TakeApart(const engine::Option& option) {
    auto again = EnginePayloads::TakeApart(option);
    again->bytes.back() ^= 1;
    return again;
  }
};

struct TakesSurrogates : EnginePayloads {
  static bool IsValidString(std::string_view text) {
    return text.find("\xed\xa0") != std::string_view::npos || EnginePayloads::IsValidString(text);
  }
};

struct ShowsBytesAsTheyAre : EnginePayloads {
  static std::string Describe(const ClientMessage& message) { return EnginePayloads::Describe(message) + "\x1b"; }
};

TEST(PayloadDifferential, SeesEachPlantedBug) {
  EXPECT_TRUE(FindPayloadDisagreement<ForgetsTheOffsetOfAnError>(ErrorAtOffset()));
  EXPECT_TRUE(FindPayloadDisagreement<RefusesStatusWithoutDescriptors>(Status(4)));
  EXPECT_TRUE(FindPayloadDisagreement<TakesStatusOfAnyLength>(Status(5)));
  EXPECT_TRUE(FindPayloadDisagreement<ChangesAQuery>(ContextsOf("a")));
  EXPECT_TRUE(FindPayloadDisagreement<ShowsBytesAsTheyAre>(ContextsOf("a")));
  const ServerMessage text =
      engine::OptionReply{.type = engine::OptionReplyType::kErrInvalid, .payload = {0xed, 0xa0, 0x80}};
  EXPECT_TRUE(FindPayloadDisagreement<TakesSurrogates>(text));
  EXPECT_FALSE(FindPayloadDisagreement(text));
}

// Magic, flags, type, cookie, offset, length: each number of a header another one.
Bytes NumberedHeader(std::uint32_t magic, std::size_t length_bytes) {
  Bytes bytes;
  engine::FieldWriter writer(bytes);
  writer.Numbers(magic, std::uint16_t{0x20}, std::uint16_t{7}, std::uint64_t{3} << 40, std::uint64_t{5} << 40);
  bytes.resize(bytes.size() + length_bytes);
  return bytes;
}

TEST(HeaderDifferential, ReadsHeadersByTheLayoutOfTheirForm) {
  using engine::HeaderForm;
  constexpr std::uint32_t kLimit = 40;
  const engine::Request compact = {.flags = 0x20, .type = 7, .cookie = 3ULL << 40, .offset = 5ULL << 40};
  engine::Request extended = compact;
  extended.form = HeaderForm::kExtended;
  const Bytes compact_bytes = NumberedHeader(engine::kRequestMagic, 4);
  const Bytes extended_bytes = NumberedHeader(engine::kExtendedRequestMagic, 8);
  EXPECT_FALSE(FindHeaderDisagreement(ClientMessage(compact), HeaderForm::kCompact, kLimit, compact_bytes));
  EXPECT_FALSE(FindHeaderDisagreement(ClientMessage(extended), HeaderForm::kExtended, kLimit, extended_bytes));
  EXPECT_TRUE(FindHeaderDisagreement(ClientMessage(compact), HeaderForm::kExtended, kLimit, extended_bytes));
  EXPECT_TRUE(FindHeaderDisagreement(ClientMessage(extended), HeaderForm::kCompact, kLimit, compact_bytes));
  extended.offset += 1;
  EXPECT_TRUE(FindHeaderDisagreement(ClientMessage(extended), HeaderForm::kExtended, kLimit, extended_bytes));
  const engine::Chunk chunk = {
      .form = HeaderForm::kExtended, .flags = 0x20, .type = 7, .cookie = 3ULL << 40, .offset = 5ULL << 40};
  const Bytes chunk_bytes = NumberedHeader(engine::kExtendedChunkMagic, 8);
  EXPECT_FALSE(FindHeaderDisagreement(ServerMessage(chunk), HeaderForm::kExtended, kLimit, chunk_bytes));
  EXPECT_TRUE(FindHeaderDisagreement(ServerMessage(chunk), HeaderForm::kCompact, kLimit, chunk_bytes));
}

TEST(PayloadDifferential, KnowsWhatAShortPrintableLineIs) {
  EXPECT_FALSE(FindInLine("", "a line"));
  EXPECT_TRUE(FindInLine("", ""));
  EXPECT_TRUE(FindInLine("", "two\nlines"));
  EXPECT_TRUE(FindInLine("", "\x7f"));
  EXPECT_TRUE(FindInLine("", std::string(1000, 'a')));
}

}  // namespace
}  // namespace nbdspec::fuzz
