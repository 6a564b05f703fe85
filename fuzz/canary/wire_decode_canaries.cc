// SPDX-License-Identifier: BSD-3-Clause
// The planted bugs of the target wire_decode: decoders that are wrong in one way each.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "engine/wire/decoders.h"
#include "fuzz/canary/canary.h"
#include "fuzz/comparisons/wire_decode_differential.h"

namespace nbdspec::fuzz {
namespace {

using engine::ByteView;

// The request that a decoder gives out; null where it is none.
engine::Request* RequestIn(auto& next) {
  auto* const message = next ? std::get_if<engine::ClientMessage>(&*next) : nullptr;
  return message != nullptr ? std::get_if<engine::Request>(message) : nullptr;
}

// A piece that begins right after an option's header is taken for the next message: its first byte is lost.
struct LosesByteAfterHeader : engine::ClientDecoder {
  using ClientDecoder::ClientDecoder;
  void Feed(ByteView bytes) { ClientDecoder::Feed(bytes.subspan(pending_bytes() == 16 && !bytes.empty() ? 1 : 0)); }
};

// Of a magic that comes as three bytes and one, the last byte is read as zero.
struct ZeroesLastByteOfTornMagic : engine::ClientDecoder {
  using ClientDecoder::ClientDecoder;
  void Feed(ByteView bytes) {
    const bool is_torn = pending_bytes() == 3 && !bytes.empty();
    ClientDecoder::Feed(is_torn ? ByteView(kZero) : bytes);
    ClientDecoder::Feed(is_torn ? bytes.subspan(1) : ByteView());
  }

  static constexpr std::uint8_t kZero[1] = {0};
};

// The payload of an overlong message is kept until the message is given out.
struct KeepsOverlongPayload : engine::ClientDecoder {
  using ClientDecoder::ClientDecoder;
  void Feed(ByteView bytes) {
    kept += bytes.size();
    ClientDecoder::Feed(bytes);
  }
  auto Next() {
    auto next = ClientDecoder::Next();
    kept = next ? pending_bytes() : kept;
    return next;
  }
  [[nodiscard]] std::size_t pending_bytes() const { return std::max(kept, ClientDecoder::pending_bytes()); }

  std::size_t kept = 0;
};

// Command flags are read as one byte.
struct ReadsFlagsAsByte : engine::ClientDecoder {
  using ClientDecoder::ClientDecoder;
  auto Next() {
    auto next = ClientDecoder::Next();
    if (auto* request = RequestIn(next)) {
      request->flags &= 0xff;
    }
    return next;
  }
};

// The length of an extended request is read as 32 bits.
struct CutsExtendedLength : engine::ClientDecoder {
  using ClientDecoder::ClientDecoder;
  auto Next() {
    auto next = ClientDecoder::Next();
    if (auto* request = RequestIn(next)) {
      request->length &= 0xffff'ffff;
    }
    return next;
  }
};

// In the extended form, too, a WRITE alone may have a payload.
struct KnowsPayloadsOfWritesOnly : engine::ClientDecoder {
  using ClientDecoder::ClientDecoder;
  auto Next() {
    auto next = ClientDecoder::Next();
    if (auto* request = RequestIn(next)) {
      request->payload.resize(request->type == engine::CommandType::kWrite ? request->payload.size() : 0);
    }
    return next;
  }
};

// That its payload is too long is said of a compact request only.
struct ForgetsThatPayloadIsTooLong : engine::ClientDecoder {
  using ClientDecoder::ClientDecoder;
  auto Next() {
    auto next = ClientDecoder::Next();
    if (auto* request = RequestIn(next)) {
      request->too_long = request->too_long && request->form == engine::HeaderForm::kCompact;
    }
    return next;
  }
};

// A reply whose last byte comes alone is given a zero in its place.
struct ZeroesLastByteThatComesAlone : engine::ServerDecoder {
  using ServerDecoder::ServerDecoder;
  void Feed(ByteView bytes) {
    is_alone = bytes.size() == 1;
    ServerDecoder::Feed(bytes);
  }
  auto Next() {
    auto next = ServerDecoder::Next();
    auto* placed = next ? std::get_if<engine::PlacedServerMessage>(&*next) : nullptr;
    if (auto* chunk = placed != nullptr ? std::get_if<engine::Chunk>(&placed->message) : nullptr) {
      if (is_alone && !chunk->payload.empty()) {
        chunk->payload.back() = 0;
      }
    }
    return next;
  }

