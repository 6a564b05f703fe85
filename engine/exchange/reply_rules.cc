// SPDX-License-Identifier: BSD-3-Clause
// Which kind of reply comes, and the form of chunks. Spec: proto.md, "Simple reply message", "Structured reply chunk
// message", "Structured reply flags", "Structured reply types".

#include <array>

#include "engine/exchange/rule_facts.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine {
namespace {

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

// Error chunks, and those that no client can know.
bool MayBeError(const ReplyChunk& chunk) {
  return chunk.is_error() || (chunk.type > ChunkType::kOffsetHole && chunk.type != ChunkType::kBlockStatus);
}

Ruling IsKnownOrError(const Exchange&, const ReplyChunk& chunk) {
  if (!chunk.is_error()) {
    return Violated("a type that the specification defines, or one with bit 15", BytesText(chunk));
  }
  constexpr std::size_t kErrorAndLengthBytes = 6;
  const bool has_own_rule = chunk.type == ChunkType::kError || chunk.type == ChunkType::kErrorOffset;
  return has_own_rule || chunk.payload_bytes >= kErrorAndLengthBytes
             ? Kept()
             : Violated("an error and a message length", BytesText(chunk));
}

// Chunks of `type` answer `command` only.
template <std::uint16_t type, std::uint16_t command>
Ruling AnswersOnly(const Exchange& exchange, const ReplyChunk& chunk) {
  return chunk.type != type || exchange.Is(command)
             ? Kept()
             : Violated(Text("such chunks only in answer to ", CommandName(command)),
                        Text(BytesText(chunk), " in answer to ", CommandName(exchange.request.type)));
}

constexpr auto kRules = std::to_array<Rule>({
    {spec::kStructuredOnlyIfNegotiated, Fact::kNotStructured | Fact::kAnswered, NoChunk},
    {spec::kTransmissionSimpleMandatoryWithoutStructured, Fact::kNotStructured | Fact::kAnswered, NoChunk},
    {spec::kStructuredReadNoSimple, Fact::kStructured | Fact::kRead | Fact::kAnswered, NoSimpleRead},
    {spec::kStructuredPayloadNeedsStructured, Fact::kStructured | Fact::kAnswered, DataNeedsStructured},
    {spec::kStructuredErrorsPreferStructured, Fact::kStructured | Fact::kNotRead | Fact::kError, PreferStructured},
    {spec::kStructuredReadChunks, Fact::kStructured | Fact::kRead | Fact::kLegal | Fact::kSettled, ReadGetsChunks},
    {spec::kStructuredFlagsDoneSet, Fact::kChunks | Fact::kSettled, LastHasDone},
    {spec::kStructuredFlagsNoOther, Fact::kChunks, Each<IsAny, NoOtherFlags>},
    {spec::kStructuredErrorBit15, Fact::kChunks, Each<MayBeError, IsKnownOrError>},
    {spec::kStructuredNoneDone, Fact::kNone, EachOf<ChunkType::kNone, NoneHasDone>},
    {spec::kStructuredNoneLengthZero, Fact::kNone, EachOf<ChunkType::kNone, NoneIsEmpty>},
    {spec::kStructuredOffsetDataReadOnlyReply, Fact::kNotRead | Fact::kChunks,
     Each<IsAny, AnswersOnly<ChunkType::kOffsetData, CommandType::kRead>>},
    {spec::kStructuredOffsetHoleReadOnlyReply, Fact::kNotRead | Fact::kChunks,
     Each<IsAny, AnswersOnly<ChunkType::kOffsetHole, CommandType::kRead>>},
    {spec::kBlockStatusOnlyForCmd, Fact::kNotStatus | Fact::kChunks,
     Each<IsAny, AnswersOnly<ChunkType::kBlockStatus, CommandType::kBlockStatus>>},
});

}  // namespace

std::span<const Rule> ReplyRules() { return kRules; }

}  // namespace nbdspec::engine
