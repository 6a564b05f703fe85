// SPDX-License-Identifier: BSD-3-Clause
// The planted bugs of the target wire_decode: decoders that are wrong in one way each.

#include <algorithm>
#include <cstdint>

#include "engine/wire/decoders.h"
#include "fuzz/canary/canary.h"
#include "fuzz/comparisons/wire_decode_differential.h"

namespace nbdspec::fuzz {
namespace {

using engine::ByteView;

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
    auto* message = next ? std::get_if<engine::ClientMessage>(&*next) : nullptr;
    if (auto* request = message != nullptr ? std::get_if<engine::Request>(message) : nullptr) {
      request->flags &= 0xff;
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

template <typename ClientDecoder>
FindBytesDisagreement WithClientDecoder() {
  return [](ByteView input) { return FindWireDecodeDisagreement<ClientDecoder, engine::ServerDecoder>(input); };
}

template <typename ServerDecoder>
FindBytesDisagreement WithServerDecoder() {
  return [](ByteView input) { return FindWireDecodeDisagreement<engine::ClientDecoder, ServerDecoder>(input); };
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
      });
}

}  // namespace nbdspec::fuzz