  bool is_alone = false;
};

// The place in the stream is counted without the pad of an ExportNameReply.
struct ForgetsPadInOffset : engine::ServerDecoder {
  using ServerDecoder::ServerDecoder;
  auto Next() {
    auto next = ServerDecoder::Next();
    auto* placed = next ? std::get_if<engine::PlacedServerMessage>(&*next) : nullptr;
    if (placed != nullptr) {
      placed->offset -= pad_bytes;
      const auto* reply = std::get_if<engine::ExportNameReply>(&placed->message);
      pad_bytes += reply != nullptr ? reply->pad.size() : 0;
    }
    return next;
  }

  std::uint64_t pad_bytes = 0;
};

// The offset of an extended chunk is read as 32 bits.
struct CutsOffsetOfExtendedChunk : engine::ServerDecoder {
  using ServerDecoder::ServerDecoder;
  auto Next() {
    auto next = ServerDecoder::Next();
    auto* placed = next ? std::get_if<engine::PlacedServerMessage>(&*next) : nullptr;
    if (auto* chunk = placed != nullptr ? std::get_if<engine::Chunk>(&placed->message) : nullptr) {
      chunk->offset &= 0xffff'ffff;
    }
    return next;
  }
};

// After GO, chunks are taken for compact ones.
struct ForgetsFormOfChunks : engine::ServerDecoder {
  using ServerDecoder::ServerDecoder;
  void EnterTransmission(engine::HeaderForm /*form*/) { ServerDecoder::EnterTransmission(); }
};

// --- Payloads of extended headers ---

// What `change` makes of status chunks in the extended form. Where the bytes stay, the encoder has the same bug.
template <typename Change>
std::optional<TakenApart> ChangeStatus(const engine::Chunk& chunk, const Change& change) {
  auto taken = EnginePayloads::TakeApart(chunk);
  if (taken && chunk.type == engine::ChunkType::kBlockStatusExt) {
    change(taken->bytes, taken->numbers);
  }
  return taken;
}

struct SwapsLengthAndStatus : EnginePayloads {
  using EnginePayloads::TakeApart;
  static std::optional<TakenApart> TakeApart(const engine::Chunk& chunk) {
    return ChangeStatus(chunk, [](engine::Bytes& /*bytes*/, std::vector<std::uint64_t>& numbers) {
      for (std::size_t i = 2; i + 1 < numbers.size(); i += 2) {
        std::swap(numbers[i], numbers[i + 1]);
      }
    });
  }
};

struct ReadsExtendedStatusAs32Bits : EnginePayloads {
  using EnginePayloads::TakeApart;
  static std::optional<TakenApart> TakeApart(const engine::Chunk& chunk) {
    return ChangeStatus(chunk, [](engine::Bytes& /*bytes*/, std::vector<std::uint64_t>& numbers) {
      for (std::size_t i = 3; i < numbers.size(); i += 2) {
        numbers[i] &= 0xffff'ffff;
      }
    });
  }
};

struct CountsDescriptorsItself : EnginePayloads {
  using EnginePayloads::TakeApart;
  static std::optional<TakenApart> TakeApart(const engine::Chunk& chunk) {
    return ChangeStatus(chunk, [](engine::Bytes& bytes, std::vector<std::uint64_t>& numbers) {
      numbers[1] = (numbers.size() - 2) / 2;
      bytes[7] = static_cast<std::uint8_t>(numbers[1]);
    });
  }
};

struct TakesQueryOfOddLength : EnginePayloads {
  using EnginePayloads::TakeApart;
  static std::optional<TakenApart> TakeApart(const engine::Request& request) {
    engine::Request whole = request;
    whole.payload.resize(whole.payload.size() < 8 ? 0 : whole.payload.size() / 4 * 4);
    return EnginePayloads::TakeApart(whole);
  }
};

struct ReadsIdsFromTheEnd : EnginePayloads {
  using EnginePayloads::TakeApart;
  static std::optional<TakenApart> TakeApart(const engine::Request& request) {
    auto taken = EnginePayloads::TakeApart(request);
    if (taken) {
      std::ranges::reverse(taken->numbers.begin() + 1, taken->numbers.end());
    }
    return taken;
  }
};

template <typename ClientDecoder>
FindBytesDisagreement WithClientDecoder() {
  return [](ByteView input) { return FindWireDecodeDisagreement<ClientDecoder, engine::ServerDecoder>(input); };
}

template <typename ServerDecoder>
FindBytesDisagreement WithServerDecoder() {
  return [](ByteView input) { return FindWireDecodeDisagreement<engine::ClientDecoder, ServerDecoder>(input); };
}

template <typename Payloads>
FindBytesDisagreement WithPayloads() {
  return [](ByteView input) {
    return FindWireDecodeDisagreement<engine::ClientDecoder, engine::ServerDecoder, Payloads>(input);
  };
}

}  // namespace

CanaryTarget WireDecodeCanaries() {
  return CanariesFor(
      WireDecodeTarget(),
      {
          {"LosesByteAfterHeader", Family::kEdge, 100, WithClientDecoder<LosesByteAfterHeader>()},
          {"ZeroesLastByteOfTornMagic", Family::kEdge, 100, WithClientDecoder<ZeroesLastByteOfTornMagic>()},
          {"KeepsOverlongPayload", Family::kStale, 400, WithClientDecoder<KeepsOverlongPayload>()},
          {"ReadsFlagsAsByte", Family::kWidth, 250, WithClientDecoder<ReadsFlagsAsByte>()},
          {"ZeroesLastByteThatComesAlone", Family::kEdge, 100, WithServerDecoder<ZeroesLastByteThatComesAlone>()},
          {"ForgetsPadInOffset", Family::kLost, 350, WithServerDecoder<ForgetsPadInOffset>()},
          {"CutsExtendedLength", Family::kWidth, 300, WithClientDecoder<CutsExtendedLength>()},
          {"KnowsPayloadsOfWritesOnly", Family::kRule, 450, WithClientDecoder<KnowsPayloadsOfWritesOnly>()},
          {"ForgetsThatPayloadIsTooLong", Family::kRule, 200, WithClientDecoder<ForgetsThatPayloadIsTooLong>()},
          {"CutsOffsetOfExtendedChunk", Family::kWidth, 1500, WithServerDecoder<CutsOffsetOfExtendedChunk>()},
          {"ForgetsFormOfChunks", Family::kStale, 10'000, WithServerDecoder<ForgetsFormOfChunks>()},
          {"SwapsLengthAndStatus", Family::kOrder, 4500, WithPayloads<SwapsLengthAndStatus>()},
          {"ReadsExtendedStatusAs32Bits", Family::kWidth, 4500, WithPayloads<ReadsExtendedStatusAs32Bits>()},
          {"CountsDescriptorsItself", Family::kRule, 15'000, WithPayloads<CountsDescriptorsItself>()},
          {"TakesQueryOfOddLength", Family::kEdge, 4500, WithPayloads<TakesQueryOfOddLength>()},
          {"ReadsIdsFromTheEnd", Family::kOrder, 3500, WithPayloads<ReadsIdsFromTheEnd>()},
      });
}

}  // namespace nbdspec::fuzz
