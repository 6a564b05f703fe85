// SPDX-License-Identifier: BSD-3-Clause
// Faults for read_checks.cc.
#include "conformance/faulty/answer_changes.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::Bytes;
using engine::Chunk;
using engine::ChunkFlag;
using engine::ChunkType;
using engine::CommandFlag;
using engine::CommandType;
using engine::NbdError;
using engine::OffsetData;
using engine::Request;
using engine::SimpleReply;

namespace {

constexpr std::uint16_t kRead = CommandType::kRead;

bool HasDf(const Request& request) { return (request.flags & CommandFlag::kDf) != 0; }

bool IsStructured(const Said& said) { return std::holds_alternative<Chunk>(said.front()); }

Chunk Data(const Request& to, std::uint64_t offset, Bytes data, std::uint16_t flags = 0) {
  return ChunkFor(to, ChunkType::kOffsetData, EncodePayload(OffsetData{.offset = offset, .data = std::move(data)}),
                  flags);
}

// A READ of zeroes in chunks of `length` bytes.
Said InPieces(const Request& to, std::uint32_t length) {
  Said said;
  for (std::uint32_t at = 0; at < to.length; at += length) {
    said.emplace_back(Data(to, to.offset + at, Bytes(std::min(length, to.length - at))));
  }
  std::get<Chunk>(said.back()).flags = ChunkFlag::kDone;
  return said;
}

// An AnswersWrong for each successful structured READ of some length.
Fault StructuredReadWrong(std::string_view name, std::string_view check,
                          std::function<void(const Request& to, Said& said)> change) {
  return AnswersWrong(name, check, kRead, [change = std::move(change)](const Request& to, Said& said) {
    if (to.length > 0 && Succeeds(said) && IsStructured(said)) {
      change(to, said);
    }
  });
}

// An AnswersWrong for each simple reply to READ.
Fault SimpleReadWrong(std::string_view name, std::string_view check, std::function<void(SimpleReply& reply)> change) {
  return AnswersWrong(name, check, kRead, [change = std::move(change)](const Request&, Said& said) {
    if (auto* reply = std::get_if<SimpleReply>(&said.front())) {
      change(*reply);
    }
  });
}

// A server that ends the connection on a request of no length.
Fault HangsUpOnNothing(std::string_view name, std::string_view check) {
  return AnswersWrong(name, check, kRead, [](const Request& to, Said& said) {
    if (to.length == 0) {
      said = {engine::HardDisconnect{}};
    }
  });
}

// A server that answers structured as soon as it was asked for structured replies, even wrongly.
Fault AnswersStructuredUnasked() {
  return AnswersWrong("server_sends_chunks_though_it_refused", spec::kStructuredOnlyIfNegotiated, kRead,
                      [](const Request& to, Said& said) {
                        if (!IsStructured(said)) {
                          said = {Data(to, to.offset, Bytes(to.length), ChunkFlag::kDone)};
                        }
                      });
}

// Advertises a maximum payload of 4096 bytes and ignores it.
Fault IgnoresItsMaximum() {
  return RepliesWrong("server_sends_more_than_its_maximum_payload", spec::kStructuredChunkMaxPayload,
                      engine::OptionType::kGo, [](const engine::Option&, engine::OptionReply& reply) {
                        if (auto size = engine::DecodeInfoBlockSize(reply.payload)) {
                          size->maximum = 4096;
                          reply.payload = EncodePayload(*size);
                        }
                      });
}

}  // namespace

