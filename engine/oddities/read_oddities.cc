// SPDX-License-Identifier: BSD-3-Clause
// Oddities of READ: its answer in other pieces, in another order, or with other words around the same bytes.
#include "engine/oddities/oddity_tables.h"

namespace nbdspec::engine::oddities {

namespace {

using Chunks = std::vector<Chunk>;

// Answers that have content and no error.
bool OnContent(const Request& to, const Messages& sent) { return to.length > 0 && OnStructuredSuccess(to, sent); }

// That may be in pieces, too.
bool OnFreeContent(const Request& to, const Messages& sent) {
  return !Has(to, CommandFlag::kDf) && OnContent(to, sent);
}

// The true answer's chunks are changed, one after the other, to those that `make` appends; the last one has DONE.
Change Remakes(When when, std::function<void(const Request& to, const Chunk& chunk, Messages& made)> make) {
  return ChangesAnswer(kRead, std::move(when), [=](const Request& to, Messages& sent) {
    Messages made;
    ForEach<Chunk>(sent, [&](const Chunk& chunk) { make(to, chunk, made); });
    sent = std::move(made);
    MoveDoneToLast(sent);
  });
}

// Data in pieces that begin and end at multiples of `bytes`; at most kPiecesMax pieces, the last one the longest.
Change CutsDataAt(std::uint64_t bytes) {
  constexpr std::size_t kPiecesMax = 300;
  return Remakes(OnFreeContent, [bytes](const Request& to, const Chunk& chunk, Messages& made) {
    const auto data = chunk.type == ChunkType::kOffsetData ? DecodePayload<OffsetData>(chunk.payload) : std::nullopt;
    if (!data) {
      made.emplace_back(chunk);
      return;
    }
    const std::uint64_t end = data->offset + data->data.size();
    std::size_t pieces = 0;
    for (std::uint64_t at = data->offset; at < end;) {
      const std::uint64_t next = ++pieces < kPiecesMax ? std::min(end, (at / bytes + 1) * bytes) : end;
      const auto from = data->data.begin() + static_cast<std::ptrdiff_t>(at - data->offset);
      made.emplace_back(DataChunk(to, at, Bytes(from, from + static_cast<std::ptrdiff_t>(next - at))));
      at = next;
    }
  });
}

Change ReversesContent() { return Both(CutsDataAt(4096), ReversesAnswer(kRead, OnFreeContent)); }

// Holes as the zeroes that they are.
Change SendsZeroesAsData() {
  return Remakes(OnContent, [](const Request& to, const Chunk& chunk, Messages& made) {
    const auto hole = chunk.type == ChunkType::kOffsetHole ? DecodePayload<OffsetHole>(chunk.payload) : std::nullopt;
    made.emplace_back(hole ? DataChunk(to, hole->offset, Bytes(hole->length)) : chunk);
  });
}

// Data that is zero as a hole: DF allows that, too, for it is one chunk.
Change SendsZeroesAsHoles() {
  return Remakes(OnContent, [](const Request& to, const Chunk& chunk, Messages& made) {
    const auto data = chunk.type == ChunkType::kOffsetData ? DecodePayload<OffsetData>(chunk.payload) : std::nullopt;
    const bool is_zero =
        data && !data->data.empty() && std::ranges::all_of(data->data, [](std::uint8_t byte) { return byte == 0; });
    made.emplace_back(is_zero ? HoleChunk(to, data->offset, data->data.size()) : chunk);
  });
}

// One byte of each hole is data.
Change SplitsHoles() {
  return Remakes(OnFreeContent, [](const Request& to, const Chunk& chunk, Messages& made) {
    const auto hole = chunk.type == ChunkType::kOffsetHole ? DecodePayload<OffsetHole>(chunk.payload) : std::nullopt;
    if (!hole || hole->length < 1024) {
      made.emplace_back(chunk);
      return;
    }
    made.emplace_back(HoleChunk(to, hole->offset, 512));
    made.emplace_back(DataChunk(to, hole->offset + 512, Bytes(1)));
    made.emplace_back(HoleChunk(to, hole->offset + 513, hole->length - 513));
  });
}

Change EndsByItself() {
  return AddsLast(kRead, [](const Request& to) { return NoneChunk(to); });
}

Chunk ErrorAt(const Request& to, std::uint64_t offset) {
  return ErrorChunk(to, {.error = kEinval, .message = "beyond the end", .offset = offset});
}

bool OnFailedStructuredRead(const Request& to, const Messages& sent) {
  const bool has_range = to.length > 0 && !to.announces_payload();
  return has_range && OnError(to, sent) && std::holds_alternative<Chunk>(sent.back());
}

// The error of a READ that fails, in chunks that `make` gives; the last one has DONE.
Change FailsIn(std::function<Chunks(const Request& to, const Chunk& error)> make) {
  return ChangesAnswer(kRead, OnFailedStructuredRead, [=](const Request& to, Messages& sent) {
    const Chunks made = make(to, std::get<Chunk>(sent.back()));
    sent.assign(made.begin(), made.end());
    MoveDoneToLast(sent);
  });
}

Change SaysOfErrors(const std::string& text) {
  return ChangesChunks(kAnyCommand, [text](Chunk& chunk) {
    auto error = chunk.is_error() ? DecodeErrorPayload(chunk.type, chunk.payload) : std::nullopt;
    if (error) {
      error->message = text;
      chunk.payload = EncodePayload(*error);
    }
  });
}

// Ends the connection after a READ whose simple reply was an error.
Change LeavesAfterSimpleError() {
  return ChangesAnswer(kRead, OnError, [](Messages& sent) {
    if (std::holds_alternative<SimpleReply>(sent.back())) {
      sent.emplace_back(HardDisconnect{});
    }
  });
}

}  // namespace

std::vector<Oddity> ReadOddities() {
  return {
      {"server_splits_reads_into_sectors", kStructuredReadSplit, CutsDataAt(512)},
      {"server_splits_reads_into_odd_pieces", kStructuredReadSplit, CutsDataAt(4093)},
      {"server_splits_reads_into_single_bytes", kStructuredReadSplit, CutsDataAt(1)},
      {"server_reads_from_the_end", kStructuredChunksAnyOrder, ReversesContent()},
      {"server_sends_zeroes_as_data", kStructuredChunksMultiple, SendsZeroesAsData()},
      {"server_sends_zeroes_as_holes", kStructuredChunksMultiple, SendsZeroesAsHoles()},
      {"server_splits_holes", kStructuredReadSplit, SplitsHoles()},
      {"server_ends_reads_by_themselves", kStructuredReadDfExtraChunks, EndsByItself()},
      {"server_says_where_reads_fail", kStructuredErrorOffsetMultiple,
       FailsIn([](auto& to, auto&) { return Chunks{ErrorAt(to, to.offset)}; })},
      {"server_says_twice_where_reads_fail", kStructuredErrorOffsetMultiple,
       FailsIn([](auto& to, auto&) { return Chunks{ErrorAt(to, to.offset), ErrorAt(to, EndOf(to) - 1)}; })},
      {"server_fails_reads_and_ends_them_by_themselves", kStructuredReadErrorWithoutContent,
       FailsIn([](auto& to, auto& error) { return Chunks{error, NoneChunk(to)}; })},
      {"server_sends_content_and_fails", kStructuredReadDeferError, FailsIn([](auto& to, auto& error) {
         return to.length > 1 && EndOf(to) < to.length ? Chunks{error} : Chunks{DataChunk(to, to.offset, {1}), error};
       })},
      {"server_fails_and_sends_content", kStructuredReadContentAfterError,
       FailsIn([](auto& to, auto& error) { return Chunks{error, DataChunk(to, to.offset, {1})}; })},
      {"server_gives_no_reasons", kStructuredErrorAnyRequest, SaysOfErrors("")},
      {"server_gives_long_reasons", kStructuredErrorAnyRequest, SaysOfErrors(std::string(250, 'w'))},
      {"server_gives_reasons_in_greek", kStructuredErrorAnyRequest, SaysOfErrors("\u03bf\u03c7\u03b9")},
      {.name = "server_leaves_after_a_simple_error",
       .permitted_by = kTransmissionReadSimpleErrorHard,
       .change = LeavesAfterSimpleError(),
       .server = [](ServerOptions& server) { server.structured_replies = false; }},
      {"server_reads_little_with_df", kStructuredReadDfEoverflow,
       Fails(kRead, kEoverflow, [](auto& to, auto&) { return Has(to, CommandFlag::kDf) && to.length > (1 << 16); })},
  };
}

}  // namespace nbdspec::engine::oddities
