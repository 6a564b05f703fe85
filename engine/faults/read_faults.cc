// SPDX-License-Identifier: BSD-3-Clause
// Faults of chunks (headers, content, order), and of READ: the form of its answer, and the bytes in it.
#include "engine/faults/fault_tables.h"

namespace nbdspec::engine::faults {

namespace {

Chunk LastByteAsData(const Request& to) { return DataChunk(to, EndOf(to) - 1, {7}); }
Chunk LastByteAsHole(const Request& to) { return HoleChunk(to, EndOf(to) - 1, 1); }

// The length field is `change` of the right length.
Change AnnouncesLength(std::uint32_t (*change)(std::uint32_t length)) {
  return ChangesChunks(
      kRead, [change](Chunk& chunk) { chunk.length_field = change(static_cast<std::uint32_t>(chunk.payload.size())); });
}

// Successful structured answers to reads of some length.
bool OnStructuredRead(const Request& to, const Messages& sent) {
  return to.length > 0 && OnStructuredSuccess(to, sent);
}
bool OnDfRead(const Request& to, const Messages& sent) {
  return Has(to, CommandFlag::kDf) && OnStructuredRead(to, sent);
}

// Zeroes in chunks of `bytes`.
Change ReadsInChunksOf(std::uint64_t bytes) {
  return ChangesAnswer(kRead, OnStructuredRead, [bytes](const Request& to, Messages& sent) {
    sent.clear();
    for (std::uint64_t at = 0; at < to.length; at += bytes) {
      sent.emplace_back(DataChunk(to, to.offset + at, Bytes(std::min(bytes, to.length - at))));
    }
    SetDoneOnLast(sent);
  });
}

bool OnSeveralChunks(const Request& to, const Messages& sent) {
  return sent.size() > 1 && OnStructuredSuccess(to, sent);
}

void CallAHole(const Request& to, Chunk& chunk) {
  const auto data = chunk.type == ChunkType::kOffsetData ? DecodePayload<OffsetData>(chunk.payload) : std::nullopt;
  if (data) {
    chunk = HoleChunk(to, data->offset, data->data.size(), chunk.flags);
  }
}

// Answers DF with two chunks of data.
void SplitLastByte(const Request& to, Messages& sent) {
  auto data = DecodePayload<OffsetData>(std::get<Chunk>(sent.back()).payload);
  if (sent.size() == 1 && data && data->data.size() > 1) {
    const std::uint8_t last = data->data.back();
    data->data.pop_back();
    sent = {ChunkOf(to, ChunkType::kOffsetData, *data), DataChunk(to, EndOf(to) - 1, {last}, ChunkFlag::kDone)};
  }
}

// Reads again what the connection read first in the same range, though another connection wrote and flushed meanwhile.
Change KeepsWhatItRead() {
  return ChangesAnswer(kRead, OnSuccess,
                       [kept = std::vector<std::pair<Request, Messages>>()](const Request& to, Messages& sent) mutable {
                         const auto first = std::ranges::find_if(kept, [&](const auto& each) {
                           return each.first.offset == to.offset && each.first.length == to.length;
                         });
                         if (first != kept.end()) {
                           sent = first->second;
                           ForEachReply(sent, [&](auto& reply) { reply.cookie = to.cookie; });
                         } else {
                           kept.emplace_back(to, sent);
                         }
                       });
}

}  // namespace

std::vector<Fault> ReadFaults() {
  return {
      {"server_sends_chunk_with_foreign_cookie", kStructuredChunksSameCookie,
       ChangesAnswer(kRead,
                     [](const Request& to, Messages& sent) {
                       Chunk foreign = LastByteAsData(to);
                       foreign.cookie ^= 1;
                       sent.emplace_back(foreign);
                     })},
      {"server_sends_chunk_after_done", kStructuredDoneLast,
       ChangesAnswer(kRead, [](const Request& to, Messages& sent) { sent.emplace_back(LastByteAsData(to)); })},
      {"server_sets_done_on_first_chunk", By(Session(kOrder, 250), Exchange(kOrder, 1500)),
       ChangesAnswer(kRead, OnMoreThan(1),
                     [](Messages& sent) { std::get<Chunk>(sent.front()).flags = ChunkFlag::kDone; })},
      {"server_never_sets_done", By(kStructuredFlagsDoneSet, kStructuredReadChunks),
       ChangesChunks(kRead, [](Chunk& chunk) { chunk.flags = 0; })},
      {"server_never_sets_done_on_long_reads", Fuzz(kHang, kTransmissionReplyPerRequest),
       ChangesChunks(kRead,
                     [](const Request& to, Chunk& chunk) { chunk.flags = to.length <= 4096 ? 0 : chunk.flags; })},
      {"server_sends_swapped_chunk_magic", kStructuredChunkMagic,
       ChangesChunks(kRead, [](Chunk& chunk) { chunk.magic = 0xef338e66; })},
      {"server_gives_chunk_length_too_short", kStructuredChunkLengthAccurate,
       AnnouncesLength([](std::uint32_t length) { return length / 2; })},
      {"server_gives_chunk_length_too_long", kStructuredChunkLengthAccurate,
       AnnouncesLength([](std::uint32_t length) { return length + 1; })},
      {"server_sets_unknown_chunk_flag", kStructuredFlagsNoOther,
       ChangesChunks(kRead, [](Chunk& chunk) { chunk.flags |= 1 << 3; })},
      {"server_sets_unknown_chunk_flag_for_trim", Fuzz(kBrokenRule, kStructuredFlagsNoOther),
       ChangesChunks(kTrim, [](Chunk& chunk) { chunk.flags |= 2; })},
      {"server_sends_none_with_payload", kStructuredNoneLengthZero,
       AddsLast(kRead, [](const Request& to) { return ChunkFor(to, ChunkType::kNone, Bytes(4)); })},
      {"server_begins_with_none", kStructuredNoneDone,
       AddsFirst(kRead, [](const Request& to) { return ChunkFor(to); })},
      {"server_sends_data_chunk_without_data", kStructuredOffsetDataLengthMin,
       AddsLast(kRead, [](const Request& to) { return DataChunk(to, to.offset, {}); })},
      {"server_sends_data_past_the_request", kStructuredOffsetDataInBounds,
       ChangesData([](OffsetData& data) { data.data.push_back(0); })},
      {"server_sends_data_at_the_highest_offset", kStructuredOffsetDataInBounds,
       ChangesData([](OffsetData& data) { data.offset = ~std::uint64_t{0}; })},
      {"server_sends_a_byte_of_data_twice", kStructuredOffsetDataNoOverlap, AddsLast(kRead, LastByteAsData)},
      {"server_sends_a_byte_less_of_data", Fuzz(kBrokenRule, kStructuredReadFullCoverage),
       ChangesData([](const Request& to, OffsetData& data) {
         if (to.length <= 4096) {  // Not yet when all is read at the beginning.
           data.data.pop_back();
         }
       })},
      {"server_flushes_with_data", kStructuredOffsetDataReadOnlyReply,
       AddsLast(kFlush, [](const Request& to) { return DataChunk(to, 0, {1}); })},
      {"server_writes_with_data", Fuzz(kBrokenRule, kStructuredOffsetDataReadOnlyReply),
       AddsFirst(kWrite, [](const Request& to) { return DataChunk(to, to.offset, {0}); })},
      {"server_counts_offsets_from_the_request", kStructuredOffsetDataAbsoluteOffset,
       ChangesData([](const Request& to, OffsetData& data) { data.offset -= to.offset; })},
      {"server_sends_long_hole_chunk", kStructuredOffsetHoleLength12,
       ChangesChunks(kRead,
                     [](Chunk& chunk) {
                       chunk.payload.resize(chunk.type == ChunkType::kOffsetHole ? 16 : chunk.payload.size());
                     })},
      {"server_sends_hole_past_the_request", kStructuredOffsetHoleInBounds,
       ChangesPayloads<OffsetHole>(
           kRead, ChunkType::kOffsetHole,
           [](const Request& to, OffsetHole& hole) { hole.length = static_cast<std::uint32_t>(to.length) + 512; })},
      {"server_sends_a_byte_as_hole_too", kStructuredOffsetHoleNoOverlap, AddsLast(kRead, LastByteAsHole)},
      {"server_sends_empty_hole", kStructuredOffsetHoleNonzero,
       AddsLast(kRead, [](const Request& to) { return HoleChunk(to, to.offset, 0); })},
      {"server_flushes_with_hole", kStructuredOffsetHoleReadOnlyReply,
       AddsLast(kFlush, [](const Request& to) { return HoleChunk(to, 0, 512); })},
      {"server_sends_content_after_its_error", kStructuredReadContentBeforeError,
       AddsFirst(kRead, [](const Request& to) { return ErrorChunk(to, {.error = kEio, .offset = to.offset}); })},
      {"server_knows_df_and_does_not_offer_it", kEflagsDfSetIfSupported, ChangesFlags(0, TransmissionFlag::kSendDf)},
      {"server_cannot_read", kBaselineReadServer, Fails(kRead, kEio, OnSuccess)},
      {"server_sends_a_byte_too_many", kTransmissionSimpleReadPayloadLength,
       ChangesSimpleReplies([](SimpleReply& reply) { reply.data.push_back(0); })},
      {"server_sends_a_byte_too_few", kTransmissionSimpleReadPayloadLength,
       ChangesSimpleReplies(
           [](SimpleReply& reply) { reply.data.resize(reply.data.empty() ? 0 : reply.data.size() - 1); })},
      {"server_sends_data_after_simple_error", kTransmissionSimpleNoPayloadOnError,
       ChangesAnswer(kRead, OnError,
                     [](const Request& to, Messages& sent) { sent.emplace_back(RawBytes{Bytes(to.length)}); })},
      {"server_sends_chunks_though_it_refused", kStructuredOnlyIfNegotiated,
       Answers(
           kRead,
           [](const Request&, const Messages& sent) { return std::holds_alternative<SimpleReply>(sent.front()); },
           [](const Request& to) { return DataChunk(to, to.offset, Bytes(to.length), ChunkFlag::kDone); })},
      {"server_answers_structured_read_simply",
       By(kStructuredReadChunks, kStructuredPayloadNeedsStructured, Session(kRule, 100)),
       Answers(kRead, OnStructuredRead, SimpleZeroes)},
      {"server_answers_df_simply", Fuzz(kBrokenRule, kStructuredReadNoSimple), Answers(kRead, OnDfRead, SimpleZeroes)},
      {"server_sends_chunks_of_500_bytes", kStructuredReadAlign512, ReadsInChunksOf(500)},
      {"server_sends_chunks_of_64_bytes", kStructuredChunksMinimise, ReadsInChunksOf(64)},
      {"server_leaves_out_the_last_chunk", kStructuredReadFullCoverage,
       ChangesAnswer(kRead, OnStructuredRead, [](const Request& to, Messages& sent) { sent.back() = NoneChunk(to); })},
      {"server_leaves_out_the_first_chunk", Session(kLost, 550),
       ChangesAnswer(kRead, OnMoreThan(2), [](Messages& sent) { sent.erase(sent.begin()); })},
      {"server_leaves_out_holes", Exchange(kBits, 350),
       ChangesAnswer(kRead,
                     [](Messages& sent) {
                       std::erase_if(sent, [](const ServerMessage& each) {
                         const auto* chunk = std::get_if<Chunk>(&each);
                         return chunk != nullptr && chunk->type == ChunkType::kOffsetHole && !chunk->is_done();
                       });
                     })},
      {"server_leaves_out_what_it_cannot_read", kStructuredReadErrorChunk, Answers(kRead, OnError, NoneChunk)},
      {"server_ignores_df",
       By(kStructuredReadDfOneContent, Session(kRule, 1500), Fuzz(kBrokenRule, kStructuredReadDfOneContent)),
       ChangesAnswer(kRead, OnDfRead, SplitLastByte)},
      {"server_sends_a_hole_with_df", kStructuredReadDfMixedAsData,
       Answers(kRead, OnDfRead,
               [](const Request& to) { return HoleChunk(to, to.offset, to.length, ChunkFlag::kDone); })},
      {"server_sends_only_the_data_with_df", kStructuredReadDfMixedAsData,
       Answers(kRead, OnDfRead, [](const Request& to) { return DataChunk(to, to.offset, {1}, ChunkFlag::kDone); })},
      {"server_overflows_after_content", kStructuredReadDfEoverflowNoContent,
       AddsLast(
           kRead, [](const Request& to) { return ErrorChunk(to, {.error = kEoverflow}); }, OnStructuredRead)},
      {"server_overflows_at_64_kib", kStructuredReadDf64k,
       Fails(kRead, kEoverflow,
             [](const Request& to, const Messages&) { return Has(to, CommandFlag::kDf) && to.length >= 1 << 16; })},
      {"server_calls_data_a_hole", By(kStructuredOffsetHoleReadsZero, Fuzz(kWrongData, kStructuredOffsetHoleReadsZero)),
       ChangesChunks(kRead, CallAHole)},
      {"server_calls_last_of_several_chunks_a_hole", Exchange(kBits, 15'000),
       ChangesAnswer(kRead, OnSeveralChunks,
                     [](const Request& to, Messages& sent) { CallAHole(to, std::get<Chunk>(sent.back())); })},
      {"server_reads_wrong_byte_after_sectors", By(Session(kEdge, 2000), Exchange(kEdge, 150)),
       ChangesData([](OffsetData& data) { data.data.back() ^= data.data.size() % 512 == 1 ? 1 : 0; })},
      {"server_reads_512_too_early", Fuzz(kWrongData, kTransmissionWriteThenReply), ChangesData([](OffsetData& data) {
         if (data.data.size() > 512) {
           std::rotate(data.data.begin(), data.data.end() - 512, data.data.end());
         }
       })},
      {"server_reads_what_stood_before_the_last_write", Exchange(kStale, 2500),
       ChangesData([](const Request& to, OffsetData& data, const Connection& on) {
         if (on.previous.type == kWrite && on.previous.length > 0 && on.previous.length == on.overwritten.size() &&
             on.previous.offset == to.offset && data.offset == to.offset && data.data.size() >= on.overwritten.size()) {
           std::ranges::copy(on.overwritten, data.data.begin());
         }
       })},
      {"server_caches_reads_for_each_connection",
       By(kEflagsMultiConnFlushVisible, kEflagsMultiConnFuaVisible, Fuzz(kWrongData, kTransmissionWriteThenReply)),
       KeepsWhatItRead()},
  };
}

}  // namespace nbdspec::engine::faults
