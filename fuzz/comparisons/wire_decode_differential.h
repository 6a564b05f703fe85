// SPDX-License-Identifier: BSD-3-Clause
// Gives a stream to a decoder whole and in pieces, and compares: same messages, which encode to the bytes they were
// made of, while no more is held than one message may take. What stands inside of them is payload_differential's.
//
// The decoders are template parameters so that canary tests can pass ones with a planted bug.

#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/wire/client_decoder.h"
#include "engine/wire/messages.h"
#include "engine/wire/server_decoder.h"
#include "fuzz/comparisons/fuzz_target.h"
#include "fuzz/comparisons/payload_differential.h"

namespace nbdspec::fuzz {

// Sizes of the pieces of a stream, by turns.
using PieceBytes = std::array<std::size_t, 2>;

// An input: four bytes that say how, then the stream. What is missing is zero; every input means something.
struct WireInput {
  bool from_server = false;  // Else from a client.
  unsigned phase = 0;        // Where the decoder begins, 0 to 3: see Begin.
  std::uint32_t limit = 0;   // Of payloads, in bytes.
  PieceBytes piece_bytes = {1, 1};
  std::uint32_t data_bytes = 0;  // Carried by simple replies to the cookies 0 and 1.
  engine::ByteView stream;
};

inline WireInput ReadWireInput(engine::ByteView input) {
  constexpr std::size_t kHeadBytes = 4;
  constexpr std::uint32_t kLimits[] = {0, 16, 40, 4096};
  const auto head = [&](std::size_t at) { return at < input.size() ? input[at] : std::uint8_t{0}; };
  return {
      .from_server = (head(0) & 1) != 0,
      .phase = head(0) >> 1 & 3U,
      .limit = kLimits[head(0) >> 3 & 3U],
      .piece_bytes = {1U + head(1) % 64U, 1U + head(2) % 8U},
      .data_bytes = head(3),
      .stream = input.subspan(std::min(kHeadBytes, input.size())),
  };
}

template <typename Decoder>
class WireDecodeDifferential {
 public:
  // `fresh` is where the stream begins. `held_max` bytes are enough for any message that is not yet whole.
  WireDecodeDifferential(Decoder fresh, const WireInput& input, std::size_t held_max)
      : fresh_(std::move(fresh)), input_(input), held_max_(held_max) {}

  std::optional<Disagreement> Run() {
    Messages whole;
    Decoder decoder = fresh_;
    decoder.Feed(input_.stream);
    TakeAll(decoder, whole);
    auto found = CompareWithStream(whole);
    found = found ? found : FindInPayloads(whole);
    found = found ? found : CompareWithPieces(whole, input_.piece_bytes);
    return found ? found : CompareWithPieces(whole, {1, 1});  // The most boundaries there can be.
  }

 private:
  using Message = typename decltype(std::declval<Decoder&>().Next())::value_type;
  using Messages = std::vector<Message>;

  std::optional<Disagreement> CompareWithPieces(const Messages& whole, PieceBytes piece_bytes) const {
    Messages in_pieces;
    Decoder decoder = fresh_;
    engine::ByteView rest = input_.stream;
    for (std::size_t i = 0; !rest.empty(); ++i) {
      const std::size_t count = std::min(piece_bytes[i % 2], rest.size());
      decoder.Feed(rest.first(count));
      rest = rest.subspan(count);
      TakeAll(decoder, in_pieces);
      if (HeldBytes(decoder) > held_max_) {
        return Disagreement{.where = "with " + std::to_string(rest.size()) + " bytes still to come",
                            .expected = "at most " + std::to_string(held_max_) + " bytes held",
                            .saw = std::to_string(HeldBytes(decoder))};
      }
    }
    if (whole != in_pieces) {
      return Disagreement{.where = "whole (expected) and in pieces of " + std::to_string(piece_bytes[0]) + " and " +
                                   std::to_string(piece_bytes[1]) + " bytes",
                          .expected = Describe(whole),
                          .saw = Describe(in_pieces)};
    }
    return std::nullopt;
  }

  // Every message encodes to the bytes where it stood, and nothing lies between them.
  std::optional<Disagreement> CompareWithStream(const Messages& whole) const {
    std::size_t position = 0;
    for (const Message& message : whole) {
      const auto next = std::visit([&](const auto& each) { return EndOf(each, position); }, message);
      if (!next) {
        return Disagreement{.where = "at byte " + std::to_string(position) + " of the stream",
                            .expected = "a message that encodes to what stood there",
                            .saw = Describe({message})};
      }
      position = *next;
    }
    return std::nullopt;
  }

  static std::optional<Disagreement> FindInPayloads(const Messages& whole) {
    for (const Message& message : whole) {
      if (auto found = std::visit([](const auto& each) { return FindInPayload(each); }, message)) {
        return found;
      }
    }
    return std::nullopt;
  }

  static std::optional<Disagreement> FindInPayload(const engine::ClientMessage& message) {
    return FindPayloadDisagreement(message);
  }
  static std::optional<Disagreement> FindInPayload(const engine::PlacedServerMessage& placed) {
    return FindPayloadDisagreement(placed.message);
  }
  static std::optional<Disagreement> FindInPayload(const engine::Undecodable& undecodable) {
    if (!IsShortPrintableLine(undecodable.what)) {
      return Disagreement{
          .where = "what is undecodable", .expected = "one short line that can be printed", .saw = undecodable.what};
    }
    return std::nullopt;
  }

