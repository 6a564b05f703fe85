// SPDX-License-Identifier: BSD-3-Clause
// For tests: a stream given to a decoder in pieces, with the phases switched where a session would switch them.

#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <variant>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/wire/decoders.h"

namespace nbdspec::engine {

// A GO is granted at once.
inline void React(ClientDecoder& decoder, const ClientMessage& message) {
  const auto* option = std::get_if<Option>(&message);
  if (option != nullptr && option->option == OptionType::kGo) {
    decoder.EnterTransmission();
  }
}

inline void React(ServerDecoder& decoder, const PlacedServerMessage& placed) {
  const auto* reply = std::get_if<OptionReply>(&placed.message);
  if (reply != nullptr && reply->option == OptionType::kGo && reply->type == OptionReplyType::kAck) {
    decoder.EnterTransmission();
  }
}

template <typename Decoder>
using Decoded = std::vector<typename decltype(std::declval<Decoder&>().Next())::value_type>;

// Appends to `decoded` what comes out, until bytes are missing or it is Undecodable.
template <typename Decoder>
void TakeAll(Decoder& decoder, Decoded<Decoder>& decoded) {
  while (true) {
    auto next = decoder.Next();
    if (!next) {
      return;
    }
    if (std::holds_alternative<Undecodable>(*next)) {
      if (decoded.empty() || !std::holds_alternative<Undecodable>(decoded.back())) {
        decoded.push_back(*std::move(next));
      }
      return;
    }
    React(decoder, std::get<0>(*next));
    decoded.push_back(*std::move(next));
  }
}

// What `decoder` makes of `bytes` cut into pieces of `piece_bytes` of them, the sizes used round and round.
template <typename Decoder>
Decoded<Decoder> DecodeInPieces(Decoder decoder, ByteView bytes, const std::vector<std::size_t>& piece_bytes) {
  Decoded<Decoder> decoded;
  for (std::size_t i = 0; !bytes.empty(); ++i) {
    const std::size_t count = std::min(piece_bytes[i % piece_bytes.size()], bytes.size());
    decoder.Feed(bytes.first(count));
    bytes = bytes.subspan(count);
    TakeAll(decoder, decoded);
  }
  return decoded;
}

}  // namespace nbdspec::engine
