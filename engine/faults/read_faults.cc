// SPDX-License-Identifier: BSD-3-Clause
// Faults of READ: the form of its answer, and the bytes in it.
#include <algorithm>

#include "engine/faults/answer_changes.h"
#include "engine/faults/fault_tables.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine::faults {

namespace {

using enum Family;

// Successful structured answers to reads of some length.
bool OnStructuredRead(const Request& to, const Messages& sent) {
  return to.length > 0 && OnStructuredSuccess(to, sent);
}
bool OnDfRead(const Request& to, const Messages& sent) {
  return Has(to, CommandFlag::kDf) && OnStructuredRead(to, sent);
}

Change ChangesSimpleReads(void (*change)(Bytes& data)) {
  return ChangesAnswer(kRead, [change](Messages& sent) {
    ForEach<SimpleReply>(sent, [change](SimpleReply& reply) { change(reply.data); });
  });
}

// Zeroes in chunks of `bytes`.
Change ReadsInChunksOf(std::uint32_t bytes) {
  return ChangesAnswer(kRead, OnStructuredRead, [bytes](const Request& to, Messages& sent) {
    sent.clear();
    for (std::uint32_t at = 0; at < to.length; at += bytes) {
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
    chunk = HoleChunk(to, data->offset, static_cast<std::uint32_t>(data->data.size()), chunk.flags);
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

std::vector<Fault> ReadFormFaults() {
  return {
      {"server_cannot_read", spec::kBaselineReadServer, Fails(kRead, kEio, OnSuccess)},
      {"server_sends_a_byte_too_many", spec::kTransmissionSimpleReadPayloadLength,
       ChangesSimpleReads([](Bytes& data) { data.push_back(0); })},
      {"server_sends_a_byte_too_few", spec::kTransmissionSimpleReadPayloadLength,
       ChangesSimpleReads([](Bytes& data) { data.resize(data.empty() ? 0 : data.size() - 1); })},
      {"server_sends_data_after_simple_error", spec::kTransmissionSimpleNoPayloadOnError,
       ChangesAnswer(kRead, OnError,
                     [](const Request& to, Messages& sent) { sent.emplace_back(RawBytes{Bytes(to.length)}); })},
      {"server_sends_chunks_though_it_refused", spec::kStructuredOnlyIfNegotiated,
       Answers(
           kRead,
           [](const Request&, const Messages& sent) { return std::holds_alternative<SimpleReply>(sent.front()); },
           [](const Request& to) { return DataChunk(to, to.offset, Bytes(to.length), ChunkFlag::kDone); })},
      {"server_answers_structured_read_simply",
       By(spec::kStructuredReadChunks, spec::kStructuredPayloadNeedsStructured, Session(kRule, 100)),
       Answers(kRead, OnStructuredRead, SimpleZeroes)},
      {"server_answers_df_simply", Fuzz(kBrokenRule, spec::kStructuredReadNoSimple),
       Answers(kRead, OnDfRead, SimpleZeroes)},
      {"server_sends_chunks_of_500_bytes", spec::kStructuredReadAlign512, ReadsInChunksOf(500)},
      {"server_sends_chunks_of_64_bytes", spec::kStructuredChunksMinimise, ReadsInChunksOf(64)},
      {"server_leaves_out_the_last_chunk", spec::kStructuredReadFullCoverage,
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
      {"server_leaves_out_what_it_cannot_read", spec::kStructuredReadErrorChunk, Answers(kRead, OnError, NoneChunk)},
      {"server_ignores_df",
       By(spec::kStructuredReadDfOneContent, Session(kRule, 1500),
          Fuzz(kBrokenRule, spec::kStructuredReadDfOneContent)),
       ChangesAnswer(kRead, OnDfRead, SplitLastByte)},
      {"server_sends_a_hole_with_df", spec::kStructuredReadDfMixedAsData,
       Answers(kRead, OnDfRead,
               [](const Request& to) { return HoleChunk(to, to.offset, to.length, ChunkFlag::kDone); })},
      {"server_sends_only_the_data_with_df", spec::kStructuredReadDfMixedAsData,
       Answers(kRead, OnDfRead, [](const Request& to) { return DataChunk(to, to.offset, {1}, ChunkFlag::kDone); })},
      {"server_overflows_after_content", spec::kStructuredReadDfEoverflowNoContent,
       AddsLast(kRead, OnStructuredRead, [](const Request& to) { return ErrorChunk(to, {.error = kEoverflow}); })},
      {"server_overflows_at_64_kib", spec::kStructuredReadDf64k,
       Fails(kRead, kEoverflow,
             [](const Request& to, const Messages&) { return Has(to, CommandFlag::kDf) && to.length >= 1 << 16; })},
  };
}

std::vector<Fault> ReadDataFaults() {
  return {
      {"server_calls_data_a_hole",
       By(spec::kStructuredOffsetHoleReadsZero, Fuzz(kWrongData, spec::kStructuredOffsetHoleReadsZero)),
       ChangesChunks(kRead, CallAHole)},
      {"server_calls_last_of_several_chunks_a_hole", Exchange(kBits, 15'000),
       ChangesAnswer(kRead, OnSeveralChunks,
                     [](const Request& to, Messages& sent) { CallAHole(to, std::get<Chunk>(sent.back())); })},
      {"server_reads_wrong_byte_after_sectors", By(Session(kEdge, 2000), Exchange(kEdge, 150)),
       ChangesData([](OffsetData& data) { data.data.back() ^= data.data.size() % 512 == 1 ? 1 : 0; })},
      {"server_reads_512_too_early", Fuzz(kWrongData, spec::kTransmissionWriteThenReply),
       ChangesData([](OffsetData& data) {
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
       By(spec::kEflagsMultiConnFlushVisible, spec::kEflagsMultiConnFuaVisible,
          Fuzz(kWrongData, spec::kTransmissionWriteThenReply)),
       KeepsWhatItRead()},
  };
}

}  // namespace nbdspec::engine::faults
