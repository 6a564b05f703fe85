// SPDX-License-Identifier: BSD-3-Clause
// Which kind of reply comes, the form of chunks, the payloads of error chunks, and how many come. Spec: proto.md,
// "Simple reply message", "Structured reply chunk message", "Structured reply flags", "Structured reply types".

#include <algorithm>
#include <array>

#include "engine/base/quoted.h"
#include "engine/exchange/rule_facts.h"
#include "engine/wire/fields.h"

namespace nbdspec::engine {
namespace {

constexpr std::size_t kHeadBytes = 6;  // Of an error chunk: the error and the length of its message.

// --- Simple or structured ---

Ruling NoChunk(const Exchange& exchange) {
  const auto chunks = exchange.answer.chunks();
  return chunks.empty() ? Kept() : Violated("a simple reply", BytesText(chunks.front()));
}

Ruling NoSimpleRead(const Exchange& exchange) {
  const auto& simple = exchange.answer.simple();
  return simple ? Violated("a structured reply", Text("a simple reply, ", ErrorName(simple->error))) : Kept();
}

Ruling DataNeedsStructured(const Exchange& exchange) {
  const auto& simple = exchange.answer.simple();
  return simple && simple->data_bytes > 0 ? Violated("a structured reply, since it has a payload",
                                                     Text("a simple reply with ", simple->data_bytes, " bytes of data"))
                                          : Kept();
}

Ruling NoSimple(const Exchange& exchange) {
  const auto& simple = exchange.answer.simple();
  return simple
             ? Violated("extended chunks, even without a payload", Text("a simple reply, ", ErrorName(simple->error)))
             : Kept();
}

Ruling PreferStructured(const Exchange& exchange) {
  return exchange.answer.simple() ? Violated("an error chunk, which can carry a message",
                                             Text("a simple reply with ", ErrorName(exchange.answer.error())))
                                  : Kept();
}

// --- The end of a reply ---

Ruling LastHasDone(const Exchange& exchange) {
  return exchange.answer.is_complete()
             ? Kept()
             : Violated("DONE on the final chunk",
                        Text(exchange.answer.chunks().size(), " chunks without DONE, then silence"));
}

Ruling ReadGetsChunks(const Exchange& exchange) {
  constexpr std::string_view kExpected = "chunks, the last of them with DONE";
  if (exchange.answer.simple()) {
    return Violated(std::string(kExpected), "a simple reply");
  }
  Ruling ruling = LastHasDone(exchange);
  return ruling.is_violated() ? Violated(std::string(kExpected), std::move(ruling.saw)) : Kept();
}

// --- One chunk ---

Ruling NoOtherFlags(const Exchange&, const ReplyChunk& chunk) {
  return (chunk.flags & ~ChunkFlag::kDone) == 0
             ? Kept()
             : Violated("no flag but DONE, unless it can be ignored safely",
                        Text(ChunkName(chunk.type), " with flags ", ChunkFlagNames(chunk.flags)));
}

Ruling NoneIsEmpty(const Exchange&, const ReplyChunk& chunk) {
  return chunk.payload_bytes == 0 ? Kept() : Violated("no payload", BytesText(chunk));
}

Ruling NoneHasDone(const Exchange&, const ReplyChunk& chunk) {
  return chunk.is_done() ? Kept() : Violated("DONE on each NONE", "NBD_REPLY_TYPE_NONE without DONE");
}

// A server that counts from the chunk repeats the offset of its content.
Ruling RepeatsOffset(const Exchange& exchange, const ReplyChunk& chunk) {
  return chunk.request_offset == exchange.request.offset
             ? Kept()
             : Violated(Text("the offset of the request, ", exchange.request.offset, ", in the header of each chunk"),
                        Text("offset ", chunk.request_offset, " in that of ", ContentText(chunk)));
}

// Error chunks, and those that no client can know.
bool MayBeError(const ReplyChunk& chunk) {
  const bool is_status = chunk.type == ChunkType::kBlockStatus || chunk.type == ChunkType::kBlockStatusExt;
  return chunk.is_error() || (chunk.type > ChunkType::kOffsetHole && !is_status);
}

Ruling IsKnownOrError(const Exchange&, const ReplyChunk& chunk) {
  if (!chunk.is_error()) {
    return Violated("a type that the specification defines, or one with bit 15", BytesText(chunk));
  }
  const bool has_own_rule = chunk.type == ChunkType::kError || chunk.type == ChunkType::kErrorOffset;
  return has_own_rule || chunk.payload_bytes >= kHeadBytes
             ? Kept()
             : Violated("an error and a message length", BytesText(chunk));
}

Ruling StatusAnswersStatus(const Exchange& exchange, const ReplyChunk& chunk) {
  return chunk.type != BlockStatus::ChunkTypeOf(exchange.negotiated->headers) || exchange.Is(CommandType::kBlockStatus)
             ? Kept()
             : Violated("such chunks only in answer to NBD_CMD_BLOCK_STATUS",
                        Text(BytesText(chunk), " in answer to ", CommandName(exchange.request.type)));
}

// Chunks of `type` answer `command` only.
template <std::uint16_t type, std::uint16_t command>
Ruling AnswersOnly(const Exchange& exchange, const ReplyChunk& chunk) {
  return chunk.type != type || exchange.Is(command)
             ? Kept()
             : Violated(Text("such chunks only in answer to ", CommandName(command)),
                        Text(BytesText(chunk), " in answer to ", CommandName(exchange.request.type)));
}

// --- Error chunks ---

constexpr std::size_t kOffsetBytes = 8;

// The length of the message as the chunk gives it; nothing when the payload ends before it.
std::optional<std::uint16_t> MessageLength(const ReplyChunk& chunk) {
  return chunk.payload.size() >= kHeadBytes ? std::optional(GetBigEndian<std::uint16_t>(chunk.payload, 4))
                                            : std::nullopt;
}

// All but the message.
std::size_t FixedBytes(const ReplyChunk& chunk) {
  return kHeadBytes + (chunk.type == ChunkType::kErrorOffset ? kOffsetBytes : 0);
}

bool HasRoomFor(const ReplyChunk& chunk, std::size_t message_bytes) {
  return FixedBytes(chunk) + message_bytes <= chunk.payload.size();
}

std::string ErrorText(const ReplyChunk& chunk) {
  const auto length = MessageLength(chunk);
  return BytesText(chunk) + (length ? Text(" and a message of ", *length) : "");
}

Ruling HasAllParts(const Exchange&, const ReplyChunk& chunk) {
  const auto length = MessageLength(chunk);
  return length && HasRoomFor(chunk, *length) ? Kept()
                                              : Violated("a payload that has room for all its parts", ErrorText(chunk));
}

Ruling HasLength(const Exchange&, const ReplyChunk& chunk) {
  return HasRoomFor(chunk, 0) ? Kept() : Violated(Text("at least ", FixedBytes(chunk), " bytes"), BytesText(chunk));
}

Ruling IsNotZero(const Exchange&, const ReplyChunk& chunk) {
  const bool is_zero = chunk.payload.size() >= 4 && GetBigEndian<std::uint32_t>(chunk.payload) == NbdError::kOk;
  return is_zero ? Violated("an error that is not 0", Text(ChunkName(chunk.type), " with error 0")) : Kept();
}

Ruling MessageFits(const Exchange&, const ReplyChunk& chunk) {
  const auto length = MessageLength(chunk);
  return !length || HasRoomFor(chunk, *length)
             ? Kept()
             : Violated(Text("a message of at most the payload less ", FixedBytes(chunk), " bytes"), ErrorText(chunk));
}

Ruling MessageIsShort(const Exchange&, const ReplyChunk& chunk) {
  return MessageLength(chunk).value_or(0) <= kStringBytesMax
             ? Kept()
             : Violated("a message of at most 4096 bytes", ErrorText(chunk));
}

Ruling MessageIsText(const Exchange&, const ReplyChunk& chunk) {
  return !chunk.error || IsValidString(chunk.error->message)
             ? Kept()
             : Violated("UTF-8 text without NUL", Text("the message ", Quoted(chunk.error->message)));
}

// --- Several chunks ---

std::size_t CountOf(const Exchange& exchange, std::uint16_t type) {
  return static_cast<std::size_t>(std::ranges::count(exchange.answer.chunks(), type, &ReplyChunk::type));
}

Ruling ErrorOnce(const Exchange& exchange) {
  const std::size_t count = CountOf(exchange, ChunkType::kError);
  return count == 1 ? Kept() : Violated("one NBD_REPLY_TYPE_ERROR", Text(count, " of them"));
}

Ruling NoMixedErrors(const Exchange& exchange) {
  const std::size_t generic = CountOf(exchange, ChunkType::kError);
  const std::size_t placed = CountOf(exchange, ChunkType::kErrorOffset);
  if (generic + placed == 0) {
    return Inapplicable("no error chunk that the specification defines came");
  }
  return generic == 0 || placed == 0 ? Kept()
                                     : Violated("one kind of error chunk in one reply",
                                                Text(placed, " errors with an offset and ", generic, " without"));
}

// --- Offsets ---

Ruling OffsetIsInside(const Exchange& exchange, const ReplyChunk& chunk) {
  const auto offset = OffsetOf(chunk);
  // Whether the end itself is inside is open, so it passes.
  return !offset || exchange.Asks({.offset = *offset, .length = 0})
             ? Kept()
             : Violated("inside of the requested range", Text("an error at offset ", *offset));
}

struct PlacedError {
  std::uint64_t offset = 0;
  std::size_t index = 0;  // Of its chunk.
  auto operator<=>(const PlacedError&) const = default;
};

// By offset, then in the order in which they came.
std::vector<PlacedError> PlacedErrors(const Exchange& exchange) {
  std::vector<PlacedError> errors;
  const auto chunks = exchange.answer.chunks();
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    if (const auto offset = OffsetOf(chunks[i])) {
      errors.push_back({.offset = *offset, .index = i});
    }
  }
  std::ranges::sort(errors);
  return errors;
}

Ruling OffsetsDiffer(const Exchange& exchange) {
  const std::vector<PlacedError> errors = PlacedErrors(exchange);
  const auto twice = std::ranges::adjacent_find(errors, {}, &PlacedError::offset);
  return twice == errors.end() ? Kept()
                               : Violated("each offset at most once", Text("two errors at offset ", twice->offset));
}

Ruling OneOffsetForAChunk(const Exchange& exchange) {
  const std::vector<PlacedError> errors = PlacedErrors(exchange);
  const auto chunks = exchange.answer.chunks();
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const auto content = chunks[i].content.value_or(ByteRange::OffsetAndLength{});
    std::optional<std::uint64_t> first;
    for (auto error = std::ranges::lower_bound(errors, content.offset, {}, &PlacedError::offset);
         error != errors.end() && error->offset - content.offset < content.length; ++error) {
      if (error->index < i || error->offset == first) {
        continue;  // It came before the content, or is another rule's violation.
      }
      if (first) {
        return Violated("one error for a content chunk", Text("errors at ", *first, " and ", error->offset,
                                                              ", both inside of ", ContentText(chunks[i])));
      }
      first = error->offset;
    }
  }
  return Kept();
}

