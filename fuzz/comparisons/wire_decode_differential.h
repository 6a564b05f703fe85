// SPDX-License-Identifier: BSD-3-Clause
// Gives a stream to a decoder whole and in pieces, and compares: same messages, which encode to the bytes they were
// made of, while no more is held than one message may take. The headers of requests and chunks, in either form, hold
// the numbers that stand where the specification's layout has them. The payload of each message is taken apart and put
// together again: the same bytes and numbers, exactly when that layout fits; and its description is one short line.
//
// The decoders and the codec of payloads are template parameters so that tests can pass ones with a planted bug.

#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/quoted.h"
#include "engine/wire/decoders.h"
#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"
#include "fuzz/comparisons/fuzz_target.h"

namespace nbdspec::fuzz {

// --- Payloads ---

// What a payload was taken apart into.
struct TakenApart {
  engine::Bytes bytes;                      // What it is put together to again.
  std::vector<std::uint64_t> numbers = {};  // In their order; of statuses and of queries for them.
  bool operator==(const TakenApart&) const = default;
};

// How a payload can be taken apart; nothing where it cannot.
struct PayloadLayout {
  std::uint32_t type;
  // By the specification's layout. The bytes are all that it makes sense of: for error chunks those before what may
  // follow.
  std::optional<TakenApart> (*naive)(engine::ByteView payload);
  // Decoded and encoded by the engine.
  std::optional<TakenApart> (*by_engine)(engine::ByteView payload);
};

// Null where none is known.
const PayloadLayout* LayoutOf(const engine::Option& option);
const PayloadLayout* LayoutOf(const engine::OptionReply& reply);
const PayloadLayout* LayoutOf(const engine::Chunk& chunk);
const PayloadLayout* LayoutOf(const engine::Request& request);

struct EnginePayloads {
  static std::optional<TakenApart> TakeApart(const auto& message) {
    const PayloadLayout* layout = LayoutOf(message);
    return layout == nullptr ? std::nullopt : layout->by_engine(message.payload);
  }
  static bool IsValidString(std::string_view text) { return engine::IsValidString(text); }
  static std::string Describe(const engine::ClientMessage& message) { return engine::Describe(message); }
  static std::string Describe(const engine::ServerMessage& message) { return engine::Describe(message); }
};

std::string Describe(const std::optional<TakenApart>& taken);

// By the table of well-formed sequences in the Unicode standard, 3-7.
bool IsNaivelyValidString(engine::ByteView text);

// The first thing wrong with how the payload of `message` is taken apart, or how it is described.
template <typename Payloads = EnginePayloads, typename... Messages>
Found FindPayloadDisagreement(const std::variant<Messages...>& message) {
  const std::string text = Payloads::Describe(message);
  if (auto found = FindInLine("a description", text)) {
    return found;
  }
  const auto find_in_payload = [&text](const auto& each) -> Found {
    if constexpr (requires { LayoutOf(each); }) {
      const engine::ByteView payload = each.payload;
      const PayloadLayout* layout = LayoutOf(each);
      const auto expected = layout == nullptr ? std::nullopt : layout->naive(payload);
      const auto saw = Payloads::TakeApart(each);
      if (expected != saw) {
        return Disagreement{.where = text, .expected = Describe(expected), .saw = Describe(saw)};
      }
      const std::string_view as_text(reinterpret_cast<const char*>(payload.data()), payload.size());
      if (Payloads::IsValidString(as_text) != IsNaivelyValidString(payload)) {
        return Compare("whether a string is valid: " + engine::Quoted(as_text, payload.size()),
                       IsNaivelyValidString(payload), Payloads::IsValidString(as_text));
      }
    }
    return std::nullopt;
  };
  return std::visit(find_in_payload, message);
}

// --- Streams ---

// Sizes of the pieces of a stream, by turns.
using PieceBytes = std::array<std::size_t, 2>;

// An input: four bytes that say how, then the stream. What is missing is zero; every input means something.
struct WireInput {
  bool from_server = false;  // Else from a client.
  unsigned phase = 0;        // Where the decoder begins, 0 to 3: see FindWireDecodeDisagreement.
  std::uint32_t limit = 0;   // Of payloads, in bytes.
  engine::HeaderForm headers = engine::HeaderForm::kCompact;  // Of a transmission that no EXPORT_NAME began.
  PieceBytes piece_bytes = {1, 1};
  std::uint32_t data_bytes = 0;  // Carried by simple replies to the cookies 0 and 1.
  engine::ByteView stream;
};

WireInput ReadWireInput(engine::ByteView input);

// The first number of the header at the begin of `here` that a decoder made another of; only of requests and chunks.
// `payload_bytes_max` is the limit of a request's payload.
Found FindHeaderDisagreement(const engine::ClientMessage& message, engine::HeaderForm form,
                             std::uint32_t payload_bytes_max, engine::ByteView here);
Found FindHeaderDisagreement(const engine::ServerMessage& message, engine::HeaderForm form,
                             std::uint32_t payload_bytes_max, engine::ByteView here);

template <typename Decoder, typename Payloads>
class WireDecodeDifferential {
 public:
  // `fresh` is where the stream begins. `held_max` bytes are enough for any message that is not yet whole.
  WireDecodeDifferential(Decoder fresh, const WireInput& input, std::size_t held_max)
      : fresh_(std::move(fresh)), input_(input), held_max_(held_max) {}

