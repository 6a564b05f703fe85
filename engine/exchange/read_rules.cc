// SPDX-License-Identifier: BSD-3-Clause
// Content chunks, and what answers READ. Spec: proto.md, "Structured reply types", "Request types", NBD_CMD_READ.

#include <algorithm>
#include <array>

#include "engine/exchange/rule_facts.h"

namespace nbdspec::engine {
namespace {

constexpr std::uint64_t kSectorBytes = 512;

// --- One chunk ---

Ruling DataIsNotEmpty(const Exchange&, const ReplyChunk& chunk) {
  return chunk.payload_bytes >= 9 ? Kept() : Violated("at least 9: an offset and a byte of data", BytesText(chunk));
}

Ruling HoleHas12Bytes(const Exchange&, const ReplyChunk& chunk) {
  return chunk.payload_bytes == 12 ? Kept() : Violated("exactly 12 bytes", BytesText(chunk));
}

Ruling HoleIsNotEmpty(const Exchange&, const ReplyChunk& chunk) {
  return !chunk.content || chunk.content->length > 0 ? Kept()
                                                     : Violated("a hole of at least one byte", ContentText(chunk));
}

Ruling IsInBounds(const Exchange& exchange, const ReplyChunk& chunk) {
  return !chunk.content || exchange.Asks(*chunk.content)
             ? Kept()
             : Violated(Text("content inside of ", RangeText(exchange.request.range())), ContentText(chunk));
}

// An offset that counts from the start of the request puts the chunk before the request.
Ruling DataIsAbsolute(const Exchange& exchange) {
  const RequestHead& asked = exchange.request;
  if (asked.offset < asked.length) {
    return Inapplicable("no READ where relative offsets would show");
  }
  for (const ReplyChunk& chunk : exchange.answer.chunks()) {
    if (chunk.type == ChunkType::kOffsetData && chunk.content && chunk.content->offset < asked.length &&
        exchange.Asks({.offset = chunk.content->offset + asked.offset, .length = chunk.content->length})) {
      return Violated("offsets that count from the export's start", ContentText(chunk));
    }
  }
  return Kept();
}

Ruling IsAligned(const Exchange& exchange, const ReplyChunk& chunk) {
  if (!chunk.content || !exchange.Asks(*chunk.content)) {
    return Kept();
  }
  const RequestHead& asked = exchange.request;
  const std::uint64_t begin = chunk.content->offset;
  const std::uint64_t end = begin + chunk.content->length;
  const bool begins_well = begin == asked.offset || begin % kSectorBytes == 0;
  const bool ends_well = end == asked.offset + asked.length || end % kSectorBytes == 0;
  return begins_well && ends_well ? Kept() : Violated("multiples of 512 where possible", ContentText(chunk));
}

// --- Several chunks ---

// A content chunk, or an error chunk with an offset, which counts as one byte.
struct Spot {
  ByteRange::OffsetAndLength place;
  const ReplyChunk* chunk = nullptr;
};

std::optional<ByteRange::OffsetAndLength> PlaceOf(const ReplyChunk& chunk) {
  const auto offset = OffsetOf(chunk);
  return offset ? std::optional(ByteRange::OffsetAndLength{.offset = *offset, .length = 1}) : chunk.content;
}

// Whether each begins where the last one ends, or after.
bool Ascends(const Answer& answer) {
  std::optional<ByteRange::OffsetAndLength> last;
  for (const ReplyChunk& chunk : answer.chunks()) {
    const auto place = PlaceOf(chunk);
    if (place && place->length > 0) {
      if (last && (place->offset < last->offset || place->offset - last->offset < last->length)) {
        return false;
      }
      last = place;
    }
  }
  return true;
}

// Violated where a chunk that `later` picks overlaps one that came before it and that `earlier` picks.
// Cost: one pass where the chunks ascend, O(n log n) otherwise. Of many overlaps it may miss some, never all.
template <typename Later, typename Earlier>
Ruling NoOverlap(const Exchange& exchange, Later later, Earlier earlier) {
  if (Ascends(exchange.answer)) {
    return Kept();
  }
  std::vector<Spot> spots;
  for (const ReplyChunk& chunk : exchange.answer.chunks()) {
    const auto place = PlaceOf(chunk);
    if (place && place->length > 0) {
      spots.push_back({.place = *place, .chunk = &chunk});
    }
  }
  std::ranges::sort(spots, {}, [](const Spot& spot) { return std::pair(spot.place.offset, spot.chunk); });
  const Spot* furthest = nullptr;  // Of those so far.
  for (const Spot& spot : spots) {
    if (furthest != nullptr && spot.place.offset - furthest->place.offset < furthest->place.length) {
      const auto [first, second] = std::minmax(furthest->chunk, spot.chunk);
      if (later(*second) && earlier(*first)) {
        return Violated("no byte that an earlier chunk of the reply describes",
                        Text(ContentText(*second), ", after ", ContentText(*first)));
      }
    }
    const bool reaches_further =
        furthest == nullptr || spot.place.offset - furthest->place.offset >= furthest->place.length ||
        spot.place.length > furthest->place.length - (spot.place.offset - furthest->place.offset);
    furthest = reaches_further ? &spot : furthest;
  }
  return Kept();
}

template <std::uint16_t type>
Ruling NoneTwice(const Exchange& exchange) {
  return NoOverlap(exchange, [](const ReplyChunk& chunk) { return chunk.type == type; }, IsAny);
}

Ruling ContentBeforeError(const Exchange& exchange) {
  return NoOverlap(exchange, IsContent, [](const ReplyChunk& chunk) { return chunk.type == ChunkType::kErrorOffset; });
}

// What "many tiny" is, is ours to say: five data chunks of less than a sector, each right after the one before.
Ruling NotManyTiny(const Exchange& exchange) {
  int tiny = 0;
  std::uint64_t end = 0;
  for (const ReplyChunk& chunk : exchange.answer.chunks()) {
    const auto content = chunk.type == ChunkType::kOffsetData ? chunk.content : std::nullopt;
    const bool is_tiny = content && content->length < kSectorBytes;
    tiny = !is_tiny ? 0 : content->offset == end ? tiny + 1 : 1;
    end = content ? content->offset + content->length : 0;
    if (tiny == 5) {
      return Violated("few chunks", Text(exchange.answer.chunks().size(),
                                         " chunks, of which at least 5 adjoining ones have less than 512 bytes"));
    }
  }
  return Kept();
}

Ruling CoversAll(const Exchange& exchange) {
  const auto missing = FirstUncovered(exchange);
  return missing
             ? Violated("content chunks for the whole request", Text("success, but no content for offset ", *missing))
             : Kept();
}

// A READ that must fail, since the export ends before what it asks for.
Ruling FailsPastEnd(const Exchange& exchange) {
  if (!exchange.legality.Has(Reason::kPastEnd)) {
    return Inapplicable("no READ past the end of the export was answered");
  }
  return exchange.answer.has_failed() || !FirstUncovered(exchange)
             ? Kept()
             : Violated("an error chunk", "neither an error chunk nor content for the whole request");
}

Ruling OneContentWithDf(const Exchange& exchange) {
  const auto count = std::ranges::count_if(exchange.answer.chunks(), IsContent);
  return count <= 1 ? Kept()
                    : Violated("at most one with DF", Text(static_cast<std::size_t>(count), " content chunks"));
}

Ruling NoContentWithEoverflow(const Exchange& exchange) {
  if (exchange.answer.error() != NbdError::kEoverflow) {
    return Inapplicable("no READ with DF got NBD_EOVERFLOW");
  }
  const auto content = std::ranges::find_if(exchange.answer.chunks(), IsContent);
  return content == exchange.answer.chunks().end()
             ? Kept()
             : Violated("no content with NBD_EOVERFLOW", Text("NBD_EOVERFLOW together with ", ContentText(*content)));
}

Ruling DfTakes64k(const Exchange& exchange) {
  constexpr std::uint64_t kBytesSupported = 1 << 16;
  const bool overflows = exchange.answer.error() == NbdError::kEoverflow;
  if (exchange.request.length > kBytesSupported || (exchange.answer.has_failed() && !overflows)) {
    return Inapplicable("no READ with DF of up to 65536 bytes succeeded or got NBD_EOVERFLOW");
  }
  return overflows ? Violated("up to 65536 bytes in one chunk",
                              Text("READ of ", exchange.request.length, " bytes with DF: NBD_EOVERFLOW"))
                   : Kept();
}

constexpr std::uint16_t kData = ChunkType::kOffsetData;
constexpr std::uint16_t kHole = ChunkType::kOffsetHole;
constexpr Facts kLegalDf = Fact::kRead | Fact::kLegal | Fact::kDf;

constexpr auto kRules = std::to_array<Rule>({
    {kStructuredOffsetDataLengthMin, Fact::kData, EachOf<kData, DataIsNotEmpty>},
    {kStructuredOffsetHoleLength12, Fact::kHole, EachOf<kHole, HoleHas12Bytes>},
    {kStructuredOffsetHoleNonzero, Fact::kHole, EachOf<kHole, HoleIsNotEmpty>},
    {kStructuredOffsetDataAbsoluteOffset, Fact::kRead | Fact::kData, DataIsAbsolute},
    {kStructuredOffsetDataInBounds, Fact::kRead | Fact::kData, EachOf<kData, IsInBounds>},
    {kStructuredOffsetHoleInBounds, Fact::kRead | Fact::kHole, EachOf<kHole, IsInBounds>},
    {kStructuredOffsetDataNoOverlap, Fact::kData, NoneTwice<kData>},
    {kStructuredOffsetHoleNoOverlap, Fact::kHole, NoneTwice<kHole>},
    {kStructuredReadContentBeforeError, Fact::kErrorOffset | Fact::kContent, ContentBeforeError},
    {kStructuredReadAlign512, Fact::kRead | Fact::kLegal | Fact::kContent, Each<IsContent, IsAligned>},
    {kStructuredChunksMinimise, Fact::kRead | Fact::kChunks, NotManyTiny},
    {kStructuredReadDfEoverflowNoContent, kLegalDf, NoContentWithEoverflow},
    {kStructuredReadDf64k, kLegalDf | Fact::kComplete, DfTakes64k},
    {kStructuredReadDfOneContent, kLegalDf | Fact::kChunks, OneContentWithDf},
    {kStructuredReadFullCoverage, Fact::kRead | Fact::kLegal | Fact::kSucceeded | Fact::kChunks, CoversAll},
    {kStructuredReadErrorChunk, Fact::kRead | Fact::kComplete | Fact::kChunks, FailsPastEnd},
});

}  // namespace

std::span<const Rule> ReadRules() { return kRules; }

}  // namespace nbdspec::engine