Ruling CommandHasOffsets(const Exchange& exchange) {
  const std::uint16_t command = exchange.request.type;
  if (command <= CommandType::kBlockStatus && command != CommandType::kFlush) {
    return Inapplicable("no chunk answered NBD_CMD_FLUSH or an unknown command");
  }
  return CountOf(exchange, ChunkType::kErrorOffset) == 0
             ? Kept()
             : Violated("no offset for this command", Text("an error with an offset for ", CommandName(command)));
}

constexpr std::uint16_t kError = ChunkType::kError;
constexpr std::uint16_t kErrorOffset = ChunkType::kErrorOffset;

constexpr auto kRules = std::to_array<Rule>({
    {kStructuredOnlyIfNegotiated, Fact::kNotStructured | Fact::kAnswered, NoChunk, Fact::kChunks},
    {kTransmissionSimpleMandatoryWithoutStructured, Fact::kNotStructured | Fact::kAnswered, NoChunk, Fact::kChunks},
    {kStructuredReadNoSimple, Fact::kStructured | Fact::kRead | Fact::kAnswered, NoSimpleRead, Fact::kSimple},
    {kStructuredPayloadNeedsStructured, Fact::kStructured | Fact::kAnswered, DataNeedsStructured, Fact::kSimple},
    {kStructuredErrorsPreferStructured, Fact::kStructured | Fact::kNotRead | Fact::kError, PreferStructured,
     Fact::kSimple},
    {kStructuredReadChunks, Fact::kStructured | Fact::kRead | Fact::kLegal | Fact::kSettled, ReadGetsChunks},
    {kStructuredFlagsDoneSet, Fact::kChunks | Fact::kSettled, LastHasDone},
    {kStructuredFlagsNoOther, Fact::kChunks, Each<IsAny, NoOtherFlags>},
    {kStructuredErrorBit15, Fact::kChunks, Each<MayBeError, IsKnownOrError>},
    {kStructuredNoneDone, Fact::kNone, EachOf<ChunkType::kNone, NoneHasDone>},
    {kStructuredNoneLengthZero, Fact::kNone, EachOf<ChunkType::kNone, NoneIsEmpty>},
    {kStructuredOffsetDataReadOnlyReply, Fact::kNotRead | Fact::kChunks,
     Each<IsAny, AnswersOnly<ChunkType::kOffsetData, CommandType::kRead>>, Fact::kData},
    {kStructuredOffsetHoleReadOnlyReply, Fact::kNotRead | Fact::kChunks,
     Each<IsAny, AnswersOnly<ChunkType::kOffsetHole, CommandType::kRead>>, Fact::kHole},
    {kBlockStatusOnlyForCmd, Fact::kNotStatus | Fact::kChunks, Each<IsAny, StatusAnswersStatus>, Fact::kStatusChunk},
    {kStructuredErrorLengthMin, Fact::kGenericError, EachOf<kError, HasLength>},
    {kStructuredErrorMessageFits, Fact::kGenericError, EachOf<kError, MessageFits>},
    {kStructuredErrorOffsetLengthMin, Fact::kErrorOffset, EachOf<kErrorOffset, HasLength>},
    {kStructuredErrorOffsetMessageFits, Fact::kErrorOffset, EachOf<kErrorOffset, MessageFits>},
    {kStructuredErrorHeaderLength, Fact::kErrorChunk, Each<IsError, HasAllParts>},
    {kStructuredErrorNonzero, Fact::kGenericError, EachOf<kError, IsNotZero>},
    {kStructuredErrorOffsetNonzero, Fact::kErrorOffset, EachOf<kErrorOffset, IsNotZero>},
    {kStructuredErrorMessageCap, Fact::kErrorChunk, Each<IsError, MessageIsShort>},
    {kStructuredErrorMessageDisplayable, Fact::kErrorChunk, Each<IsError, MessageIsText>},
    {kStructuredErrorOnce, Fact::kGenericError, ErrorOnce},
    {kStructuredReadNoMixedErrors, Fact::kRead | Fact::kErrorChunk, NoMixedErrors},
    {kStructuredErrorOffsetInBounds, Fact::kErrorOffset, EachOf<kErrorOffset, OffsetIsInside>},
    {kStructuredErrorOffsetDistinct, Fact::kErrorOffset, OffsetsDiffer},
    {kStructuredErrorOffsetOnePerChunk, Fact::kErrorOffset, OneOffsetForAChunk},
    {kStructuredErrorOffsetCommands, Fact::kChunks, CommandHasOffsets, Fact::kErrorOffset},
    {kExtReplyNoSimple, Fact::kExtended | Fact::kAnswered, NoSimple, Fact::kSimple},
    {kExtReplyOffset, Fact::kExtended | Fact::kChunks, Each<IsAny, RepeatsOffset>},
});

}  // namespace

std::span<const Rule> ReplyRules() { return kRules; }

}  // namespace nbdspec::engine
