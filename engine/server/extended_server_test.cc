// SPDX-License-Identifier: BSD-3-Clause
// The reference server with extended headers.
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/layers/layer.h"
#include "engine/negotiation/negotiated.h"
#include "engine/server/server.h"
#include "engine/server/testdata/take_said.h"
#include "engine/wire/decoders.h"
#include "engine/wire/messages.h"

namespace nbdspec::engine {
namespace {

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
constexpr std::uint64_t kDiskBytes = 16 * kGiB;
constexpr std::uint32_t kHoleZero = AllocationFlag::kHole | AllocationFlag::kZero;

// Extents without bytes: what is written only becomes data.
class LargeLayer : public Layer {
 public:
  [[nodiscard]] std::uint64_t size() const override { return kDiskBytes; }
  [[nodiscard]] bool CanExtents() const override { return true; }
  [[nodiscard]] bool CanWrite() const override { return true; }
  LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents) override {
    return CopyExtents(extents_, request.range, extents, request.range.begin);
  }
  LayerResult Read(std::uint64_t /*offset*/, std::span<std::uint8_t> into) override {
    std::ranges::fill(into, std::uint8_t{0});
    return {};
  }
  LayerResult Write(std::uint64_t offset, ByteView data) override {
    return AddExtent(extents_, {.begin = offset, .end = offset + data.size()}, ExtentType::kData);
  }
  LayerResult WriteZeroes(ByteRange range, bool /*may_punch_hole*/) override {
    return AddExtent(extents_, range, ExtentType::kHoleZero);
  }
  [[nodiscard]] const ExtentMap& extents() const { return extents_; }

 private:
  ExtentMap extents_{kDiskBytes, ExtentType::kHoleZero};
};

class ExtendedServerTest : public testing::Test {
 protected:
  std::vector<ServerMessage> Say(const ClientMessage& message) {
    server_.Receive(Encode(message));
    return TakeSaid(server_, decoder_);
  }

  std::uint32_t Ask(std::uint32_t option, OptionData data = {}) { return Ask(MakeOption(option, std::move(data))); }
  std::uint32_t Ask(const Option& option) { return std::get<OptionReply>(Say(option).back()).type; }

  void Enter(std::vector<std::string> contexts) {
    Say(ClientFlags{});
    EXPECT_EQ(Ask(OptionType::kExtendedHeaders), OptionReplyType::kAck);
    if (!contexts.empty()) {
      EXPECT_EQ(Ask(OptionType::kSetMetaContext, {.queries = std::move(contexts)}), OptionReplyType::kAck);
    }
    EXPECT_EQ(Ask(OptionType::kGo), OptionReplyType::kAck);
    decoder_.EnterTransmission(HeaderForm::kExtended);
  }
  void EnterWithBoth() { Enter({std::string(kBaseAllocation), std::string(kBlockIndexContext)}); }

  // The chunks that answer `request`, which is sent in the extended form and with cookie 7.
  std::vector<Chunk> ChunksFor(Request request) {
    request.cookie = 7;
    std::vector<Chunk> chunks;
    for (const ServerMessage& message : Say(InForm(HeaderForm::kExtended, request))) {
      const auto* chunk = std::get_if<Chunk>(&message);
      if (chunk == nullptr) {
        ADD_FAILURE() << Describe(message);
        break;
      }
      EXPECT_EQ(chunk->cookie, 7U);
      EXPECT_EQ(chunk->offset, request.offset);
      chunks.push_back(*chunk);
    }
    return chunks;
  }

  std::uint32_t ErrorOf(const Request& request) {
    const auto chunks = ChunksFor(request);
    const auto error = chunks.size() == 1 ? DecodeErrorPayload(chunks[0].type, chunks[0].payload) : std::nullopt;
    return error ? error->error : NbdError::kOk;
  }

  // BLOCK_STATUS with a payload.
  static Request Query(Bytes payload, std::uint64_t offset = 0) {
    return {.type = CommandType::kBlockStatus, .offset = offset, .length = payload.size(), .payload = payload};
  }
  static Request QueryOf(std::vector<std::uint32_t> ids) {
    return Query(EncodePayload(StatusQuery{.length = kDiskBytes, .context_ids = std::move(ids)}));
  }