std::vector<Fault> ReadFaults() {
  return {
      AnswersWithError("server_cannot_read", spec::kBaselineReadServer, kRead, /*of_errors=*/false, NbdError::kEio),
      SimpleReadWrong("server_sends_a_byte_too_many", spec::kTransmissionSimpleReadPayloadLength,
                      [](SimpleReply& reply) { reply.data.push_back(0); }),
      SimpleReadWrong("server_sends_a_byte_too_few", spec::kTransmissionSimpleReadPayloadLength,
                      [](SimpleReply& reply) { reply.data.resize(reply.data.empty() ? 0 : reply.data.size() - 1); }),
      AnswersWrong("server_sends_data_after_simple_error", spec::kTransmissionSimpleNoPayloadOnError, kRead,
                   [](const Request& to, Said& said) {
                     if (!Succeeds(said)) {
                       said.emplace_back(engine::RawBytes{Bytes(to.length)});
                     }
                   }),
      AnswersWithError("server_fails_simple_read_with_errno_of_its_host", spec::kTransmissionReadSimpleErrorCode, kRead,
                       /*of_errors=*/true, 61),
      HangsUpOnNothing("server_hangs_up_on_empty_read", spec::kTransmissionReadZeroNoDisconnect),
      AnswersStructuredUnasked(),
      AnswersWrong("server_fails_structured_read_simply", spec::kStructuredReadNoSimple, kRead,
                   [](const Request& to, Said& said) {
                     if (!Succeeds(said)) {
                       said = {SimpleReply{.error = NbdError::kEinval, .cookie = to.cookie}};
                     }
                   }),
      StructuredReadWrong("server_never_ends_its_chunks", spec::kStructuredReadChunks,
                          [](const Request&, Said& said) { std::get<Chunk>(said.back()).flags = 0; }),
      StructuredReadWrong(
          "server_answers_structured_read_simply", spec::kStructuredReadChunks,
          [](const Request& to, Said& said) { said = {SimpleReply{.cookie = to.cookie, .data = Bytes(to.length)}}; }),
      StructuredReadWrong("server_sends_chunks_of_500_bytes", spec::kStructuredReadAlign512,
                          [](const Request& to, Said& said) { said = InPieces(to, 500); }),
      StructuredReadWrong("server_sends_chunks_of_64_bytes", spec::kStructuredChunksMinimise,
                          [](const Request& to, Said& said) { said = InPieces(to, 64); }),
      IgnoresItsMaximum(),
      StructuredReadWrong("server_leaves_out_the_last_chunk", spec::kStructuredReadFullCoverage,
                          [](const Request& to, Said& said) {
                            said.pop_back();
                            said.emplace_back(ChunkFor(to, ChunkType::kNone, {}, ChunkFlag::kDone));
                          }),
      AnswersWrong("server_leaves_out_what_it_cannot_read", spec::kStructuredReadErrorChunk, kRead,
                   [](const Request& to, Said& said) {
                     if (!Succeeds(said)) {
                       said = {ChunkFor(to, ChunkType::kNone, {}, ChunkFlag::kDone)};
                     }
                   }),
      StructuredReadWrong("server_calls_data_a_hole", spec::kStructuredOffsetHoleReadsZero,
                          [](const Request& to, Said& said) {
                            const engine::OffsetHole hole{.offset = to.offset, .length = to.length};
                            said = {ChunkFor(to, ChunkType::kOffsetHole, EncodePayload(hole), ChunkFlag::kDone)};
                          }),
      StructuredReadWrong("server_ignores_df", spec::kStructuredReadDfOneContent,
                          [](const Request& to, Said& said) { said = InPieces(to, 4096); }),
      StructuredReadWrong("server_sends_a_hole_with_df", spec::kStructuredReadDfMixedAsData,
                          [](const Request& to, Said& said) {
                            if (HasDf(to)) {
                              const engine::OffsetHole hole{.offset = to.offset, .length = to.length};
                              said = {ChunkFor(to, ChunkType::kOffsetHole, EncodePayload(hole), ChunkFlag::kDone)};
                            }
                          }),
      StructuredReadWrong("server_sends_only_the_data_with_df", spec::kStructuredReadDfMixedAsData,
                          [](const Request& to, Said& said) {
                            if (HasDf(to)) {
                              said = {Data(to, to.offset, {1}, ChunkFlag::kDone)};
                            }
                          }),
      StructuredReadWrong("server_overflows_after_content", spec::kStructuredReadDfEoverflowNoContent,
                          [](const Request& to, Said& said) {
                            const engine::ErrorPayload error{.error = NbdError::kEoverflow};
                            AddLast(ChunkFor(to, ChunkType::kError, EncodePayload(error)), said);
                          }),
      AnswersWrong("server_overflows_at_64_kib", spec::kStructuredReadDf64k, kRead,
                   [](const Request& to, Said& said) {
                     if (HasDf(to) && to.length >= 1 << 16) {
                       AnswerWith(to, NbdError::kEoverflow, said);
                     }
                   }),
  };
}

}  // namespace nbdspec::conformance
