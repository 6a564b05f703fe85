// SPDX-License-Identifier: BSD-3-Clause
// Arbitrary bytes: decoders give the same whatever the pieces, and nothing that is decoded breaks what shows it or
// takes it apart. Seeded, so that every run is the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"
#include "engine/wire/testdata/decode_in_pieces.h"

namespace nbdspec::engine {
namespace {

constexpr int kRuns = 20000;

// How a message begins: its magic, as the specification writes it, and so many bytes more.
struct Header {
  Bytes magic;
  std::size_t rest_bytes = 0;
  bool has_payload = true;  // Of the length in the last four of them.
};

class Noise {
 public:
  explicit Noise(std::uint32_t seed) : engine_(seed) {}

  std::size_t Below(std::size_t bound) { return std::uniform_int_distribution<std::size_t>(0, bound - 1)(engine_); }

  // Small values make lengths and types that mean something.
  std::uint8_t SomeByte() { return static_cast<std::uint8_t>(Below(3) == 0 ? Below(256) : Below(4)); }

  Bytes SomeBytes(std::size_t count_max) {
    Bytes bytes(Below(count_max + 1));
    std::ranges::generate(bytes, [this] { return SomeByte(); });
    return bytes;
  }

  // Messages with the right magic and noise for the rest of the header, most with a length that is met.
  Bytes SomeStream(std::initializer_list<Header> headers) {
    Bytes stream;
    for (std::size_t i = Below(6); i > 0; --i) {
      const Header& header = *(headers.begin() + Below(headers.size()));
      stream.insert(stream.end(), header.magic.begin(), header.magic.end());
      Bytes rest(header.rest_bytes);
      std::ranges::generate(rest, [this] { return SomeByte(); });
      std::size_t payload_bytes = 0;
      if (rest.size() > 4 && Below(8) != 0) {
        payload_bytes = Below(24);
        std::ranges::copy(Bytes{0, 0, 0, static_cast<std::uint8_t>(payload_bytes)}, rest.end() - 4);
      }
      stream.insert(stream.end(), rest.begin(), rest.end());
      stream.resize(stream.size() + (header.has_payload ? payload_bytes : 0));
    }
    return stream;
  }

  std::vector<std::size_t> SomePieces() { return {1 + Below(5), 1 + Below(30), 1 + Below(3)}; }

