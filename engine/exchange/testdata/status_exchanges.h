// SPDX-License-Identifier: BSD-3-Clause
// Exchanges for the tests of the rules about BLOCK_STATUS: right as they come, to be made wrong in one place.

#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/exchange/status.h"
#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"

namespace nbdspec::engine {

inline constexpr std::uint32_t kAllocationId = 7;
inline constexpr std::uint32_t kDirtyId = 0;  // Of a context with flags of its own.

inline Chunk StatusChunkOf(std::uint32_t id, std::vector<Descriptor> descriptors) {
  return {.type = ChunkType::kBlockStatus,
          .payload = EncodePayload(BlockStatus{.context_id = id, .descriptors = std::move(descriptors)})};
}

inline Chunk ExtendedChunkOf(std::uint32_t id, std::vector<Descriptor> descriptors,
                             std::optional<std::uint32_t> count_field = {}) {
  return {.form = HeaderForm::kExtended,
          .type = ChunkType::kBlockStatusExt,
          .payload = EncodePayload(BlockStatus{.form = HeaderForm::kExtended,
                                               .context_id = id,
                                               .descriptors = std::move(descriptors),
                                               .count_field = count_field})};
}

inline Chunk ErrorChunkOf(std::uint32_t error) {
  return {.type = ChunkType::kError, .payload = EncodePayload(ErrorPayload{.error = error})};
}

inline StatusExchange WithReqOne(StatusExchange exchange) {
  exchange.req_one = true;
  return exchange;
}

inline StatusExchange WithChunks(StatusExchange exchange, std::vector<Chunk> chunks) {
  exchange.chunks = std::move(chunks);
  return exchange;
}

inline StatusExchange WithBlockSize(StatusExchange exchange, std::uint32_t block_bytes_min) {
  exchange.agreed.block_size.minimum = block_bytes_min;
  return exchange;
}

inline StatusExchange WithExportSize(StatusExchange exchange, std::uint64_t export_bytes) {
  exchange.agreed.info.size = export_bytes;
  return exchange;
}

inline StatusExchange WithContexts(StatusExchange exchange, std::vector<MetaContext> contexts) {
  exchange.agreed.contexts = std::move(contexts);
  return exchange;
}

inline StatusExchange WithSimpleReply(StatusExchange exchange, std::uint32_t error) {
  exchange.chunks.clear();
  exchange.simple_reply = SimpleReply{.error = error};
  return exchange;
}

// An export of 1 MiB with base:allocation selected, and `asked` answered with `descriptors`.
inline StatusExchange AnswerTo(ByteRange asked, std::vector<Descriptor> descriptors) {
  const StatusExchange exchange = {.asked = asked, .chunks = {StatusChunkOf(kAllocationId, std::move(descriptors))}};
  return WithContexts(WithExportSize(exchange, 1 << 20), {{.id = kAllocationId, .name = std::string(kBaseAllocation)}});
}

// The same in the extended form.
inline StatusExchange ExtendedAnswerTo(ByteRange asked, std::vector<Descriptor> descriptors) {
  StatusExchange exchange = AnswerTo(asked, {});
  exchange.agreed.headers = HeaderForm::kExtended;
  exchange.agreed.info.flags = TransmissionFlag::kBlockStatusPayload;
  return WithChunks(std::move(exchange), {ExtendedChunkOf(kAllocationId, std::move(descriptors))});
}

inline StatusExchange WithQuery(StatusExchange exchange, std::vector<std::uint32_t> context_ids) {
  exchange.context_ids = std::move(context_ids);
  return exchange;
}

// Every violation of the rules about BLOCK_STATUS.
inline std::vector<Violation> Judge(const StatusExchange& exchange) {
  return FindViolations(exchange.AsExchange(), StatusRules());
}

// The claim that `truth` refutes; none, or one.
inline std::vector<Violation> JudgeZeroClaims(const StatusExchange& exchange, const ExtentMap& truth) {
  const auto violation = FindRefutedClaim(exchange.AsExchange(), truth);
  return violation ? std::vector{*violation} : std::vector<Violation>{};
}

inline std::vector<ByteRange> ClaimedZeroes(const StatusExchange& exchange, ByteRange within) {
  return ZeroClaimsOf(exchange.AsExchange(), within);
}

}  // namespace nbdspec::engine
