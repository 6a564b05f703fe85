// SPDX-License-Identifier: BSD-3-Clause
// Faults for error_chunk_checks.cc.
#include "conformance/faulty/answer_changes.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::Chunk;
using engine::ChunkType;
using engine::CommandType;
using engine::ErrorPayload;
using engine::Request;

namespace {

constexpr std::uint16_t kRead = CommandType::kRead;
constexpr std::size_t kMessageLengthAt = 4;

// A ChunksWrong for NBD_REPLY_TYPE_ERROR in answer to READ.
Fault ErrorWrong(std::string_view name, std::string_view check, std::function<void(Chunk& chunk)> change) {
  return ChunksWrong(name, check, kRead, [change = std::move(change)](const Request&, Chunk& chunk) {
    if (chunk.type == ChunkType::kError) {
      change(chunk);
    }
  });
}

// A ChunksWrong that first makes the error chunk one with the offset at which the request begins.
Fault ErrorOffsetWrong(std::string_view name, std::string_view check,
                       std::function<void(const Request& to, Chunk& chunk)> change) {
  return ChunksWrong(name, check, kRead, [change = std::move(change)](const Request& to, Chunk& chunk) {
    if (chunk.type == ChunkType::kError) {
      chunk.type = ChunkType::kErrorOffset;
      chunk.payload =
          EncodePayload(ErrorPayload{.error = engine::NbdError::kEinval, .message = "oops", .offset = to.offset});
      change(to, chunk);
    }
  });
}

void SetMessageLength(Chunk& chunk, std::uint8_t high, std::uint8_t low) {
  chunk.payload[kMessageLengthAt] = high;
  chunk.payload[kMessageLengthAt + 1] = low;
}

// Adds errors at `offsets`, counted from the request's, to each successful structured READ.
Fault AddsErrorsAt(std::string_view name, std::string_view check, std::vector<std::uint64_t> offsets) {
  return AnswersWrong(name, check, kRead, [offsets = std::move(offsets)](const Request& to, Said& said) {
    if (!Succeeds(said) || !std::holds_alternative<Chunk>(said.back())) {
      return;
    }
    for (const std::uint64_t offset : offsets) {
      const ErrorPayload error{.error = engine::NbdError::kEio, .offset = to.offset + offset};
      AddLast(ChunkFor(to, ChunkType::kErrorOffset, EncodePayload(error)), said);
    }
  });
}

// Adds a chunk to each answer that is an error chunk.
Fault AddsToErrors(std::string_view name, std::string_view check, std::uint16_t type, ErrorPayload error) {
  return AnswersWrong(name, check, kRead, [type, error = std::move(error)](const Request& to, Said& said) {
    if (!Succeeds(said) && std::holds_alternative<Chunk>(said.back())) {
      ErrorPayload added = error;
      added.offset = type == ChunkType::kErrorOffset ? std::optional(to.offset) : std::nullopt;
      AddLast(ChunkFor(to, type, EncodePayload(added)), said);
    }
  });
}

}  // namespace

std::vector<Fault> ErrorChunkFaults() {
  const ErrorPayload plain{.error = engine::NbdError::kEinval};
  return {
      ErrorWrong("server_sends_errors_without_bit_15", spec::kStructuredErrorBit15,
                 [](Chunk& chunk) { chunk.type = 3; }),
      ErrorWrong("server_sends_short_error_of_its_own", spec::kStructuredErrorBit15,
                 [](Chunk& chunk) {
                   chunk.type = ChunkType::kErrorBit + 77;
                   chunk.payload.resize(4);
                 }),
      ErrorWrong("server_cuts_error_message", spec::kStructuredErrorHeaderLength,
                 [](Chunk& chunk) { chunk.payload.pop_back(); }),
      ErrorWrong("server_sends_error_without_message_length", spec::kStructuredErrorLengthMin,
                 [](Chunk& chunk) { chunk.payload.resize(4); }),
      ErrorWrong("server_sends_error_zero", spec::kStructuredErrorNonzero,
                 [](Chunk& chunk) { chunk.payload = EncodePayload(ErrorPayload{}); }),
      ErrorWrong("server_sends_message_length_in_host_order", spec::kStructuredErrorMessageFits,
                 [](Chunk& chunk) { SetMessageLength(chunk, chunk.payload[kMessageLengthAt + 1], 0); }),
      ErrorWrong("server_sends_endless_error_message", spec::kStructuredErrorMessageCap,
                 [](Chunk& chunk) {
                   chunk.payload = EncodePayload(ErrorPayload{.error = 22, .message = std::string(4097, 'e')});
                 }),
      ErrorWrong("server_counts_terminator_of_message", spec::kStructuredErrorMessageDisplayable,
                 [](Chunk& chunk) {
                   chunk.payload = EncodePayload(ErrorPayload{.error = 22, .message = std::string("no\0", 3)});
                 }),
      ErrorWrong(
          "server_sends_error_message_in_latin_1", spec::kStructuredErrorMessageDisplayable,
          [](Chunk& chunk) { chunk.payload = EncodePayload(ErrorPayload{.error = 22, .message = "\xe9t\xe9"}); }),
      AddsToErrors("server_sends_generic_error_twice", spec::kStructuredErrorOnce, ChunkType::kError, plain),
      ErrorOffsetWrong("server_sends_error_offset_without_offset", spec::kStructuredErrorOffsetLengthMin,
                       [](const Request&, Chunk& chunk) { chunk.payload.resize(10); }),
      ErrorOffsetWrong("server_sends_error_offset_with_error_zero", spec::kStructuredErrorOffsetNonzero,
                       [](const Request&, Chunk& chunk) { chunk.payload[3] = 0; }),
      ErrorOffsetWrong("server_lets_message_run_into_offset", spec::kStructuredErrorOffsetMessageFits,
                       [](const Request&, Chunk& chunk) { SetMessageLength(chunk, 0, 5); }),
      ErrorOffsetWrong("server_sends_error_offset_past_the_request", spec::kStructuredErrorOffsetInBounds,
                       [](const Request& to, Chunk& chunk) {
                         chunk.payload = EncodePayload(
                             ErrorPayload{.error = engine::NbdError::kEinval, .offset = to.offset + to.length + 1});
                       }),
      AddsErrorsAt("server_repeats_error_offset", spec::kStructuredErrorOffsetDistinct, {0, 0}),
      AddsErrorsAt("server_sends_two_errors_in_one_chunk", spec::kStructuredErrorOffsetOnePerChunk, {0, 5}),
      AnswersWrong("server_flushes_with_error_offset", spec::kStructuredErrorOffsetCommands, CommandType::kFlush,
                   [](const Request& to, Said& said) {
                     const ErrorPayload error{.error = engine::NbdError::kEio, .offset = 0};
                     said = {ChunkFor(to, ChunkType::kErrorOffset, EncodePayload(error), engine::ChunkFlag::kDone)};
                   }),
      AddsToErrors("server_mixes_errors_with_and_without_offset", spec::kStructuredReadNoMixedErrors,
                   ChunkType::kErrorOffset, plain),
  };
}

}  // namespace nbdspec::conformance
