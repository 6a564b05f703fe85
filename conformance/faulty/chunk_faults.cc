// SPDX-License-Identifier: BSD-3-Clause
// Faults for chunk_checks.cc.
#include "conformance/faulty/answer_changes.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::Bytes;
using engine::Chunk;
using engine::ChunkType;
using engine::CommandType;
using engine::OffsetData;
using engine::OffsetHole;
using engine::Request;

namespace {

constexpr std::uint16_t kRead = CommandType::kRead;

// A ChunksWrong for OFFSET_DATA.
Fault DataWrong(std::string_view name, std::string_view check,
                std::function<void(const Request& to, OffsetData& data)> change) {
  return ChunksWrong(name, check, kRead, [change = std::move(change)](const Request& to, Chunk& chunk) {
    auto data = chunk.type == ChunkType::kOffsetData ? engine::DecodeOffsetData(chunk.payload) : std::nullopt;
    if (data) {
      change(to, *data);
      chunk.payload = EncodePayload(*data);
    }
  });
}

// A ChunksWrong for OFFSET_HOLE.
Fault HoleWrong(std::string_view name, std::string_view check,
                std::function<void(const Request& to, OffsetHole& hole)> change) {
  return ChunksWrong(name, check, kRead, [change = std::move(change)](const Request& to, Chunk& chunk) {
    auto hole = chunk.type == ChunkType::kOffsetHole ? engine::DecodeOffsetHole(chunk.payload) : std::nullopt;
    if (hole) {
      change(to, *hole);
      chunk.payload = EncodePayload(*hole);
    }
  });
}

// Adds a chunk at the end of each successful answer to `command`.
Fault AddsChunk(std::string_view name, std::string_view check, std::uint16_t command,
                std::function<Chunk(const Request& to)> make) {
  return AnswersWrong(name, check, command, [make = std::move(make)](const Request& to, Said& said) {
    if (Succeeds(said) && std::holds_alternative<Chunk>(said.back())) {
      AddLast(make(to), said);
    }
  });
}

// The last byte of the request as content.
Chunk LastByteAsData(const Request& to) {
  return ChunkFor(to, ChunkType::kOffsetData,
                  EncodePayload(OffsetData{.offset = to.offset + to.length - 1, .data = {7}}));
}
Chunk LastByteAsHole(const Request& to) {
  return ChunkFor(to, ChunkType::kOffsetHole,
                  EncodePayload(OffsetHole{.offset = to.offset + to.length - 1, .length = 1}));
}

}  // namespace

