// SPDX-License-Identifier: BSD-3-Clause
// The reference server, message by message. That it meets the clauses is shown by the checks, which it passes.
#include "engine/server/server.h"

#include <gtest/gtest.h>

#include "engine/layers/filters.h"
#include "engine/layers/testdata/probe_layer.h"
#include "engine/server/testdata/take_said.h"
#include "engine/wire/decoders.h"
#include "engine/wire/messages.h"

namespace nbdspec::engine {
namespace {

constexpr std::uint64_t kDiskBytes = 1 << 16;

class ServerTest : public testing::Test {
 protected:
  ServerTest() { server_.emplace(ServerOptions{}, std::vector<Export*>{&export_, &strict_}); }

  void Say(const ClientMessage& message) { server_->Receive(Encode(message)); }

  // Everything the server has to say.
  std::vector<ServerMessage> TakeReceived() { return TakeSaid(*server_, decoder_); }

  std::vector<OptionReply> Ask(std::uint32_t option, Bytes payload = {}) {
    Say(Option{.option = option, .payload = std::move(payload)});
    std::vector<OptionReply> replies;
    for (const ServerMessage& message : TakeReceived()) {
      replies.push_back(std::get<OptionReply>(message));
    }
    return replies;
  }

  void Haggle() {
    TakeReceived();
    Say(ClientFlags{});
  }

  void Enter(bool structured, const std::string& name = "", const std::string& context_export = "") {
    Haggle();
    if (structured) {
      EXPECT_EQ(Ask(OptionType::kStructuredReply).back().type, OptionReplyType::kAck);
      const MetaContextQuery query{.export_name = context_export, .queries = {std::string(kBaseAllocation)}};
      EXPECT_EQ(Ask(OptionType::kSetMetaContext, EncodePayload(query)).back().type, OptionReplyType::kAck);
    }
    EXPECT_EQ(Ask(OptionType::kGo, EncodePayload(InfoQuery{.name = name})).back().type, OptionReplyType::kAck);
    decoder_.EnterTransmission();
  }

  // The error of the one simple reply to `request`.
  std::uint32_t SimpleError(const Request& request) {
    Say(request);
    const auto received = TakeReceived();
    EXPECT_EQ(received.size(), 1U);
    return std::get<SimpleReply>(received.at(0)).error;
  }

