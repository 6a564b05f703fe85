// SPDX-License-Identifier: BSD-3-Clause
// Faults of chunks: their headers, what content they hold, and in which order they come.
#include "engine/faults/answer_changes.h"
#include "engine/faults/fault_tables.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine::faults {

namespace {

using enum Family;

Chunk LastByteAsData(const Request& to) { return DataChunk(to, EndOf(to) - 1, {7}); }
Chunk LastByteAsHole(const Request& to) { return HoleChunk(to, EndOf(to) - 1, 1); }

// The length field is `change` of the right length.
Change AnnouncesLength(std::uint32_t (*change)(std::uint32_t length)) {
  return ChangesChunks(
      kRead, [change](Chunk& chunk) { chunk.length_field = change(static_cast<std::uint32_t>(chunk.payload.size())); });
}

}  // namespace

std::vector<Fault> ChunkFaults() {
  return {
      {"server_sends_chunk_with_foreign_cookie", spec::kStructuredChunksSameCookie,
       ChangesAnswer(kRead,
                     [](const Request& to, Messages& sent) {
                       Chunk foreign = LastByteAsData(to);
                       foreign.cookie ^= 1;
                       sent.emplace_back(foreign);
                     })},
      {"server_sends_chunk_after_done", spec::kStructuredDoneLast,
       ChangesAnswer(kRead, [](const Request& to, Messages& sent) { sent.emplace_back(LastByteAsData(to)); })},
      {"server_sets_done_on_first_chunk", By(Session(kOrder, 250), Exchange(kOrder, 1500)),
       ChangesAnswer(kRead, OnMoreThan(1),
                     [](Messages& sent) { std::get<Chunk>(sent.front()).flags = ChunkFlag::kDone; })},
      {"server_never_sets_done", By(spec::kStructuredFlagsDoneSet, spec::kStructuredReadChunks),
       ChangesChunks(kRead, [](Chunk& chunk) { chunk.flags = 0; })},
      {"server_never_sets_done_on_long_reads", Fuzz(kHang, spec::kTransmissionReplyPerRequest),
       ChangesChunks(kRead,
                     [](const Request& to, Chunk& chunk) { chunk.flags = to.length <= 4096 ? 0 : chunk.flags; })},
      {"server_sends_swapped_chunk_magic", spec::kStructuredChunkMagic,
       ChangesChunks(kRead, [](Chunk& chunk) { chunk.magic = 0xef338e66; })},
      {"server_gives_chunk_length_too_short", spec::kStructuredChunkLengthAccurate,
       AnnouncesLength([](std::uint32_t length) { return length / 2; })},
      {"server_gives_chunk_length_too_long", spec::kStructuredChunkLengthAccurate,
       AnnouncesLength([](std::uint32_t length) { return length + 1; })},
      {"server_sets_unknown_chunk_flag", spec::kStructuredFlagsNoOther,
       ChangesChunks(kRead, [](Chunk& chunk) { chunk.flags |= 1 << 3; })},
      {"server_sets_unknown_chunk_flag_for_trim", Fuzz(kBrokenRule, spec::kStructuredFlagsNoOther),
       ChangesChunks(kTrim, [](Chunk& chunk) { chunk.flags |= 2; })},
      {"server_sends_none_with_payload", spec::kStructuredNoneLengthZero,
       AddsLast(kRead, [](const Request& to) { return Chunk{.cookie = to.cookie, .payload = Bytes(4)}; })},
      {"server_begins_with_none", spec::kStructuredNoneDone,
       AddsFirst(kRead, [](const Request& to) { return Chunk{.cookie = to.cookie}; })},
      {"server_sends_data_chunk_without_data", spec::kStructuredOffsetDataLengthMin,
       AddsLast(kRead, [](const Request& to) { return DataChunk(to, to.offset, {}); })},
      {"server_sends_data_past_the_request", spec::kStructuredOffsetDataInBounds,
       ChangesData([](OffsetData& data) { data.data.push_back(0); })},
      {"server_sends_data_at_the_highest_offset", spec::kStructuredOffsetDataInBounds,
       ChangesData([](OffsetData& data) { data.offset = ~std::uint64_t{0}; })},
      {"server_sends_a_byte_of_data_twice", spec::kStructuredOffsetDataNoOverlap, AddsLast(kRead, LastByteAsData)},
      {"server_sends_a_byte_less_of_data", Fuzz(kBrokenRule, spec::kStructuredReadFullCoverage),
       ChangesData([](const Request& to, OffsetData& data) {
         if (to.length <= 4096) {  // Not yet when all is read at the beginning.
           data.data.pop_back();
         }
       })},
      {"server_flushes_with_data", spec::kStructuredOffsetDataReadOnlyReply,
       AddsLast(kFlush, [](const Request& to) { return DataChunk(to, 0, {1}); })},
      {"server_writes_with_data", Fuzz(kBrokenRule, spec::kStructuredOffsetDataReadOnlyReply),
       AddsFirst(kWrite, [](const Request& to) { return DataChunk(to, to.offset, {0}); })},
      {"server_counts_offsets_from_the_request", spec::kStructuredOffsetDataAbsoluteOffset,
       ChangesData([](const Request& to, OffsetData& data) { data.offset -= to.offset; })},
      {"server_sends_long_hole_chunk", spec::kStructuredOffsetHoleLength12,
       ChangesChunks(kRead,
                     [](Chunk& chunk) {
                       chunk.payload.resize(chunk.type == ChunkType::kOffsetHole ? 16 : chunk.payload.size());
                     })},
      {"server_sends_hole_past_the_request", spec::kStructuredOffsetHoleInBounds,
       ChangesHoles([](const Request& to, OffsetHole& hole) { hole.length = to.length + 512; })},
      {"server_sends_a_byte_as_hole_too", spec::kStructuredOffsetHoleNoOverlap, AddsLast(kRead, LastByteAsHole)},
      {"server_sends_empty_hole", spec::kStructuredOffsetHoleNonzero,
       AddsLast(kRead, [](const Request& to) { return HoleChunk(to, to.offset, 0); })},
      {"server_flushes_with_hole", spec::kStructuredOffsetHoleReadOnlyReply,
       AddsLast(kFlush, [](const Request& to) { return HoleChunk(to, 0, 512); })},
      {"server_sends_content_after_its_error", spec::kStructuredReadContentBeforeError,
       AddsFirst(kRead, [](const Request& to) { return ErrorChunk(to, {.error = kEio, .offset = to.offset}); })},
  };
}

}  // namespace nbdspec::engine::faults