std::vector<Fault> ChunkFaults() {
  return {
      AnswersWrong("server_answers_structured_read_simply_with_data", spec::kStructuredPayloadNeedsStructured, kRead,
                   [](const Request& to, Said& said) {
                     if (Succeeds(said)) {
                       said = {engine::SimpleReply{.cookie = to.cookie, .data = Bytes(to.length)}};
                     }
                   }),
      AnswersWrong("server_refuses_unknown_command_simply", spec::kStructuredErrorsPreferStructured, 0x7fff,
                   [](const Request& to, Said& said) {
                     said = {engine::SimpleReply{.error = engine::NbdError::kEinval, .cookie = to.cookie}};
                   }),
      AnswersWrong("server_sends_chunk_with_foreign_cookie", spec::kStructuredChunksSameCookie, kRead,
                   [](const Request& to, Said& said) {
                     Chunk foreign = LastByteAsData(to);
                     foreign.cookie ^= 1;
                     said.emplace_back(foreign);
                   }),
      AnswersWrong("server_sends_chunk_after_done", spec::kStructuredDoneLast, kRead,
                   [](const Request& to, Said& said) { said.emplace_back(LastByteAsData(to)); }),
      ChunksWrong("server_sends_swapped_chunk_magic", spec::kStructuredChunkMagic, kRead,
                  [](const Request&, Chunk& chunk) { chunk.magic = 0xef338e66; }),
      ChunksWrong("server_gives_chunk_length_too_short", spec::kStructuredChunkLengthAccurate, kRead,
                  [](const Request&, Chunk& chunk) {
                    chunk.length_field = static_cast<std::uint32_t>(chunk.payload.size()) / 2;
                  }),
      ChunksWrong("server_gives_chunk_length_too_long", spec::kStructuredChunkLengthAccurate, kRead,
                  [](const Request&, Chunk& chunk) {
                    chunk.length_field = static_cast<std::uint32_t>(chunk.payload.size()) + 1;
                  }),
      ChunksWrong("server_never_sets_done", spec::kStructuredFlagsDoneSet, kRead,
                  [](const Request&, Chunk& chunk) { chunk.flags = 0; }),
      ChunksWrong("server_sets_unknown_chunk_flag", spec::kStructuredFlagsNoOther, kRead,
                  [](const Request&, Chunk& chunk) { chunk.flags |= 1 << 3; }),
      AddsChunk("server_sends_none_with_payload", spec::kStructuredNoneLengthZero, kRead,
                [](const Request& to) { return ChunkFor(to, ChunkType::kNone, Bytes(4)); }),
      AnswersWrong("server_begins_with_none", spec::kStructuredNoneDone, kRead,
                   [](const Request& to, Said& said) {
                     if (Succeeds(said) && std::holds_alternative<Chunk>(said.back())) {
                       said.insert(said.begin(), ChunkFor(to, ChunkType::kNone, {}));
                     }
                   }),
      AddsChunk("server_sends_data_chunk_without_data", spec::kStructuredOffsetDataLengthMin, kRead,
                [](const Request& to) {
                  return ChunkFor(to, ChunkType::kOffsetData, EncodePayload(OffsetData{.offset = to.offset}));
                }),
      DataWrong("server_sends_data_past_the_request", spec::kStructuredOffsetDataInBounds,
                [](const Request&, OffsetData& data) { data.data.push_back(0); }),
      DataWrong("server_sends_data_at_the_highest_offset", spec::kStructuredOffsetDataInBounds,
                [](const Request&, OffsetData& data) { data.offset = ~std::uint64_t{0}; }),
      AddsChunk("server_sends_a_byte_of_data_twice", spec::kStructuredOffsetDataNoOverlap, kRead, LastByteAsData),
      AddsChunk("server_flushes_with_data", spec::kStructuredOffsetDataReadOnlyReply, CommandType::kFlush,
                [](const Request& to) {
                  return ChunkFor(to, ChunkType::kOffsetData, EncodePayload(OffsetData{.offset = 0, .data = {1}}));
                }),
      DataWrong("server_counts_offsets_from_the_request", spec::kStructuredOffsetDataAbsoluteOffset,
                [](const Request& to, OffsetData& data) { data.offset -= to.offset; }),
      ChunksWrong("server_sends_long_hole_chunk", spec::kStructuredOffsetHoleLength12, kRead,
                  [](const Request&, Chunk& chunk) {
                    if (chunk.type == ChunkType::kOffsetHole) {
                      chunk.payload.resize(16);
                    }
                  }),
      HoleWrong("server_sends_hole_past_the_request", spec::kStructuredOffsetHoleInBounds,
                [](const Request& to, OffsetHole& hole) { hole.length = to.length + 512; }),
      AddsChunk("server_sends_a_byte_as_hole_too", spec::kStructuredOffsetHoleNoOverlap, kRead, LastByteAsHole),
      AddsChunk("server_sends_empty_hole", spec::kStructuredOffsetHoleNonzero, kRead,
                [](const Request& to) {
                  return ChunkFor(to, ChunkType::kOffsetHole, EncodePayload(OffsetHole{.offset = to.offset}));
                }),
      AddsChunk("server_flushes_with_hole", spec::kStructuredOffsetHoleReadOnlyReply, CommandType::kFlush,
                [](const Request& to) {
                  return ChunkFor(to, ChunkType::kOffsetHole, EncodePayload(OffsetHole{.offset = 0, .length = 512}));
                }),
      AnswersWrong("server_sends_content_after_its_error", spec::kStructuredReadContentBeforeError, kRead,
                   [](const Request& to, Said& said) {
                     if (Succeeds(said) && std::holds_alternative<Chunk>(said.back())) {
                       const engine::ErrorPayload error{.error = engine::NbdError::kEio, .offset = to.offset};
                       said.insert(said.begin(), ChunkFor(to, ChunkType::kErrorOffset, EncodePayload(error)));
                     }
                   }),
  };
}

}  // namespace nbdspec::conformance
