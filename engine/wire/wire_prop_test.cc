// SPDX-License-Identifier: BSD-3-Clause
// Properties: what was encoded is decoded as it was, whatever the pieces, for generated sessions and payloads.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"
#include "engine/wire/testdata/decode_in_pieces.h"

namespace nbdspec::engine {
namespace {

// Runs `property` under RapidCheck, the same every time, and says what failed.
template <typename Property>
void ExpectHolds(Property property) {
  const auto result = rc::detail::checkTestable(std::move(property), rc::detail::TestMetadata{},
                                                rc::detail::TestParams{.seed = 1, .maxSuccess = 1000});
  std::ostringstream text;
  rc::detail::printResultMessage(result, text);
  EXPECT_TRUE(result.template is<rc::detail::SuccessResult>()) << text.str();
}

Bytes SomeBytes() { return *rc::gen::scale(0.5, rc::gen::arbitrary<Bytes>()); }
std::string SomeText() { return *rc::gen::scale(0.3, rc::gen::string<std::string>()); }

// Often one of the values that a protocol treats in its own way.
template <typename Unsigned>
Unsigned SomeNumber() {
  return *rc::gen::weightedOneOf<Unsigned>(
      {{3, rc::gen::inRange<Unsigned>(0, 16)},
       {2, rc::gen::arbitrary<Unsigned>()},
       {1, rc::gen::element<Unsigned>(static_cast<Unsigned>(-1), static_cast<Unsigned>(-2))}});
}

std::vector<std::size_t> SomePieces() {
  return *rc::gen::nonEmpty(rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(1, 50)));
}

Option SomeOption() {
  Option option{.option = SomeNumber<std::uint32_t>(), .payload = SomeBytes()};
  if (option.option == OptionType::kGo) {
    option.option = OptionType::kInfo;  // GO ends the options: see React.
  }
  return option;
}

Request SomeRequest() {
  Request request{
      .flags = SomeNumber<std::uint16_t>(),
      .type = SomeNumber<std::uint16_t>(),
      .cookie = SomeNumber<std::uint64_t>(),
      .offset = SomeNumber<std::uint64_t>(),
      .length = SomeNumber<std::uint32_t>(),
  };
  if (request.type == CommandType::kWrite) {
    request.payload = SomeBytes();
    request.length = static_cast<std::uint32_t>(request.payload.size());
  }
  return request;
}

OptionReply SomeOptionReply() {
  OptionReply reply{.option = SomeNumber<std::uint32_t>(), .type = SomeNumber<std::uint32_t>(), .payload = SomeBytes()};
  if (reply.option == OptionType::kGo && reply.type == OptionReplyType::kAck) {
    reply.type = OptionReplyType::kInfo;
  }
  return reply;
}

std::size_t SomeCount() { return *rc::gen::inRange<std::size_t>(0, 6); }

std::vector<ClientMessage> SomeClientSession() {
  std::vector<ClientMessage> session = {ClientFlags{.flags = SomeNumber<std::uint32_t>()}};
  for (std::size_t i = SomeCount(); i > 0; --i) {
    session.emplace_back(SomeOption());
  }
  session.emplace_back(Option{.option = OptionType::kGo, .payload = SomeBytes()});
  for (std::size_t i = SomeCount(); i > 0; --i) {
    session.emplace_back(SomeRequest());
  }
  return session;
}

// Says in `decoder` what data the replies carry.
std::vector<ServerMessage> SomeReplies(ServerDecoder& decoder) {
  std::vector<ServerMessage> replies;
  for (std::size_t i = SomeCount(); i > 0; --i) {
    if (*rc::gen::arbitrary<bool>()) {
      SimpleReply reply{.error = SomeNumber<std::uint32_t>(), .cookie = SomeNumber<std::uint64_t>()};
      reply.data = reply.error == 0 ? SomeBytes() : Bytes();
      decoder.ExpectData(reply.cookie, static_cast<std::uint32_t>(reply.data.size()));
      replies.emplace_back(reply);
    } else {
      Chunk chunk{.flags = SomeNumber<std::uint16_t>(),
                  .type = SomeNumber<std::uint16_t>(),
                  .cookie = SomeNumber<std::uint64_t>(),
                  .payload = SomeBytes()};
      if (chunk.is_done()) {
        decoder.ExpectData(chunk.cookie, 1);
      }
      replies.emplace_back(chunk);
    }
  }
  return replies;
}

std::vector<ServerMessage> SomeServerSession(ServerDecoder& decoder) {
  std::vector<ServerMessage> session;
  if (*rc::gen::inRange(0, 8) == 0) {
    session.emplace_back(OldstyleGreeting{.size = SomeNumber<std::uint64_t>(),
                                          .flags = SomeNumber<std::uint32_t>(),
                                          .pad_is_zero = *rc::gen::arbitrary<bool>()});
  } else {
    session.emplace_back(Greeting{.flags = SomeNumber<std::uint16_t>()});
    for (std::size_t i = SomeCount(); i > 0; --i) {
      session.emplace_back(SomeOptionReply());
    }
    session.emplace_back(OptionReply{.option = OptionType::kGo, .payload = SomeBytes()});
  }
  std::vector<ServerMessage> replies = SomeReplies(decoder);
  session.insert(session.end(), replies.begin(), replies.end());
  return session;
}

TEST(WireProperties, ClientMessagesSurviveTheWire) {
  ExpectHolds([] {
    const std::vector<ClientMessage> session = SomeClientSession();
    Bytes bytes;
    for (const ClientMessage& message : session) {
      Encode(message, bytes);
    }
    const Decoded<ClientDecoder> expected(session.begin(), session.end());
    RC_ASSERT(DecodeInPieces(ClientDecoder(), bytes, SomePieces()) == expected);
  });
}

TEST(WireProperties, ServerMessagesSurviveTheWire) {
  ExpectHolds([] {
    ServerDecoder decoder;
    const std::vector<ServerMessage> session = SomeServerSession(decoder);
    Bytes bytes;
    Decoded<ServerDecoder> expected;
    for (const ServerMessage& message : session) {
      const std::size_t offset = bytes.size();
      Encode(message, bytes);
      expected.emplace_back(PlacedServerMessage{.message = message, .offset = offset, .length = bytes.size() - offset});
    }
    RC_ASSERT(DecodeInPieces(decoder, bytes, SomePieces()) == expected);
  });
}

TEST(WireProperties, PayloadsSurviveTheWire) {
  ExpectHolds([] {
    const InfoQuery info_query{.name = SomeText(), .requests = *rc::gen::arbitrary<std::vector<std::uint16_t>>()};
    RC_ASSERT(DecodePayload<InfoQuery>(EncodePayload(info_query)) == info_query);
    const MetaContextQuery query{
        .export_name = SomeText(),
        .queries = *rc::gen::container<std::vector<std::string>>(rc::gen::string<std::string>())};
    RC_ASSERT(DecodePayload<MetaContextQuery>(EncodePayload(query)) == query);
    const ListedExport listed{.name = SomeText(), .description = SomeText()};
    RC_ASSERT(DecodePayload<ListedExport>(EncodePayload(listed)) == listed);
    const MetaContext context{.id = SomeNumber<std::uint32_t>(), .name = SomeText()};
    RC_ASSERT(DecodePayload<MetaContext>(EncodePayload(context)) == context);
    const InfoExport info{.size = SomeNumber<std::uint64_t>(), .flags = SomeNumber<std::uint16_t>()};
    RC_ASSERT(DecodePayload<InfoExport>(EncodePayload(info)) == info);
    const InfoBlockSize block_size{.minimum = SomeNumber<std::uint32_t>(),
                                   .preferred = SomeNumber<std::uint32_t>(),
                                   .maximum = SomeNumber<std::uint32_t>()};
    RC_ASSERT(DecodePayload<InfoBlockSize>(EncodePayload(block_size)) == block_size);
    const InfoText text{.type = SomeNumber<std::uint16_t>(), .text = SomeText()};
    RC_ASSERT(DecodePayload<InfoText>(EncodePayload(text)) == text);
    const OffsetData data{.offset = SomeNumber<std::uint64_t>(), .data = SomeBytes()};
    RC_ASSERT(DecodePayload<OffsetData>(EncodePayload(data)) == data);
    const OffsetHole hole{.offset = SomeNumber<std::uint64_t>(), .length = SomeNumber<std::uint32_t>()};
    RC_ASSERT(DecodePayload<OffsetHole>(EncodePayload(hole)) == hole);
  });
}

TEST(WireProperties, BlockStatusAndErrorsSurviveTheWire) {
  ExpectHolds([] {
    BlockStatus status{.context_id = SomeNumber<std::uint32_t>()};
    for (std::size_t i = SomeCount(); i > 0; --i) {
      status.descriptors.push_back({.length = SomeNumber<std::uint32_t>(), .status = SomeNumber<std::uint32_t>()});
    }
    RC_ASSERT(DecodePayload<BlockStatus>(EncodePayload(status)) == status);
    status.form = HeaderForm::kExtended;
    RC_ASSERT(DecodeBlockStatus(ChunkType::kBlockStatusExt, EncodePayload(status)) == status);
    const StatusQuery query{.length = SomeNumber<std::uint64_t>(),
                            .context_ids = *rc::gen::arbitrary<std::vector<std::uint32_t>>()};
    RC_ASSERT(DecodePayload<StatusQuery>(EncodePayload(query)) == query);
    ErrorPayload error{.error = SomeNumber<std::uint32_t>(), .message = SomeText()};
    RC_ASSERT(DecodeErrorPayload(ChunkType::kError, EncodePayload(error)) == error);
    error.offset = SomeNumber<std::uint64_t>();
    RC_ASSERT(DecodeErrorPayload(ChunkType::kErrorOffset, EncodePayload(error)) == error);
  });
}

}  // namespace
}  // namespace nbdspec::engine