  LargeLayer* layer_ = new LargeLayer;  // Of export_.
  Export export_{.options = {.name = ""}, .stack = std::unique_ptr<Layer>(layer_)};
  Server server_{ServerOptions{}, {&export_}};
  ServerDecoder decoder_;
};

TEST_F(ExtendedServerTest, TheOptionTakesNoDataAndPrecedence) {
  Say(ClientFlags{});
  EXPECT_EQ(Ask(Option{.option = OptionType::kExtendedHeaders, .payload = Bytes(4)}), OptionReplyType::kErrInvalid);
  EXPECT_EQ(server_.state().headers, HeaderForm::kCompact);
  EXPECT_EQ(Ask(OptionType::kStructuredReply), OptionReplyType::kAck);
  EXPECT_EQ(Ask(OptionType::kExtendedHeaders), OptionReplyType::kAck);
  EXPECT_EQ(Ask(OptionType::kStructuredReply), OptionReplyType::kErrExtHeaderReqd);
  EXPECT_EQ(server_.state().headers, HeaderForm::kExtended);
}

TEST_F(ExtendedServerTest, ExportNameEndsTheSession) {
  Say(ClientFlags{});
  Ask(OptionType::kExtendedHeaders);
  Say(MakeOption(OptionType::kExportName));
  EXPECT_TRUE(server_.closed());
}

TEST_F(ExtendedServerTest, IsRefusedWhereItIsNotOffered) {
  Server server({.extended_headers = false}, {&export_});
  server.Receive(Encode(ClientFlags{}));
  server.Receive(Encode(Option{.option = OptionType::kExtendedHeaders}));
  EXPECT_EQ(server.state().headers, HeaderForm::kCompact);
}

TEST_F(ExtendedServerTest, PayloadsAreOfferedOnlyWithAContext) {
  Say(ClientFlags{});
  const auto offers = [&] {
    const auto replies = Say(MakeOption(OptionType::kInfo));
    return (DecodePayload<InfoExport>(std::get<OptionReply>(replies.at(0)).payload)->flags &
            TransmissionFlag::kBlockStatusPayload) != 0;
  };
  const auto select = [&] {
    EXPECT_EQ(Ask(OptionType::kSetMetaContext, {.queries = {std::string(kBaseAllocation)}}), OptionReplyType::kAck);
  };
  Ask(OptionType::kStructuredReply);
  select();
  EXPECT_FALSE(offers());
  Ask(OptionType::kExtendedHeaders);
  EXPECT_TRUE(offers());
  Ask(OptionType::kSetMetaContext);
  EXPECT_FALSE(offers());
}

// ext.list-meta-context.64bit-final, .base-no-err, .agreed-no-err, ext.set-meta-context.64bit
TEST_F(ExtendedServerTest, AStatusOf64BitsNeedsExtendedHeaders) {
  const std::string wide(kBlockCountdownContext);
  const std::string base(kBaseAllocation);
  Say(ClientFlags{});
  Ask(OptionType::kStructuredReply);
  EXPECT_EQ(Ask(OptionType::kListMetaContext), OptionReplyType::kErrExtHeaderReqd);
  EXPECT_EQ(Ask(OptionType::kListMetaContext, {.queries = {"base:"}}), OptionReplyType::kAck);
  EXPECT_EQ(Ask(OptionType::kSetMetaContext, {.queries = {wide, base}}), OptionReplyType::kAck);
  ASSERT_EQ(server_.state().contexts.size(), 1U);
  EXPECT_EQ(server_.state().contexts[0].name, base);
  Ask(OptionType::kExtendedHeaders);
  EXPECT_EQ(Say(MakeOption(OptionType::kListMetaContext)).size(), 4U);
  EXPECT_EQ(Ask(OptionType::kListMetaContext), OptionReplyType::kAck);
  Ask(OptionType::kSetMetaContext, {.queries = {wide}});
  Ask(OptionType::kGo);
  decoder_.EnterTransmission(HeaderForm::kExtended);
  const auto chunks = ChunksFor({.type = CommandType::kBlockStatus, .offset = kBlockIndexBytes, .length = 512});
  ASSERT_EQ(chunks.size(), 1U);
  EXPECT_EQ(DecodeBlockStatus(chunks[0].type, chunks[0].payload)->descriptors,
            (std::vector<Descriptor>{{.length = 512, .status = ~std::uint64_t{1}}}));
}

TEST_F(ExtendedServerTest, OneRequestReachesPastFourGiB) {
  EnterWithBoth();
  EXPECT_EQ(ErrorOf({.type = CommandType::kWrite, .offset = 9 * kGiB, .length = 3, .payload = {1, 2, 3}}),
            NbdError::kOk);
  const auto chunks = ChunksFor({.type = CommandType::kBlockStatus, .length = kDiskBytes});
  ASSERT_EQ(chunks.size(), 2U);
  const auto status = DecodeBlockStatus(chunks[0].type, chunks[0].payload);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->descriptors, (std::vector<Descriptor>{{.length = 9 * kGiB, .status = kHoleZero},
                                                          {.length = 512, .status = 0},
                                                          {.length = 7 * kGiB - 512, .status = kHoleZero}}));
  EXPECT_EQ(ErrorOf({.type = CommandType::kWriteZeroes, .length = kDiskBytes}), NbdError::kOk);
  EXPECT_TRUE(IsZero(layer_->extents().Lookup(9 * kGiB).type));
}

