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
  }
}

struct ForgetsTheOffsetOfAnError : EnginePayloads {
  using EnginePayloads::Again;
  static std::optional<Bytes> Again(const engine::Chunk& chunk) {
    auto again = EnginePayloads::Again(chunk);
    if (again && chunk.type == engine::ChunkType::kErrorOffset) {
      again->resize(again->size() - 8);
    }
    return again;
  }
};

struct RefusesStatusWithoutDescriptors : EnginePayloads {
  using EnginePayloads::Again;
  static std::optional<Bytes> Again(const engine::Chunk& chunk) {
    return chunk.payload.size() == 4 ? std::nullopt : EnginePayloads::Again(chunk);
  }
};

struct TakesStatusOfAnyLength : EnginePayloads {
  using EnginePayloads::Again;
  static std::optional<Bytes> Again(const engine::Chunk& chunk) { return chunk.payload; }
};

struct ChangesAQuery : EnginePayloads {
  using EnginePayloads::Again;
  static std::optional<Bytes> Again(const engine::Option& option) {
    auto again = EnginePayloads::Again(option);
    again->back() ^= 1;
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

TEST(PayloadDifferential, KnowsWhatAShortPrintableLineIs) {
  EXPECT_FALSE(FindInLine("", "a line"));
  EXPECT_TRUE(FindInLine("", ""));
  EXPECT_TRUE(FindInLine("", "two\nlines"));
  EXPECT_TRUE(FindInLine("", "\x7f"));
  EXPECT_TRUE(FindInLine("", std::string(1000, 'a')));
}

}  // namespace
}  // namespace nbdspec::fuzz