  Export export_{.options = {.name = "", .description = "d"}, .disk = Disk(kDiskBytes)};
  Export strict_{.options = {.name = "strict", .block_size = {.minimum = 4096}}, .disk = Disk(kDiskBytes)};
  std::optional<Server> server_;
  ServerDecoder decoder_;
};

TEST_F(ServerTest, GreetsOnceAndWaits) {
  const auto received = TakeReceived();
  ASSERT_EQ(received.size(), 1U);
  EXPECT_EQ(std::get<Greeting>(received[0]), Greeting{});
  EXPECT_TRUE(TakeReceived().empty());
}

TEST_F(ServerTest, UnknownClientFlagsEndTheSession) {
  Say(ClientFlags{.flags = 4});
  TakeReceived();
  EXPECT_TRUE(server_->closed());
}

TEST_F(ServerTest, OptionsAreAnsweredInOrderHoweverTheBytesCome) {
  TakeReceived();
  Bytes bytes = Encode(ClientFlags{});
  for (const std::uint32_t option : {OptionType::kList, 0x4d2U, OptionType::kStructuredReply}) {
    Encode(Option{.option = option}, bytes);
  }
  for (const std::uint8_t byte : bytes) {
    server_->Receive(ByteView(&byte, 1));
  }
  std::vector<std::uint32_t> types;
  for (const ServerMessage& message : TakeReceived()) {
    types.push_back(std::get<OptionReply>(message).type);
  }
  EXPECT_EQ(types,
            (std::vector<std::uint32_t>{OptionReplyType::kServer, OptionReplyType::kServer, OptionReplyType::kAck,
                                        OptionReplyType::kErrUnsup, OptionReplyType::kAck}));
}

TEST_F(ServerTest, WithoutFixedNewstyleOnlyExportNameIsAnswered) {
  for (const std::uint32_t option : {OptionType::kList, OptionType::kExportName}) {
    Server server({.handshake_flags = HandshakeFlag::kNoZeroes}, {&export_});
    server.Receive(Encode(ClientFlags{.flags = ClientFlag::kNoZeroes}));
    server.Receive(Encode(Option{.option = option}));
    EXPECT_EQ(server.closed(), option == OptionType::kList);
    EXPECT_EQ(server.TakeOutput().size(), option == OptionType::kList ? 18U : 18U + 10U);
  }
}

TEST_F(ServerTest, AnOptionThatIsTooLongIsRefusedButAbortIsNot) {
  server_.emplace(ServerOptions{.limits = {.option_bytes_max = 4}}, std::vector<Export*>{&export_});
  Haggle();
  EXPECT_EQ(Ask(OptionType::kList, Bytes(5)).back().type, OptionReplyType::kErrTooBig);
  EXPECT_EQ(Ask(OptionType::kAbort, Bytes(5)).back().type, OptionReplyType::kAck);
  EXPECT_TRUE(server_->closed());
}

TEST_F(ServerTest, AFailedSetMetaContextSelectsNothing) {
  Haggle();
  Ask(OptionType::kStructuredReply);
  const MetaContextQuery query{.export_name = "", .queries = {std::string(kBaseAllocation)}};
  EXPECT_EQ(Ask(OptionType::kSetMetaContext, EncodePayload(query)).size(), 2U);
  EXPECT_EQ(server_->state().contexts.size(), 1U);
  EXPECT_EQ(Ask(OptionType::kSetMetaContext, {1, 2, 3}).back().type, OptionReplyType::kErrInvalid);
  EXPECT_TRUE(server_->state().contexts.empty());
}

TEST_F(ServerTest, ASetMetaContextThatIsTooLongSelectsNothing) {
  server_.emplace(ServerOptions{.limits = {.option_bytes_max = 64}}, std::vector<Export*>{&export_});
  Haggle();
  Ask(OptionType::kStructuredReply);
  const MetaContextQuery query{.export_name = "", .queries = {std::string(kBaseAllocation)}};
  Ask(OptionType::kSetMetaContext, EncodePayload(query));
  EXPECT_EQ(server_->state().contexts.size(), 1U);
  EXPECT_EQ(Ask(OptionType::kSetMetaContext, Bytes(65)).back().type, OptionReplyType::kErrTooBig);
  EXPECT_TRUE(server_->state().contexts.empty());
}

TEST_F(ServerTest, ASelectionForAnotherExportDoesNotApply) {
  Enter(/*structured=*/true, "strict", /*context_export=*/"");
  EXPECT_TRUE(server_->state().contexts.empty());
}

TEST_F(ServerTest, OutOfBoundsErrorsDependOnTheCommand) {
  Enter(/*structured=*/false);
  const auto past = [](std::uint16_t type) {
    const Bytes payload(type == CommandType::kWrite ? 2 : 0);
    return Request{.type = type, .cookie = 1, .offset = kDiskBytes - 1, .length = 2, .payload = payload};
  };
  EXPECT_EQ(SimpleError(past(CommandType::kRead)), NbdError::kEinval);
  EXPECT_EQ(SimpleError(past(CommandType::kTrim)), NbdError::kEinval);
  EXPECT_EQ(SimpleError(past(CommandType::kWrite)), NbdError::kEnospc);
  EXPECT_EQ(SimpleError(past(CommandType::kWriteZeroes)), NbdError::kEnospc);
  const Request wraps{.type = CommandType::kTrim, .cookie = 1, .offset = ~std::uint64_t{0}, .length = 2};
  EXPECT_EQ(SimpleError(wraps), NbdError::kEinval);
}

TEST_F(ServerTest, WhatIsWrittenIsReadAndIsDataFromThenOn) {
  Enter(/*structured=*/false);
  EXPECT_EQ(SimpleError({.type = CommandType::kWrite, .cookie = 1, .offset = 1000, .length = 3, .payload = {7, 8, 9}}),
            NbdError::kOk);
  decoder_.ExpectData(2, 5);
  Say(Request{.type = CommandType::kRead, .cookie = 2, .offset = 999, .length = 5});
  EXPECT_EQ(std::get<SimpleReply>(TakeReceived().at(0)).data, (Bytes{0, 7, 8, 9, 0}));
  EXPECT_EQ(export_.disk.extents().Lookup(1001).type, ExtentType::kData);
  EXPECT_EQ(export_.disk.extents().Lookup(999).type, ExtentType::kHoleZero);
}

TEST_F(ServerTest, StructuredReadsSendHolesInWholeSectors) {
  ASSERT_TRUE(export_.disk.Write(1000, Bytes(10, 1)));
  Enter(/*structured=*/true);
  Say(Request{.type = CommandType::kRead, .cookie = 3, .offset = 0, .length = 4096});
  std::vector<std::uint16_t> types;
  for (const ServerMessage& message : TakeReceived()) {
    types.push_back(std::get<Chunk>(message).type);
  }
  EXPECT_EQ(types,
            (std::vector<std::uint16_t>{ChunkType::kOffsetHole, ChunkType::kOffsetData, ChunkType::kOffsetHole}));
  Say(Request{.flags = CommandFlag::kDf, .type = CommandType::kRead, .cookie = 4, .offset = 0, .length = 4096});
  EXPECT_EQ(TakeReceived().size(), 1U);
}

TEST_F(ServerTest, OnlyTheFirstAndLastLengthOfAnUnalignedStatusAreOdd) {
  ASSERT_TRUE(export_.disk.Write(2000, Bytes(10, 1)));
  Enter(/*structured=*/true);
  Say(Request{.type = CommandType::kBlockStatus, .cookie = 5, .offset = 100, .length = 4000});
  const auto status = DecodePayload<BlockStatus>(std::get<Chunk>(TakeReceived().at(0)).payload);
  ASSERT_TRUE(status);
  const std::uint32_t hole = AllocationFlag::kHole | AllocationFlag::kZero;
  EXPECT_EQ(status->descriptors,
            (std::vector<Descriptor>{
                {.length = 1436, .status = hole}, {.length = 512, .status = 0}, {.length = 2052, .status = hole}}));
}

TEST_F(ServerTest, RequestsOffTheGridOfAStrictExportAreRefused) {
  Enter(/*structured=*/false, "strict");
  EXPECT_EQ(SimpleError({.type = CommandType::kTrim, .cookie = 1, .offset = 512, .length = 4096}), NbdError::kEinval);
  EXPECT_EQ(SimpleError({.type = CommandType::kTrim, .cookie = 1, .offset = 4096, .length = 4096}), NbdError::kOk);
}

TEST_F(ServerTest, AnswersWaitWhileTheirReaderIsSlow) {
  Enter(/*structured=*/true);
  Bytes requests;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    Encode(Request{.flags = CommandFlag::kDf, .type = CommandType::kRead, .cookie = i, .length = kDiskBytes}, requests);
  }
  server_->Receive(requests);
  std::size_t largest = 0;
  std::size_t total = 0;
  for (Bytes bytes = server_->TakeOutput(); !bytes.empty(); bytes = server_->TakeOutput()) {
    largest = std::max(largest, bytes.size());
    total += bytes.size();
  }
  EXPECT_GE(total, 1000 * kDiskBytes);
  EXPECT_LE(largest, Server::kOutputBytesMax + 2 * kDiskBytes);
}

TEST_F(ServerTest, DiscEndsTheSessionAfterWhatCameBefore) {
  Enter(/*structured=*/false);
  Bytes bytes = Encode(Request{.type = CommandType::kFlush, .cookie = 5});
  Encode(Request{.type = CommandType::kDisc, .cookie = 6}, bytes);
  Encode(Request{.type = CommandType::kFlush, .cookie = 7}, bytes);
  server_->Receive(bytes);
  EXPECT_EQ(TakeReceived().size(), 1U);
  EXPECT_TRUE(server_->closed());
}

// An export that is a stack of layers over a probe.
class StackTest : public ServerTest {
 protected:
  static Disk HalfData() {
    Disk disk(4096);
    EXPECT_TRUE(disk.Write(0, Bytes(2048, 7)));
    return disk;
  }