  // Where the message that stood at `position` ended; nothing when it did not stand there.
  std::optional<std::size_t> EndOf(const engine::ClientMessage& message, std::size_t position) const {
    std::size_t dropped = 0;
    if (const auto* option = std::get_if<engine::Option>(&message); option != nullptr && option->too_long) {
      dropped = option->length_field.value_or(0);
    }
    if (const auto* request = std::get_if<engine::Request>(&message); request != nullptr && request->too_long) {
      dropped = request->length;
    }
    const auto end = EndOfBytes(engine::Encode(message), position);
    return end && dropped <= input_.stream.size() - *end ? std::optional(*end + dropped) : std::nullopt;
  }

  std::optional<std::size_t> EndOf(const engine::PlacedServerMessage& placed, std::size_t position) const {
    engine::Bytes bytes = engine::Encode(placed.message);
    if (placed.offset != position || placed.length != bytes.size()) {
      return std::nullopt;
    }
    const auto* oldstyle = std::get_if<engine::OldstyleGreeting>(&placed.message);
    if (oldstyle != nullptr && !oldstyle->pad_is_zero) {
      bytes.resize(bytes.size() - engine::kOldstylePadBytes);  // What its reserved bytes were is not kept.
      const auto end = EndOfBytes(bytes, position);
      return end ? std::optional(*end + engine::kOldstylePadBytes) : std::nullopt;
    }
    return EndOfBytes(bytes, position);
  }

  std::optional<std::size_t> EndOf(const engine::Undecodable& undecodable, std::size_t position) const {
    return undecodable.offset == position && !undecodable.what.empty() ? std::optional(position) : std::nullopt;
  }

  std::optional<std::size_t> EndOfBytes(engine::ByteView bytes, std::size_t position) const {
    const engine::ByteView rest = input_.stream.subspan(std::min(position, input_.stream.size()));
    const bool is_there = bytes.size() <= rest.size() && std::ranges::equal(bytes, rest.first(bytes.size()));
    return is_there ? std::optional(position + bytes.size()) : std::nullopt;
  }

  // Takes messages until bytes are missing or the first Undecodable, and switches phases as a session would.
  void TakeAll(Decoder& decoder, Messages& messages) const {
    while (messages.empty() || !std::holds_alternative<engine::Undecodable>(messages.back())) {
      auto next = decoder.Next();
      if (!next) {
        return;
      }
      std::visit([&](const auto& each) { React(decoder, each); }, *next);
      messages.push_back(*std::move(next));
    }
  }

  static void React(Decoder& decoder, const engine::ClientMessage& message) {
    const auto* option = std::get_if<engine::Option>(&message);
    if (option != nullptr &&
        (option->option == engine::OptionType::kGo || option->option == engine::OptionType::kExportName)) {
      decoder.EnterTransmission();
    }
  }

  // The replies of a stream are all there is to go by; one that names EXPORT_NAME stands for its having been sent.
  static void React(Decoder& decoder, const engine::PlacedServerMessage& placed) {
    const auto* reply = std::get_if<engine::OptionReply>(&placed.message);
    if (reply != nullptr && reply->option == engine::OptionType::kExportName) {
      decoder.ExpectExportNameReply(/*pad=*/reply->is_error());
    } else if (reply != nullptr && reply->option == engine::OptionType::kGo &&
               reply->type == engine::OptionReplyType::kAck) {
      decoder.EnterTransmission();
    }
  }

  static void React(Decoder& /*decoder*/, const engine::Undecodable& /*undecodable*/) {}

  static std::size_t HeldBytes(const Decoder& decoder) {
    if constexpr (requires { decoder.Pending(); }) {
      return decoder.Pending().size();
    } else {
      return decoder.pending_bytes();
    }
  }

  static std::string Describe(const Messages& messages) {
    std::string text;
    for (const Message& message : messages) {
      text += std::visit([](const auto& each) { return DescribeOne(each); }, message) + "; ";
    }
    return text + std::to_string(messages.size()) + " in all";
  }

  static std::string DescribeOne(const engine::ClientMessage& message) { return engine::Describe(message); }
  static std::string DescribeOne(const engine::PlacedServerMessage& placed) {
    return "at " + std::to_string(placed.offset) + "+" + std::to_string(placed.length) + " " +
           engine::Describe(placed.message);
  }
  static std::string DescribeOne(const engine::Undecodable& undecodable) {
    return "at " + std::to_string(undecodable.offset) + " " + undecodable.what;
  }

  Decoder fresh_;
  const WireInput& input_;
  std::size_t held_max_;
};

// The first thing wrong with how the decoders take `bytes`, read as a WireInput.
template <typename ClientDecoder = engine::ClientDecoder, typename ServerDecoder = engine::ServerDecoder>
std::optional<Disagreement> FindWireDecodeDisagreement(engine::ByteView bytes) {
  constexpr std::size_t kHeaderBytesMax = 152;  // An oldstyle greeting.
  const WireInput input = ReadWireInput(bytes);
  const std::size_t held_max = kHeaderBytesMax + std::max(input.limit, input.data_bytes);
  if (!input.from_server) {
    ClientDecoder decoder({.option_bytes_max = input.limit, .write_bytes_max = input.limit});
    if (input.phase >= 2) {
      decoder.EnterTransmission();
    }
    return WireDecodeDifferential<ClientDecoder>(std::move(decoder), input, held_max).Run();
  }
  ServerDecoder decoder({.payload_bytes_max = input.limit});
  decoder.ExpectData(0, input.data_bytes);
  decoder.ExpectData(1, input.data_bytes);
  if (input.phase == 2) {
    decoder.ExpectExportNameReply(/*pad=*/input.data_bytes % 2 == 1);
  } else if (input.phase == 3) {
    decoder.EnterTransmission();
  }
  return WireDecodeDifferential<ServerDecoder>(std::move(decoder), input, held_max).Run();
}

FuzzTarget WireDecodeTarget();

}  // namespace nbdspec::fuzz
