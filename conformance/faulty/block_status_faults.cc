// SPDX-License-Identifier: BSD-3-Clause
// Faults for block_status_checks.cc.
#include <algorithm>

#include "conformance/faulty/answer_changes.h"
#include "conformance/faulty/fault.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::BlockStatus;
using engine::Chunk;
using engine::ChunkType;
using engine::ClientMessage;
using engine::CommandType;
using engine::ConnectionState;
using engine::NbdError;
using engine::Request;
using engine::ServerMessage;

namespace {

constexpr std::uint16_t kStatus = CommandType::kBlockStatus;

bool IsReqOne(const Request& request) { return (request.flags & engine::CommandFlag::kReqOne) != 0; }

std::uint64_t SumOf(const BlockStatus& status) {
  std::uint64_t sum = 0;
  for (const engine::Descriptor& each : status.descriptors) {
    sum += each.length;
  }
  return sum;
}

// Answers errors with a simple reply, of `error`.
Fault FailsSimply(std::string_view name, std::string_view check, std::uint32_t error) {
  return AnswersWrong(name, check, kStatus, [error](const Request& to, Said& said) {
    if (!Succeeds(said)) {
      said = {engine::SimpleReply{.error = error, .cookie = to.cookie}};
    }
  });
}

Fault DropsAtError(std::string_view name, std::string_view check) {
  return AnswersWrong(name, check, kStatus, [](const Request&, Said& said) {
    if (!Succeeds(said)) {
      said = {engine::HardDisconnect{}};
    }
  });
}

// As nbdkit did until 2025: an extent that ends where the request does is followed by one more.
void AddOneTooMany(const Request& to, BlockStatus& status) {
  if (!IsReqOne(to) && SumOf(status) == to.length) {
    status.descriptors.push_back({.length = 512, .status = status.descriptors.back().status ^ 3U});
  }
}

// Only where it matters most: when an extent of more than one descriptor's worth ends the request.
void AddOneTooManyAtBoundary(const Request& to, BlockStatus& status) {
  if (to.offset + to.length == (1U << 20) + (64U << 10)) {
    AddOneTooMany(to, status);
  }
}

void SplitLast(const Request& to, BlockStatus& status, std::uint32_t first_length) {
  engine::Descriptor& last = status.descriptors.back();
  if (!IsReqOne(to) && last.length > first_length) {
    const engine::Descriptor rest = {.length = last.length - first_length, .status = last.status};
    last.length = first_length;
    status.descriptors.push_back(rest);
  }
}

// Lists from the 128 KiB block that holds the offset, as if the request had begun there.
bool RoundDown(ClientMessage& heard, const ConnectionState&) {
  if (auto* request = std::get_if<Request>(&heard);
      request != nullptr && request->type == kStatus && !IsReqOne(*request)) {
    const std::uint64_t excess = request->offset % (128U << 10);
    request->offset -= excess;
    request->length += static_cast<std::uint32_t>(excess);
  }
  return true;
}

// Serves 8 GiB in words, and counts in 32 bits: what is left of 4 GiB less one byte is never nothing.
void CountIn32Bits(const ClientMessage* heard, const ConnectionState& state, Said& said) {
  if (heard != nullptr && std::holds_alternative<engine::Option>(*heard)) {
    for (ServerMessage& each : said) {
      auto* reply = std::get_if<engine::OptionReply>(&each);
      if (auto info = reply != nullptr ? engine::DecodeInfoExport(reply->payload) : std::nullopt) {
        info->size = std::uint64_t{8} << 30;
        reply->payload = EncodePayload(*info);
      }
    }
  }
  const auto* request = heard != nullptr ? std::get_if<Request>(heard) : nullptr;
  if (request == nullptr || request->type != kStatus) {
    return;
  }
  BlockStatus status = {.context_id = state.contexts.front().id, .descriptors = {{.length = request->length}}};
  if (request->length == 0xffff'ffff) {
    status.descriptors.push_back({.length = 512});
  }
  said = {ChunkFor(*request, ChunkType::kBlockStatus, EncodePayload(status), engine::ChunkFlag::kDone)};
}

std::vector<Fault> StatusChunkFaults() {
  return {
      AnswersWrong("server_answers_status_simply", spec::kBlockStatusReplyStructured, kStatus,
                   [](const Request& to, Said& said) { said = {engine::SimpleReply{.cookie = to.cookie}}; }),
      ChunksWrong("server_cuts_last_descriptor", spec::kBlockStatusChunkLengthForm, kStatus,
                  [](const Request&, Chunk& chunk) { chunk.payload.resize(chunk.payload.size() - 4); }),
      ChunksWrong("server_pads_status_chunk", spec::kBlockStatusChunkLengthForm, kStatus,
                  [](const Request&, Chunk& chunk) { chunk.payload.resize(chunk.payload.size() + 4); }),
      AnswersWrong("server_sends_status_chunk_twice", spec::kBlockStatusChunkExactlyOnePerId, kStatus,
                   [](const Request&, Said& said) {
                     ServerMessage again = said.front();
                     std::get<Chunk>(again).flags = 0;
                     said.insert(said.begin(), again);
                   }),
      AnswersWrong("server_forgets_a_context", spec::kBlockStatusChunkExactlyOnePerId, kStatus,
                   [](const Request&, Said& said) { said.erase(said.begin(), said.end() - 1); }),
      DescribesWrong("server_uses_id_zero_of_list", spec::kBlockStatusChunkKnownId,
                     [](const Request&, BlockStatus& status) { status.context_id = 0; }),
      DescribesWrong("server_sends_chunk_without_descriptors", spec::kBlockStatusAtLeastOne,
                     [](const Request&, BlockStatus& status) { status.descriptors.clear(); }),
      DescribesWrong("server_sends_too_many_descriptors", spec::kBlockStatusMaxExtents,
                     [](const Request& to, BlockStatus& status) {
                       if (to.length == 512) {  // Not always: megabytes take time.
                         status.descriptors.assign(engine::kDescriptorCountMax + 1, {.length = 1});
                       }
                     }),
      ChunksWrong("server_uses_64_bit_chunks_unasked", spec::kExtBlockStatusExtGated, kStatus,
                  [](const Request&, Chunk& chunk) { chunk.type = ChunkType::kBlockStatusExt; }),
      AnswersWrong("server_adds_status_to_reads", spec::kBlockStatusOnlyForCmd, CommandType::kRead,
                   [](const Request& to, Said& said) {
                     said.insert(said.begin(), Chunk{.type = ChunkType::kBlockStatus,
                                                     .cookie = to.cookie,
                                                     .payload = EncodePayload(BlockStatus{
                                                         .context_id = 1, .descriptors = {{.length = to.length}}})});
                   }),
  };
}

std::vector<Fault> DescriptorFaults() {
  return {
      DescribesWrong("server_sets_reserved_status_bit", spec::kBaseAllocationReservedZero,
                     [](const Request&, BlockStatus& status) { status.descriptors.front().status |= 4; }),
      DescribesWrong("server_ignores_req_one", spec::kBlockStatusReqOneSingle,
                     [](const Request& to, BlockStatus& status) {
                       if (IsReqOne(to)) {
                         status.descriptors.push_back({.length = 512});
                       }
                     }),
      DescribesWrong("server_sends_zero_length_descriptor", spec::kBlockStatusExtentNonzeroLength,
                     [](const Request&, BlockStatus& status) { status.descriptors.push_back({.length = 0}); }),
      DescribesWrong("server_sends_zero_length_descriptor_at_end", spec::kBlockStatusExtentNonzeroLength,
                     [](const Request& to, BlockStatus& status) {
                       if (to.offset + to.length == (4U << 20)) {
                         status.descriptors.back().length = 0;
                       }
                     }),
      DescribesWrong("server_sends_whole_extent_with_req_one", spec::kBlockStatusReqOneLengthCap,
                     [](const Request& to, BlockStatus& status) {
                       if (IsReqOne(to)) {
                         status.descriptors.front().length = to.length + 512;
                       }
                     }),
      DescribesWrong("server_sends_one_descriptor_too_many", spec::kBlockStatusSumBeforeLast, AddOneTooMany),
      DescribesWrong("server_sends_one_descriptor_too_many_at_boundary", spec::kBlockStatusSumBeforeLast,
                     AddOneTooManyAtBoundary),
      SaysWrong("server_counts_status_in_32_bits", spec::kSub<spec::kBlockStatusSumBeforeLast, "huge">, CountIn32Bits),
      DescribesWrong("server_describes_past_end_of_export", spec::kBlockStatusExtentWithinExport,
                     [](const Request&, BlockStatus& status) { status.descriptors.back().length += 8U << 20; }),
      DescribesWrong("server_splits_equal_extents", spec::kBlockStatusDistinctStatus,
                     [](const Request& to, BlockStatus& status) { SplitLast(to, status, 512); }),
      DescribesWrong("server_describes_parts_of_sectors", spec::kBlockStatusLengthMultipleOf512,
                     [](const Request& to, BlockStatus& status) { SplitLast(to, status, 100); }),
      DescribesWrong("server_describes_parts_of_blocks", spec::kBlockStatusLengthMultipleOfMinBlock,
                     [](const Request& to, BlockStatus& status) { SplitLast(to, status, 512); }),
      HearsWrong("server_describes_from_block_begin", spec::kBlockStatusExtentConsecutive, RoundDown),
  };
}

std::vector<Fault> RefusalFaults() {
  return {
      FailsSimply("server_succeeds_without_context", spec::kBlockStatusNoContextEinval, NbdError::kOk),
      DropsAtError("server_drops_client_without_context", spec::kBlockStatusNoContextEinval),
      FailsSimply("server_calls_empty_selection_unsupported",
                  spec::kSub<spec::kBlockStatusNoContextEinval, "set-nothing">, NbdError::kEnotsup),
      AnswersWrong("server_drops_client_at_zero_length", spec::kBlockStatusZeroLengthNoDisconnect, kStatus,
                   [](const Request& to, Said& said) {
                     if (to.length == 0) {
                       said = {engine::HardDisconnect{}};
                     }
                   }),
      FailsSimply("server_reports_status_error_simply", spec::kBlockStatusErrorErrorChunk, NbdError::kEinval),
      AnswersWithError("server_calls_status_out_of_bounds_no_space", spec::kBlockStatusOutOfBounds, kStatus,
                       /*of_errors=*/true, NbdError::kEnospc),
      DropsAtError("server_drops_client_at_status_out_of_bounds", spec::kBlockStatusOutOfBounds),
  };
}

}  // namespace

std::vector<Fault> BlockStatusFaults() {
  std::vector<Fault> all;
  for (const auto faults : {StatusChunkFaults, DescriptorFaults, RefusalFaults}) {
    std::ranges::move(faults(), std::back_inserter(all));
  }
  return all;
}

}  // namespace nbdspec::conformance