  void Serve(std::unique_ptr<Layer> stack) {
    stacked_.stack = std::move(stack);
    server_.emplace(ServerOptions{}, std::vector<Export*>{&stacked_});
  }
  void ServeProbe() { Serve(std::make_unique<ProbeLayer>(HalfData(), notes_)); }

  Chunk OnlyChunk(const Request& request) {
    Say(request);
    const auto received = TakeReceived();
    EXPECT_EQ(received.size(), 1U);
    return std::get<Chunk>(received.at(0));
  }

  ProbeNotes notes_;
  Export stacked_{.options = {.name = ""}};
};

TEST_F(StackTest, TheErrorOfALayerReachesTheClient) {
  struct {
    const char* call;
    std::uint16_t command;
    std::uint16_t flags;
  } const cases[] = {{"read", CommandType::kRead, 0},
                     {"write", CommandType::kWrite, 0},
                     {"punch_hole", CommandType::kWriteZeroes, 0},
                     {"write_zeroes", CommandType::kWriteZeroes, CommandFlag::kNoHole},
                     {"trim", CommandType::kTrim, 0},
                     {"flush", CommandType::kFlush, 0},
                     {"flush", CommandType::kTrim, CommandFlag::kFua},
                     {"extents", CommandType::kBlockStatus, 0},
                     {"extents_req_one", CommandType::kBlockStatus, CommandFlag::kReqOne}};
  for (const bool structured : {false, true}) {
    for (const auto& each : cases) {
      notes_ = {.failing_call = each.call, .error = NbdError::kEshutdown};
      ServeProbe();
      decoder_ = {};
      Enter(structured);
      Request request{.flags = each.flags, .type = each.command, .cookie = 1, .length = 512};
      if (each.command == CommandType::kWrite) {
        request.payload = Bytes(512);
      } else if (each.command == CommandType::kBlockStatus && !structured) {
        continue;
      }
      if (!structured) {
        EXPECT_EQ(SimpleError(request), NbdError::kEshutdown) << each.call;
        continue;
      }
      const auto error = DecodeErrorPayload(ChunkType::kError, OnlyChunk(request).payload);
      ASSERT_TRUE(error) << each.call;
      EXPECT_EQ(error->error, NbdError::kEshutdown) << each.call;
    }
  }
}

TEST_F(StackTest, BytesAreReadWhereExtentsFail) {
  notes_ = {.failing_call = "extents", .error = NbdError::kEio};
  ServeProbe();
  Enter(/*structured=*/true);
  EXPECT_EQ(OnlyChunk({.type = CommandType::kRead, .cookie = 1, .length = 4096}).type, ChunkType::kOffsetData);
}

TEST_F(StackTest, WithoutExtentsTheWholeExportIsData) {
  Serve(std::make_unique<NoExtentsFilter>(std::make_unique<ProbeLayer>(HalfData(), notes_)));
  Enter(/*structured=*/true);
  const auto status =
      DecodePayload<BlockStatus>(OnlyChunk({.type = CommandType::kBlockStatus, .cookie = 1, .length = 4096}).payload);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->descriptors, (std::vector<Descriptor>{{.length = 4096, .status = 0}}));
  EXPECT_TRUE(notes_.calls.empty());
}

