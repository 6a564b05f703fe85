// SPDX-License-Identifier: BSD-3-Clause
// What decoders hold is bounded, and pieces of any size cost what their bytes cost. Memory is counted by replacing
// operator new; cost shows only as the test's timeout: quadratic work would take hours here.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "engine/wire/messages.h"
#include "engine/wire/testdata/decode_in_pieces.h"

namespace {
std::size_t live_bytes = 0;
std::size_t peak_bytes = 0;
}  // namespace

void* operator new(std::size_t size) {
  void* const memory = std::malloc(size);
  if (memory == nullptr) {
    std::abort();
  }
  live_bytes += malloc_usable_size(memory);
  peak_bytes = std::max(peak_bytes, live_bytes);
  return memory;
}

void operator delete(void* memory) noexcept {
  live_bytes -= malloc_usable_size(memory);
  std::free(memory);
}

void operator delete(void* memory, std::size_t /*size*/) noexcept { operator delete(memory); }

namespace nbdspec::engine {
namespace {

constexpr std::size_t kMiB = 1 << 20;

// The most that was allocated at any time while `run` ran, above what was there before.
template <typename Run>
std::size_t PeakOf(Run run) {
  const std::size_t before = live_bytes;
  peak_bytes = live_bytes;
  run();
  return peak_bytes - before;
}

TEST(DecoderMemory, CountingSeesAllocations) {
  EXPECT_GE(PeakOf([] { EXPECT_EQ(Bytes(kMiB).size(), kMiB); }), kMiB);
}

TEST(DecoderMemory, OverlongWriteIsNeverHeld) {
  constexpr std::uint32_t kLength = 64 * kMiB;
  ClientDecoder decoder({.option_bytes_max = 16, .write_bytes_max = 16});
  decoder.EnterTransmission();
  const Bytes header = Encode(ClientMessage(Request{.type = CommandType::kWrite, .length = kLength}));
  const Bytes piece(4096);
  const std::size_t peak = PeakOf([&] {
    decoder.Feed(header);
    for (std::size_t fed = 0; fed < kLength; fed += piece.size()) {
      ASSERT_EQ(decoder.Next(), std::nullopt);
      decoder.Feed(piece);
    }
    EXPECT_TRUE(std::get<Request>(std::get<ClientMessage>(decoder.Next().value())).too_long);
  });
  EXPECT_LT(peak, 4 * piece.size());
}

TEST(DecoderMemory, LengthFieldAllocatesNothing) {
  constexpr std::uint32_t kClaim = 60 * kMiB;
  const std::size_t peak = PeakOf([&] {
    ServerDecoder server;
    server.EnterTransmission();
    server.Feed(Encode(ServerMessage(Chunk{.length_field = kClaim})));
    EXPECT_EQ(server.Next(), std::nullopt);
    ClientDecoder client({.option_bytes_max = kClaim, .write_bytes_max = kClaim});
    client.EnterTransmission();
    client.Feed(Encode(ClientMessage(Request{.type = CommandType::kWrite, .length = kClaim})));
    EXPECT_EQ(client.Next(), std::nullopt);
  });
  EXPECT_LT(peak, 4096U);
}

TEST(DecoderMemory, FeedingTheUndecodableHoldsNothing) {
  ClientDecoder client;
  client.EnterTransmission();
  ServerDecoder server;
  server.EnterTransmission();
  const Bytes piece(4096);
  client.Feed(piece);
  server.Feed(piece);
  ASSERT_TRUE(client.Next() && server.Next());
  const std::size_t peak = PeakOf([&] {
    for (int i = 0; i < 1000; ++i) {
      client.Feed(piece);
      server.Feed(piece);
    }
  });
  EXPECT_EQ(peak, 0U);
}

TEST(DecoderMemory, ConsumedBytesAreGivenBack) {
  ServerDecoder decoder;
  decoder.EnterTransmission();
  const Bytes message = Encode(ServerMessage(Chunk{.payload = Bytes(100)}));
  Bytes piece = message;
  std::rotate(piece.begin(), piece.begin() + 50, piece.end());  // So that something is always pending.
  const std::size_t peak = PeakOf([&] {
    decoder.Feed(ByteView(message).first(50));
    for (int i = 0; i < 10000; ++i) {
      decoder.Feed(piece);
      ASSERT_TRUE(decoder.Next().has_value());
    }
  });
  EXPECT_LT(peak, 4096U);
  EXPECT_EQ(decoder.offset(), 10000 * message.size());
}

TEST(DecoderCost, LargePayloadByteByByte) {
  ServerDecoder decoder;
  decoder.EnterTransmission();
  const Bytes bytes = Encode(ServerMessage(Chunk{.payload = Bytes(4 * kMiB, 1)}));
  for (const std::uint8_t& byte : bytes) {
    ASSERT_EQ(decoder.Next(), std::nullopt);
    decoder.Feed({&byte, 1});
  }
  EXPECT_TRUE(decoder.Next().has_value());
}

TEST(DecoderCost, LargestPayloadInOnePiece) {
  ServerDecoder decoder;
  decoder.EnterTransmission();
  decoder.Feed(Encode(ServerMessage(Chunk{.payload = Bytes(64 * kMiB, 1)})));
  const auto received = decoder.Next();
  ASSERT_TRUE(received.has_value());
  EXPECT_EQ(std::get<Chunk>(std::get<PlacedServerMessage>(*received).message).payload.size(), 64 * kMiB);
}

TEST(DecoderCost, ManyMessagesInOnePiece) {
  constexpr std::size_t kCount = 1000000;
  Bytes bytes;
  for (std::size_t i = 0; i < kCount; ++i) {
    Encode(ClientMessage(Request{.cookie = i}), bytes);
  }
  ClientDecoder decoder;
  decoder.EnterTransmission();
  decoder.Feed(bytes);
  const Bytes more(1);
  for (std::size_t i = 0; i < kCount; ++i) {
    const auto received = decoder.Next();
    ASSERT_EQ(std::get<Request>(std::get<ClientMessage>(received.value())).cookie, i);
    decoder.Feed(more);  // Appending while much is pending moves little.
  }
}

}  // namespace
}  // namespace nbdspec::engine