  Found Run() {
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

  Found CompareWithPieces(const Messages& whole, PieceBytes piece_bytes) const {
    Messages in_pieces;
    Decoder decoder = fresh_;
    engine::ByteView rest = input_.stream;
    for (std::size_t i = 0; !rest.empty(); ++i) {
      const std::size_t count = std::min(piece_bytes[i % 2], rest.size());
      decoder.Feed(rest.first(count));
      rest = rest.subspan(count);
      TakeAll(decoder, in_pieces);
      if (HeldBytes(decoder) > held_max_) {
        return Compare(fmt::format("the most bytes held, with {} still to come", rest.size()), held_max_,
                       HeldBytes(decoder));
      }
    }
    return whole == in_pieces
               ? Found()
               : Under(fmt::format("whole (expected) and in pieces of {} bytes", fmt::join(piece_bytes, " and ")),
                       Differ(Describe(whole), Describe(in_pieces)));
  }

  // Every message encodes to the bytes where it stood, and nothing lies between them.
  Found CompareWithStream(const Messages& whole) const {
    std::size_t position = 0;
    engine::HeaderForm form = input_.headers;
    for (const Message& message : whole) {
      if (const auto* decoded = std::get_if<0>(&message)) {
        form = BeginsCompact(*Bare(*decoded)) ? engine::HeaderForm::kCompact : form;
        if (auto found = FindHeaderDisagreement(*Bare(*decoded), form, input_.limit, input_.stream.subspan(position))) {
          return found;
        }
      }
      const auto next = std::visit([&](const auto& each) { return EndOf(each, position); }, message);
      if (!next) {
        return Compare(fmt::format("at byte {} of the stream", position), "a message that encodes to what stood there",
                       Describe({message}));
      }
      position = *next;
    }
    return std::nullopt;
  }

  static Found FindInPayloads(const Messages& whole) {
    for (const Message& message : whole) {
      const auto* undecodable = std::get_if<engine::Undecodable>(&message);
      auto found = undecodable == nullptr ? FindPayloadDisagreement<Payloads>(*Bare(std::get<0>(message)))
                                          : FindInLine("what is undecodable", undecodable->what);
      if (found) {
        return found;
      }
    }
    return std::nullopt;
  }

  static const engine::ClientMessage* Bare(const engine::ClientMessage& message) { return &message; }
  static const engine::ServerMessage* Bare(const engine::PlacedServerMessage& placed) { return &placed.message; }

  // Whether transmission without extended headers begins behind it.
  static bool BeginsCompact(const engine::ClientMessage& /*message*/) { return false; }
  static bool BeginsCompact(const engine::ServerMessage& message) {
    return std::holds_alternative<engine::ExportNameReply>(message) ||
           std::holds_alternative<engine::OldstyleGreeting>(message);
  }

  // Where the message that stood at `position` ended; nothing when it did not stand there.
  std::optional<std::size_t> EndOf(const engine::ClientMessage& message, std::size_t position) const {
    const auto end = EndOfBytes(engine::Encode(message), position);
    if (!end) {
      return std::nullopt;
    }
    const std::size_t left = input_.stream.size() - *end;
    std::uint64_t dropped = 0;
    if (const auto* option = std::get_if<engine::Option>(&message); option != nullptr && option->too_long) {
      dropped = option->length_field.value_or(0);
    }
    if (const auto* request = std::get_if<engine::Request>(&message); request != nullptr && request->too_long) {
      // In the extended form it comes before its payload.
      dropped = input_.headers == engine::HeaderForm::kExtended ? std::min<std::uint64_t>(request->length, left)
                                                                : request->length;
    }
    return dropped <= left ? std::optional(*end + dropped) : std::nullopt;
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

  void React(Decoder& decoder, const engine::ClientMessage& message) const {
    const auto* option = std::get_if<engine::Option>(&message);
    if (option != nullptr &&
        (option->option == engine::OptionType::kGo || option->option == engine::OptionType::kExportName)) {
      decoder.EnterTransmission(input_.headers);
    }
  }

  // The replies of a stream are all there is to go by; one that names EXPORT_NAME stands for its having been sent.
  void React(Decoder& decoder, const engine::PlacedServerMessage& placed) const {
    const auto* reply = std::get_if<engine::OptionReply>(&placed.message);
    if (reply != nullptr && reply->option == engine::OptionType::kExportName) {
      decoder.ExpectExportNameReply(/*pad=*/reply->is_error());
    } else if (reply != nullptr && reply->option == engine::OptionType::kGo &&
               reply->type == engine::OptionReplyType::kAck) {
      decoder.EnterTransmission(input_.headers);
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
    return fmt::format("{}{} in all", text, messages.size());
  }

  static std::string DescribeOne(const engine::ClientMessage& message) { return engine::Describe(message); }
  static std::string DescribeOne(const engine::PlacedServerMessage& placed) {
    return fmt::format("at {}+{} {}", placed.offset, placed.length, engine::Describe(placed.message));
  }
  static std::string DescribeOne(const engine::Undecodable& undecodable) {
    return fmt::format("at {} {}", undecodable.offset, undecodable.what);
  }

  Decoder fresh_;
  const WireInput& input_;
  std::size_t held_max_;
};

// The first thing wrong with how the decoders take `bytes`, read as a WireInput.
template <typename ClientDecoder = engine::ClientDecoder, typename ServerDecoder = engine::ServerDecoder,
          typename Payloads = EnginePayloads>
Found FindWireDecodeDisagreement(engine::ByteView bytes) {
  constexpr std::size_t kHeaderBytesMax = 152;  // An oldstyle greeting.
  const WireInput input = ReadWireInput(bytes);
  const std::size_t held_max = kHeaderBytesMax + std::max(input.limit, input.data_bytes);
  if (!input.from_server) {
    ClientDecoder decoder({.option_bytes_max = input.limit, .write_bytes_max = input.limit});
    if (input.phase >= 2) {
      decoder.EnterTransmission(input.headers);
    }
    return WireDecodeDifferential<ClientDecoder, Payloads>(std::move(decoder), input, held_max).Run();
  }
  ServerDecoder decoder({.payload_bytes_max = input.limit});
  decoder.ExpectData(0, input.data_bytes);
  decoder.ExpectData(1, input.data_bytes);
  if (input.phase == 2) {
    decoder.ExpectExportNameReply(/*pad=*/input.data_bytes % 2 == 1);
  } else if (input.phase == 3) {
    decoder.EnterTransmission(input.headers);
  }
  return WireDecodeDifferential<ServerDecoder, Payloads>(std::move(decoder), input, held_max).Run();
}

FuzzTarget WireDecodeTarget();

}  // namespace nbdspec::fuzz