TEST_F(StackTest, ReqOneIsAHintBelowAndAGuaranteeOnTheWire) {
  ServeProbe();  // The disk at its bottom answers with both extents.
  Enter(/*structured=*/true);
  const Chunk chunk = OnlyChunk(
      {.flags = CommandFlag::kReqOne, .type = CommandType::kBlockStatus, .cookie = 1, .offset = 100, .length = 3000});
  const auto status = DecodePayload<BlockStatus>(chunk.payload);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->descriptors, (std::vector<Descriptor>{{.length = 1948, .status = 0}}));
  EXPECT_EQ(notes_.calls, (std::vector<std::string>{"extents_req_one 0 +3584"}));
}

TEST_F(StackTest, WhatTakesNoWritesIsReadOnly) {
  notes_.can_write = false;
  ServeProbe();
  Haggle();
  const auto replies = Ask(OptionType::kGo, EncodePayload(InfoQuery{.name = ""}));
  const auto information = DecodePayload<InfoExport>(replies.at(0).payload);
  ASSERT_TRUE(information);
  EXPECT_NE(information->flags & TransmissionFlag::kReadOnly, 0);
  decoder_.EnterTransmission();
  EXPECT_EQ(SimpleError({.type = CommandType::kTrim, .cookie = 1, .length = 512}), NbdError::kEperm);
  EXPECT_TRUE(notes_.calls.empty());
}

TEST_F(StackTest, FuaFlushesAfterTheWrite) {
  ServeProbe();
  Enter(/*structured=*/false);
  EXPECT_EQ(SimpleError({.flags = CommandFlag::kFua,
                         .type = CommandType::kWrite,
                         .cookie = 1,
                         .offset = 3,
                         .length = 2,
                         .payload = {1, 2}}),
            NbdError::kOk);
  EXPECT_EQ(notes_.calls, (std::vector<std::string>{"write 3 +2", "flush 0 +0"}));
}

TEST_F(StackTest, AnUnalignedClientIsServedFromWholeBlocks) {
  Serve(std::make_unique<BlockSizeFilter>(std::make_unique<ProbeLayer>(HalfData(), notes_), 1024));
  Enter(/*structured=*/false);
  decoder_.ExpectData(1, 3);
  Say(Request{.type = CommandType::kRead, .cookie = 1, .offset = 2046, .length = 3});
  EXPECT_EQ(std::get<SimpleReply>(TakeReceived().at(0)).data, (Bytes{7, 7, 0}));
  EXPECT_EQ(notes_.calls, (std::vector<std::string>{"read 1024 +2048"}));
}

// An interposer sees both directions and may change them.
class Deaf : public Interposer {
  bool BeforeServer(ClientMessage& received, const Negotiated&) override {
    return !std::holds_alternative<Option>(received);
  }
  void AfterServer(const ClientMessage* received, const Negotiated&, std::vector<ServerMessage>& said) override {
    if (received != nullptr && said.empty()) {
      said.emplace_back(RawBytes{.bytes = {1, 2, 3}});
    }
  }
};

TEST_F(ServerTest, AnInterposerSpeaksInItsPlace) {
  Deaf deaf;
  Server server({}, {&export_}, &deaf);
  EXPECT_EQ(server.TakeOutput().size(), 18U);
  server.Receive(Encode(ClientFlags{}));
  EXPECT_EQ(server.TakeOutput(), (Bytes{1, 2, 3}));
  server.Receive(Encode(Option{.option = OptionType::kList}));
  EXPECT_EQ(server.TakeOutput(), (Bytes{1, 2, 3}));
}

}  // namespace
}  // namespace nbdspec::engine
