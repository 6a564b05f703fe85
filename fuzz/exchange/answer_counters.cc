// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/exchange/answer_counters.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>

#include "engine/wire/fields.h"
#include "engine/wire/payloads.h"
#include "engine/wire/protocol.h"
#include "fuzz/inputs/random.h"

namespace nbdspec::fuzz {
namespace {

using engine::Chunk;
using engine::Negotiated;
using engine::Request;

// Large for that two kinds seldom meet. Volatile, or the stores would be optimised away.
__attribute__((section("__libfuzzer_extra_counters"), used)) volatile std::uint8_t kinds_seen[1 << 12];

enum Domain : std::uint64_t { kOption, kRequest, kMessage, kStatus };

void Count(std::initializer_list<std::uint64_t> facts) { kinds_seen[Mix(facts) % std::size(kinds_seen)] = 1; }

// The context, how many descriptors, and the statuses of the first and the last.
void CountStatus(const Request& request, const Chunk& chunk) {
  constexpr std::size_t kIdBytes = 4;
  const std::size_t head_bytes = engine::BlockStatus::HeadBytes(chunk.form);
  const std::size_t bytes_each = engine::BlockStatus::DescriptorBytes(chunk.form);
  const engine::ByteView payload(chunk.payload);
  if (payload.size() < head_bytes + bytes_each) {
    return;
  }
  const std::size_t count = (payload.size() - head_bytes) / bytes_each;
  Count({kStatus, request.flags, payload[kIdBytes - 1], std::min<std::size_t>(count, 16),
         payload[head_bytes + bytes_each - 1], payload.back()});
}

}  // namespace

void CountReplies(const engine::OptionReplies& replies, const Negotiated& state) {
  for (const engine::OptionReply& reply : replies) {
    Count({kOption, reply.option, reply.type, state.structured_replies, state.contexts.size(), replies.size()});
  }
}

void CountAnswer(const Request& request, const Negotiated& state, const ReceivedAnswer& answer) {
  std::uint64_t error = answer.simple ? answer.simple->error : engine::NbdError::kOk;
  std::uint64_t before = 0;
  for (const Chunk& chunk : answer.chunks) {
    Count({kMessage, request.type, before, chunk.type, chunk.flags});
    before = chunk.type;
    if (chunk.type == engine::BlockStatus::ChunkTypeOf(chunk.form)) {
      CountStatus(request, chunk);
    } else if (chunk.is_error() && chunk.payload.size() >= sizeof(std::uint32_t)) {
      error = engine::GetBigEndian<std::uint32_t>(chunk.payload);
    }
  }
  Count({kRequest, request.type, request.flags, error, state.structured_replies, state.contexts.size(),
         static_cast<std::uint64_t>(std::bit_width(answer.chunks.size()))});
}

}  // namespace nbdspec::fuzz
