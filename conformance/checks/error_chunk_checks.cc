// SPDX-License-Identifier: BSD-3-Clause
// Checks of error chunks. Spec: proto.md, "Structured reply types", NBD_REPLY_TYPE_ERROR and _ERROR_OFFSET.
#include <fmt/format.h>

#include <algorithm>

#include "conformance/checks/chunk_rules.h"
#include "engine/base/quoted.h"
#include "engine/spec/ids.h"
#include "engine/wire/big_endian.h"

namespace nbdspec::conformance {

using engine::Chunk;
using engine::ChunkName;
using engine::ChunkType;
using engine::CommandType;

namespace {

constexpr std::size_t kErrorHeadBytes = 6;  // The error and the length of its message.
constexpr std::size_t kErrorOffsetBytes = 8;

// The length of the message as the chunk gives it; nothing when the payload ends before it.
std::optional<std::uint16_t> MessageLength(const Chunk& chunk) {
  return chunk.payload.size() >= kErrorHeadBytes ? std::optional(engine::GetBigEndian<std::uint16_t>(chunk.payload, 4))
                                                 : std::nullopt;
}

// What follows the message.
std::size_t TailBytes(const Chunk& chunk) { return chunk.type == ChunkType::kErrorOffset ? kErrorOffsetBytes : 0; }

std::string ErrorText(const Chunk& chunk) {
  const auto length = MessageLength(chunk);
  return BytesText(chunk) + (length ? fmt::format(" and a message of {}", *length) : "");
}

Judgement ErrorBit(const Survey&, const Exchange& exchange) {
  if (!exchange.legal && !exchange.complete) {
    return NotApplicable("no error came");
  }
  const auto is_of_errors = [](const Chunk& chunk) {
    return chunk.is_error() || (chunk.type > ChunkType::kOffsetHole && chunk.type != ChunkType::kBlockStatus);
  };
  return JudgeEach(exchange, is_of_errors, "no error chunk came", [](const Chunk& chunk) {
    if (!chunk.is_error()) {
      return Broken(BytesText(chunk), "a type that the specification defines, or one with bit 15");
    }
    const bool has_own_rule = chunk.type == ChunkType::kError || chunk.type == ChunkType::kErrorOffset;
    return has_own_rule || MessageLength(chunk) ? Holds() : Broken(BytesText(chunk), "an error and a message length");
  });
}

Judgement ErrorHeaderLength(const Survey&, const Exchange& exchange) {
  return JudgeEach(exchange, IsError, "no error chunk came", [](const Chunk& chunk) {
    const auto length = MessageLength(chunk);
    return length && kErrorHeadBytes + *length + TailBytes(chunk) <= chunk.payload.size()
               ? Holds()
               : Broken(ErrorText(chunk), "a payload that has room for all its parts");
  });
}

Judgement LengthMin(const Exchange& exchange, std::uint16_t type, std::size_t bytes_min) {
  return JudgeEach(exchange, type, [&](const Chunk& chunk) {
    return chunk.payload.size() >= bytes_min ? Holds()
                                             : Broken(BytesText(chunk), fmt::format("at least {} bytes", bytes_min));
  });
}

Judgement ErrorLengthMin(const Survey&, const Exchange& exchange) {
  return LengthMin(exchange, ChunkType::kError, kErrorHeadBytes);
}
Judgement OffsetLengthMin(const Survey&, const Exchange& exchange) {
  return LengthMin(exchange, ChunkType::kErrorOffset, kErrorHeadBytes + kErrorOffsetBytes);
}

Judgement NotZero(const Exchange& exchange, std::uint16_t type) {
  return JudgeEach(exchange, type, [](const Chunk& chunk) {
    const bool is_zero = chunk.payload.size() >= 4 && engine::GetBigEndian<std::uint32_t>(chunk.payload) == 0;
    return is_zero ? Broken(ChunkName(chunk.type) + " with error 0", "an error that is not 0") : Holds();
  });
}

Judgement ErrorNotZero(const Survey&, const Exchange& exchange) { return NotZero(exchange, ChunkType::kError); }
Judgement OffsetNotZero(const Survey&, const Exchange& exchange) { return NotZero(exchange, ChunkType::kErrorOffset); }

Judgement MessageFits(const Exchange& exchange, std::uint16_t type) {
  return JudgeEach(exchange, type, [](const Chunk& chunk) {
    const auto length = MessageLength(chunk);
    const std::size_t fixed = kErrorHeadBytes + TailBytes(chunk);
    return !length || fixed + *length <= chunk.payload.size()
               ? Holds()
               : Broken(ErrorText(chunk), fmt::format("a message of at most the payload less {} bytes", fixed));
  });
}

Judgement ErrorMessageFits(const Survey&, const Exchange& exchange) { return MessageFits(exchange, ChunkType::kError); }
Judgement OffsetMessageFits(const Survey&, const Exchange& exchange) {
  return MessageFits(exchange, ChunkType::kErrorOffset);
}

Judgement MessageCap(const Survey&, const Exchange& exchange) {
  return JudgeEach(exchange, IsError, "no error chunk came", [](const Chunk& chunk) {
    const auto length = MessageLength(chunk);
    return !length || *length <= engine::kStringBytesMax ? Holds()
                                                         : Broken(ErrorText(chunk), "a message of at most 4096 bytes");
  });
}

Judgement MessageDisplayable(const Survey&, const Exchange& exchange) {
  return JudgeEach(exchange, IsError, "no error chunk came", [](const Chunk& chunk) {
    const auto error = engine::DecodeErrorPayload(chunk.type, chunk.payload);
    return !error || engine::IsValidString(error->message)
               ? Holds()
               : Broken("the message " + engine::Quoted(error->message), "UTF-8 text without NUL");
  });
}

Judgement ErrorOnce(const Survey&, const Exchange& exchange) {
  const auto count = std::ranges::count(exchange.answer.chunks, ChunkType::kError, &Chunk::type);
  if (count == 0) {
    return NotApplicable("no " + ChunkName(ChunkType::kError) + " came");
  }
  return count == 1 ? Holds() : Broken(fmt::format("{} generic error chunks", count), "one");
}

Judgement NoMixedErrors(const Survey&, const Exchange& exchange) {
  const auto& chunks = exchange.answer.chunks;
  const auto generic = std::ranges::count(chunks, ChunkType::kError, &Chunk::type);
  const auto placed = std::ranges::count(chunks, ChunkType::kErrorOffset, &Chunk::type);
  if (!exchange.is_read() || generic + placed == 0) {
    return NotApplicable("no READ was answered with an error chunk");
  }
  return generic == 0 || placed == 0
             ? Holds()
             : Broken(fmt::format("{} errors with an offset and {} without", placed, generic), "not both in one reply");
}

// The offsets of all errors that have one.
std::vector<std::uint64_t> ErrorOffsets(const Exchange& exchange) {
  std::vector<std::uint64_t> offsets;
  for (const Chunk& chunk : exchange.answer.chunks) {
    if (chunk.type == ChunkType::kErrorOffset) {
      if (const auto place = PlaceOf(chunk)) {
        offsets.push_back(place->offset);
      }
    }
  }
  return offsets;
}

Judgement OffsetInBounds(const Survey&, const Exchange& exchange) {
  return JudgeEach(exchange, ChunkType::kErrorOffset, [&](const Chunk& chunk) {
    const auto place = PlaceOf(chunk);
    const engine::Request& asked = exchange.request;
    // Whether the end itself is inside is open, so it passes.
    return !place || (place->offset >= asked.offset && place->offset - asked.offset <= asked.length)
               ? Holds()
               : Broken(fmt::format("an error at offset {}", place->offset), "inside of the range that was asked for");
  });
}

Judgement OffsetDistinct(const Survey&, const Exchange& exchange) {
  std::vector<std::uint64_t> offsets = ErrorOffsets(exchange);
  if (offsets.empty()) {
    return NotApplicable("no " + ChunkName(ChunkType::kErrorOffset) + " came");
  }
  std::ranges::sort(offsets);
  const auto twice = std::ranges::adjacent_find(offsets);
  return twice == offsets.end() ? Holds()
                                : Broken(fmt::format("two errors at offset {}", *twice), "each offset at most once");
}

Judgement OffsetOncePerChunk(const Survey&, const Exchange& exchange) {
  const auto& chunks = exchange.answer.chunks;
  if (ErrorOffsets(exchange).empty()) {
    return NotApplicable("no " + ChunkName(ChunkType::kErrorOffset) + " came");
  }
  for (auto content = chunks.begin(); content != chunks.end(); ++content) {
    const auto place = ContentOf(*content);
    std::vector<std::uint64_t> inside;
    for (auto error = content; place && error != chunks.end(); ++error) {
      const auto at = error->type == ChunkType::kErrorOffset ? PlaceOf(*error) : std::nullopt;
      if (at && Overlap(*at, *place) && !std::ranges::count(inside, at->offset)) {
        inside.push_back(at->offset);
      }
    }
    if (inside.size() > 1) {
      return Broken(fmt::format("errors at {} and {}, both inside of {}", inside[0], inside[1], ContentText(*content)),
                    "one error for a content chunk");
    }
  }
  return Holds();
}

Judgement OffsetCommands(const Survey&, const Exchange& exchange) {
  const std::uint16_t command = exchange.request.type;
  if (command <= CommandType::kBlockStatus && command != CommandType::kFlush) {
    return NotApplicable("no chunk answered NBD_CMD_FLUSH or an unknown command");
  }
  return JudgeEach(exchange, IsAny, "no chunk came", [](const Chunk& chunk) {
    return chunk.type == ChunkType::kErrorOffset ? Broken(BytesText(chunk), "this command has no offset") : Holds();
  });
}

constexpr Features kStructured = {Feature::kStructuredReplies};

}  // namespace

std::vector<Check> ErrorChunkChecks() {
  return {
      {.id = spec::kStructuredErrorBit15,
       .needs = kStructured,
       .claim = "Every error chunk has bit 15 in its type, and room for an error.",
       .run = OverStructuredReplies<ErrorBit>},
      {.id = spec::kStructuredErrorHeaderLength,
       .needs = kStructured,
       .claim = "The payload of an error chunk has room for all its parts.",
       .run = OverStructuredReplies<ErrorHeaderLength>},
      {.id = spec::kStructuredErrorLengthMin,
       .needs = kStructured,
       .claim = "ERROR has at least 6 bytes.",
       .run = OverStructuredReplies<ErrorLengthMin>},
      {.id = spec::kStructuredErrorNonzero,
       .needs = kStructured,
       .claim = "The error of ERROR is not 0.",
       .run = OverStructuredReplies<ErrorNotZero>},
      {.id = spec::kStructuredErrorMessageFits,
       .needs = kStructured,
       .claim = "The message of ERROR fits its payload.",
       .run = OverStructuredReplies<ErrorMessageFits>},
      {.id = spec::kStructuredErrorMessageCap,
       .needs = kStructured,
       .claim = "No message is longer than 4096 bytes.",
       .run = OverStructuredReplies<MessageCap>},
      {.id = spec::kStructuredErrorMessageDisplayable,
       .needs = kStructured,
       .claim = "Messages are UTF-8 without NUL.",
       .run = OverStructuredReplies<MessageDisplayable>},
      {.id = spec::kStructuredErrorOnce,
       .needs = kStructured,
       .claim = "A reply has at most one ERROR.",
       .run = OverStructuredReplies<ErrorOnce>},
      {.id = spec::kStructuredErrorOffsetLengthMin,
       .needs = kStructured,
       .claim = "ERROR_OFFSET has at least 14 bytes.",
       .run = OverStructuredReplies<OffsetLengthMin>},
      {.id = spec::kStructuredErrorOffsetNonzero,
       .needs = kStructured,
       .claim = "The error of ERROR_OFFSET is not 0.",
       .run = OverStructuredReplies<OffsetNotZero>},
      {.id = spec::kStructuredErrorOffsetMessageFits,
       .needs = kStructured,
       .claim = "The message of ERROR_OFFSET fits its payload.",
       .run = OverStructuredReplies<OffsetMessageFits>},
      {.id = spec::kStructuredErrorOffsetInBounds,
       .needs = kStructured,
       .claim = "Error offsets lie in the range asked for.",
       .run = OverStructuredReplies<OffsetInBounds>},
      {.id = spec::kStructuredErrorOffsetDistinct,
       .needs = kStructured,
       .claim = "No error offset comes twice in a reply.",
       .run = OverStructuredReplies<OffsetDistinct>},
      {.id = spec::kStructuredErrorOffsetOnePerChunk,
       .needs = kStructured,
       .claim = "At most one error offset lies in a content chunk before it.",
       .run = OverStructuredReplies<OffsetOncePerChunk>},
      {.id = spec::kStructuredErrorOffsetCommands,
       .needs = kStructured,
       .claim = "FLUSH and unknown commands get no ERROR_OFFSET.",
       .run = OverStructuredReplies<OffsetCommands>},
      {.id = spec::kStructuredReadNoMixedErrors,
       .needs = kStructured,
       .claim = "No READ gets both ERROR and ERROR_OFFSET.",
       .run = OverStructuredReplies<NoMixedErrors>},
  };
}

}  // namespace nbdspec::conformance
