// SPDX-License-Identifier: BSD-3-Clause
// Exchanges for the tests of this folder: right as they come, to be made wrong in one place.

#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/block_status/judge.h"
#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"

namespace nbdspec::engine {

inline constexpr std::uint32_t kAllocationId = 7;
inline constexpr std::uint32_t kDirtyId = 0;  // Of a context with flags of its own.

inline Chunk StatusChunkOf(std::uint32_t id, std::vector<Descriptor> descriptors) {
  return {.type = ChunkType::kBlockStatus,
          .payload = EncodePayload(BlockStatus{.context_id = id, .descriptors = std::move(descriptors)})};
}

inline Chunk ErrorChunkOf(std::uint32_t error) {
  return {.type = ChunkType::kError, .payload = EncodePayload(ErrorPayload{.error = error})};
}

// An export of 1 MiB with base:allocation selected, and `asked` answered with `descriptors`.
inline StatusExchange AnswerTo(ByteRange asked, std::vector<Descriptor> descriptors) {
  return {.asked = asked,
          .export_bytes = 1 << 20,
          .contexts = {{.id = kAllocationId, .name = std::string(kBaseAllocation)}},
          .chunks = {StatusChunkOf(kAllocationId, std::move(descriptors))}};
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
  exchange.block_bytes_min = block_bytes_min;
  return exchange;
}

inline StatusExchange WithExportSize(StatusExchange exchange, std::uint64_t export_bytes) {
  exchange.export_bytes = export_bytes;
  return exchange;
}

inline StatusExchange WithContexts(StatusExchange exchange, std::vector<MetaContext> contexts) {
  exchange.contexts = std::move(contexts);
  return exchange;
}

inline StatusExchange WithSimpleReply(StatusExchange exchange, std::uint32_t error) {
  exchange.chunks.clear();
  exchange.simple_reply = SimpleReply{.error = error};
  return exchange;
}

}  // namespace nbdspec::engine