 private:
  std::mt19937 engine_;
};

const Header kOption = {.magic = {'I', 'H', 'A', 'V', 'E', 'O', 'P', 'T'}, .rest_bytes = 8};
const Header kOptionReply = {.magic = {0, 3, 0xe8, 0x89, 4, 0x55, 0x65, 0xa9}, .rest_bytes = 12};
const Header kReadRequest = {.magic = {0x25, 0x60, 0x95, 0x13, 0, 0, 0, 0}, .rest_bytes = 20, .has_payload = false};
const Header kWriteRequest = {.magic = {0x25, 0x60, 0x95, 0x13, 0, 0, 0, 1}, .rest_bytes = 20};
const Header kSimpleReply = {.magic = {0x67, 0x44, 0x66, 0x98}, .rest_bytes = 12, .has_payload = false};
const Header kChunk = {.magic = {0x66, 0x8e, 0x33, 0xef}, .rest_bytes = 16};

template <typename Decoder>
void ExpectSameInPieces(const Decoder& decoder, const Bytes& stream, Noise& noise, std::size_t& messages) {
  const auto whole = DecodeInPieces(decoder, stream, {stream.size() + 1});
  const auto in_pieces = DecodeInPieces(decoder, stream, noise.SomePieces());
  ASSERT_EQ(whole, in_pieces);
  for (const auto& each : whole) {
    messages += std::holds_alternative<Undecodable>(each) ? 0 : 1;
  }
}

TEST(DecoderRobustness, ClientBytesInAnyPieces) {
  Noise noise(1);
  std::size_t messages = 0;
  for (int run = 0; run < kRuns; ++run) {
    ClientDecoder decoder({.option_bytes_max = 20, .write_bytes_max = 20});
    Bytes stream;
    if (noise.Below(2) == 0) {
      decoder.EnterTransmission();
      stream = noise.SomeStream({kReadRequest, kWriteRequest});
    } else {
      stream = Bytes{0, 0, 0, 3};
      const Bytes options = noise.SomeStream({kOption});
      stream.insert(stream.end(), options.begin(), options.end());
    }
    ASSERT_NO_FATAL_FAILURE(ExpectSameInPieces(decoder, stream, noise, messages));
  }
  EXPECT_GT(messages, std::size_t{kRuns} / 2);  // Else the noise reaches nothing.
}

TEST(DecoderRobustness, ServerBytesInAnyPieces) {
  Noise noise(2);
  std::size_t messages = 0;
  for (int run = 0; run < kRuns; ++run) {
    ServerDecoder decoder({.payload_bytes_max = 20});
    Bytes stream;
    switch (noise.Below(4)) {
      case 0: {
        stream = noise.Below(8) == 0 ? Encode(ServerMessage(OldstyleGreeting{})) : Encode(ServerMessage(Greeting{}));
        const Bytes replies = noise.SomeStream({kOptionReply});
        stream.insert(stream.end(), replies.begin(), replies.end());
        break;
      }
      case 1:
        decoder.ExpectExportNameReply(noise.Below(2) == 0);
        stream = noise.SomeBytes(200);
        break;
      default:
        decoder.EnterTransmission();
        decoder.ExpectData(0, 3);
        stream = noise.SomeStream({kSimpleReply, kChunk});
    }
    ASSERT_NO_FATAL_FAILURE(ExpectSameInPieces(decoder, stream, noise, messages));
  }
  EXPECT_GT(messages, std::size_t{kRuns} / 2);
}

TEST(DecoderRobustness, WhatPayloadsAreTakenApartIntoIsWhatTheyWere) {
  Noise noise(3);
  std::size_t decoded = 0;
  for (int run = 0; run < kRuns; ++run) {
    const Bytes payload = noise.SomeBytes(40);
    const auto expect_same = [&](const auto& value) {
      if (value) {
        EXPECT_EQ(EncodePayload(*value), payload);
        ++decoded;
      }
    };
    expect_same(DecodePayload<InfoQuery>(payload));
    expect_same(DecodePayload<MetaContextQuery>(payload));
    expect_same(DecodePayload<ListedExport>(payload));
    expect_same(DecodePayload<MetaContext>(payload));
    expect_same(DecodePayload<InfoExport>(payload));
    expect_same(DecodePayload<InfoBlockSize>(payload));
    expect_same(DecodePayload<InfoText>(payload));
    expect_same(DecodePayload<OffsetData>(payload));
    expect_same(DecodePayload<OffsetHole>(payload));
    expect_same(DecodePayload<BlockStatus>(payload));
  }
  EXPECT_GT(decoded, std::size_t{kRuns});
}

TEST(DecoderRobustness, AnyPayloadCanBeDescribed) {
  Noise noise(4);
  for (int run = 0; run < kRuns; ++run) {
    const Bytes payload = noise.SomeBytes(60);
    const auto number = static_cast<std::uint16_t>(noise.Below(12));
    const auto chunk_type = static_cast<std::uint16_t>(number | (noise.Below(2) == 0 ? ChunkType::kErrorBit : 0));
    const std::string lines =
        Describe(ServerMessage(OptionReply{.option = number, .type = number, .payload = payload})) +
        Describe(ServerMessage(Chunk{.type = chunk_type, .payload = payload})) +
        Describe(ClientMessage(Option{.option = number, .payload = payload}));
    for (const char each : lines) {
      ASSERT_TRUE(0x20 <= each && each < 0x7f) << lines;
    }
  }
}

}  // namespace
}  // namespace nbdspec::engine