TEST_F(ExtendedServerTest, RangesThatWrapAreRefused) {
  Enter({});
  for (const std::uint64_t offset : {std::uint64_t{2}, std::uint64_t{512}, kDiskBytes, ~std::uint64_t{0}}) {
    EXPECT_EQ(ErrorOf({.type = CommandType::kTrim, .offset = offset, .length = ~offset + 2}), NbdError::kEinval);
    EXPECT_EQ(ErrorOf({.type = CommandType::kRead, .offset = offset, .length = ~std::uint64_t{0}}), NbdError::kEinval);
  }
}

TEST_F(ExtendedServerTest, AWriteAnnouncesItsPayloadAndOthersHaveNone) {
  EnterWithBoth();
  EXPECT_EQ(ErrorOf({.type = CommandType::kWrite, .length = 512}), NbdError::kEinval);
  for (const std::uint16_t command : {CommandType::kRead, CommandType::kFlush, CommandType::kTrim, CommandType::kCache,
                                      CommandType::kWriteZeroes, std::uint16_t{0x7fff}}) {
    EXPECT_EQ(ErrorOf({.type = command, .length = 512, .payload = Bytes(512)}), NbdError::kEinval) << command;
  }
  EXPECT_EQ(ErrorOf({.type = CommandType::kFlush}), NbdError::kOk);
}

TEST_F(ExtendedServerTest, TheContextsOfAQueryAnswer) {
  EnterWithBoth();
  const auto& contexts = server_.state().contexts;
  const auto answer = [&](std::vector<std::uint32_t> ids) {
    std::vector<std::uint32_t> answered;
    for (const Chunk& chunk : ChunksFor(QueryOf(std::move(ids)))) {
      const auto status = DecodeBlockStatus(chunk.type, chunk.payload);
      answered.push_back(status ? status->context_id : 0);
    }
    return answered;
  };
  using Ids = std::vector<std::uint32_t>;
  EXPECT_EQ(answer({contexts[1].id}), (Ids{contexts[1].id}));
  EXPECT_EQ(answer({contexts[1].id, contexts[0].id}), (Ids{contexts[1].id, contexts[0].id}));
}

TEST_F(ExtendedServerTest, AQueryThatIsWrongIsConsumedAndRefused) {
  EnterWithBoth();
  const std::uint32_t id = server_.state().contexts[0].id;
  EXPECT_EQ(ErrorOf(QueryOf({})), NbdError::kEinval);
  EXPECT_EQ(ErrorOf(QueryOf({id, id})), NbdError::kEinval);
  EXPECT_EQ(ErrorOf(QueryOf({id, 0xffff})), NbdError::kEinval);
  for (std::size_t bytes = 1; bytes < 16; ++bytes) {
    EXPECT_EQ(ErrorOf(Query(Bytes(bytes))), NbdError::kEinval) << bytes;
  }
  const Bytes past_end = EncodePayload(StatusQuery{.length = kDiskBytes, .context_ids = {id}});
  EXPECT_EQ(ErrorOf(Query(past_end, 512)), NbdError::kEinval);
  EXPECT_EQ(ErrorOf({.type = CommandType::kFlush}), NbdError::kOk);
}

TEST_F(ExtendedServerTest, AQueryWithoutContextsIsRefused) {
  Enter({});
  EXPECT_EQ(ErrorOf(QueryOf({0})), NbdError::kEinval);
}

TEST_F(ExtendedServerTest, ACompactRequestEndsTheSession) {
  Enter({});
  Say(Request{.type = CommandType::kFlush});
  EXPECT_TRUE(server_.closed());
}

TEST_F(ExtendedServerTest, APayloadAboveTheLimitEndsTheSession) {
  Enter({});
  Say(Request{.form = HeaderForm::kExtended,
              .flags = CommandFlag::kPayloadLen,
              .type = CommandType::kWrite,
              .length = std::uint64_t{1} << 40});
  EXPECT_TRUE(server_.closed());
}

}  // namespace
}  // namespace nbdspec::engine
