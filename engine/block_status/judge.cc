// SPDX-License-Identifier: BSD-3-Clause
// The rules. They divide the wrongs of a reply between them, so that one wrong is one rule's finding: a chunk that
// cannot be taken apart is length-form's alone, a descriptor of length 0 is nonzero-length's and counts nowhere else
// but among the descriptors of REQ_ONE. Per chunk a rule says at most one sentence.

#include "engine/block_status/judge.h"

#include <algorithm>
#include <array>
#include <bit>
#include <map>

#include "engine/block_status/status_chunk.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine {
namespace {

constexpr std::uint32_t kAllocationFlags = AllocationFlag::kHole | AllocationFlag::kZero;
constexpr std::uint32_t kUnit = 512;  // Of length.multiple-of-512.

std::string BytesText(std::uint64_t count) { return std::to_string(count) + (count == 1 ? " byte" : " bytes"); }

std::string AskedText(const StatusExchange& exchange) { return "the request of " + BytesText(exchange.asked.length()); }

// A descriptor in its reply.
struct Place {
  StatusChunk chunk;
  std::size_t index = 0;
  ByteRange range = {};  // In the export.

  [[nodiscard]] Descriptor descriptor() const { return chunk.descriptor(index); }
};

// Appends one breach for each chunk with a descriptor that `is_wrong`; `text` goes on after "descriptor 2 of context
// 0".
template <typename IsWrong, typename Text>
void JudgeDescriptors(const StatusExchange& exchange, std::string_view requirement, IsWrong is_wrong, Text text,
                      std::vector<Breach>& breaches) {
  for (const StatusChunk& chunk : StatusChunksOf(exchange)) {
    std::string first;
    std::size_t wrong_count = 0;
    std::uint64_t begin = exchange.asked.begin;
    for (std::size_t i = 0; i < chunk.descriptor_count(); ++i) {
      const std::uint64_t end = SaturatingAdd(begin, chunk.descriptor(i).length);
      const Place place = {.chunk = chunk, .index = i, .range = {.begin = begin, .end = end}};
      if (is_wrong(place) && ++wrong_count == 1) {
        first = DescriptorText(i, chunk.context_id()) + " " + text(place);
      }
      begin = end;
    }
    if (wrong_count > 0) {
      breaches.push_back({.requirement = requirement, .saw = first + MoreText(wrong_count - 1)});
    }
  }
}

// Whether there is an answer to a request whose answer is specified.
bool IsJudged(const StatusExchange& exchange) {
  return !exchange.asked.empty() && (exchange.simple_reply || !exchange.chunks.empty());
}

// Whether the answer is the error EINVAL, or an error chunk too short to say which.
bool MayBeEinval(const StatusExchange& exchange) {
  if (exchange.simple_reply && exchange.simple_reply->error == NbdError::kEinval) {
    return true;
  }
  return std::ranges::any_of(exchange.chunks, [](const Chunk& chunk) {
    return chunk.is_error() &&
           (chunk.payload.size() < 4 || GetBigEndian<std::uint32_t>(chunk.payload) == NbdError::kEinval);
  });
}

std::string InsteadOfEinval(const StatusExchange& exchange) {
  return IsFailure(exchange) ? "the error is not EINVAL" : "the reply is a success, not EINVAL";
}

// --- The rules, in the order of the catalogue -----------------------------------------------------------------

constexpr std::string_view kNoContextEinval = spec::kBlockStatusNoContextEinval;
void NoContextEinval(const StatusExchange& exchange, std::vector<Breach>& breaches) {
  if (IsJudged(exchange) && exchange.contexts.empty() && !MayBeEinval(exchange)) {
    breaches.push_back(
        {.requirement = kNoContextEinval, .saw = "no context is selected, but " + InsteadOfEinval(exchange)});
  }
}

constexpr std::string_view kReplyStructured = spec::kBlockStatusReplyStructured;
void ReplyStructured(const StatusExchange& exchange, std::vector<Breach>& breaches) {
  if (IsJudged(exchange) && exchange.simple_reply && exchange.simple_reply->error == NbdError::kOk) {
    breaches.push_back({.requirement = kReplyStructured, .saw = "a simple reply says that the request succeeded"});
  }
}

constexpr std::string_view kReservedZero = spec::kBaseAllocationReservedZero;
void ReservedZero(const StatusExchange& exchange, std::vector<Breach>& breaches) {
  JudgeDescriptors(
      exchange, kReservedZero,
      [&](const Place& place) {
        return (place.descriptor().status & ~kAllocationFlags) != 0 &&
               IsBaseAllocation(exchange, place.chunk.context_id());
      },
      [](const Place& place) { return "has status " + std::to_string(place.descriptor().status) + ", above 3"; },
      breaches);
}

constexpr std::string_view kReqOneSingle = spec::kBlockStatusReqOneSingle;
void ReqOneSingle(const StatusExchange& exchange, std::vector<Breach>& breaches) {
  for (const StatusChunk& chunk : StatusChunksOf(exchange)) {
    if (exchange.req_one && chunk.descriptor_count() > 1) {
      breaches.push_back({.requirement = kReqOneSingle,
                          .saw = "context " + std::to_string(chunk.context_id()) + " has " +
                                 std::to_string(chunk.descriptor_count()) + " descriptors; REQ_ONE asks for one"});
    }
  }
}

constexpr std::string_view kMaxPayload = spec::kStructuredChunkMaxPayload;
void MaxPayload(const StatusExchange& exchange, std::vector<Breach>& breaches) {
  for (const StatusChunk& chunk : StatusChunksOf(exchange)) {
    const std::uint64_t size = std::uint64_t{chunk.descriptor_count()} * StatusChunk::kDescriptorBytes;
    if (size > exchange.payload_bytes_max) {
      breaches.push_back({.requirement = kMaxPayload,
                          .saw = "the descriptors of context " + std::to_string(chunk.context_id()) + " are " +
                                 BytesText(size) + "; the maximum payload is " +
                                 std::to_string(exchange.payload_bytes_max)});
    }
  }
}

constexpr std::string_view kLengthForm = spec::kBlockStatusChunkLengthForm;
void LengthForm(const StatusExchange& exchange, std::vector<Breach>& breaches) {
  if (!IsJudged(exchange)) {
    return;
  }
  const bool is_failure = IsFailure(exchange);
  for (const Chunk& chunk : exchange.chunks) {
    // In a success a chunk without descriptors is at-least-one's finding.
    const bool is_empty = is_failure && chunk.payload.size() == StatusChunk::kIdBytes;
    if (chunk.type == ChunkType::kBlockStatus && (is_empty || !StatusChunk::From(chunk))) {
      breaches.push_back(
          {.requirement = kLengthForm,
           .saw = "a status chunk has " + BytesText(chunk.payload.size()) + ", not 4 plus a positive multiple of 8"});
    }
  }
}

constexpr std::string_view kExactlyOnePerId = spec::kBlockStatusChunkExactlyOnePerId;
void ExactlyOnePerId(const StatusExchange& exchange, std::vector<Breach>& breaches) {
  if (!IsJudged(exchange) || exchange.simple_reply || IsFailure(exchange)) {
    return;
  }
  std::map<std::uint32_t, std::size_t> count_of;
  for (const MetaContext& context : exchange.contexts) {
    count_of[context.id] = 0;
  }
  for (const StatusChunk& chunk : StatusChunksOf(exchange)) {
    const auto found = count_of.find(chunk.context_id());
    if (found != count_of.end()) {
      ++found->second;
    }
  }
  // A chunk that cannot be taken apart may be the one that seems to be missing: it is another rule's finding.
  const bool may_be_hidden = std::ranges::any_of(exchange.chunks, [](const Chunk& chunk) {
    return chunk.type == ChunkType::kBlockStatusExt ||
           (chunk.type == ChunkType::kBlockStatus && !StatusChunk::From(chunk));
  });
  for (const auto& [id, count] : count_of) {
    if (count > 1 || (count == 0 && !may_be_hidden)) {
      breaches.push_back({.requirement = kExactlyOnePerId,
                          .saw = "context " + std::to_string(id) + " has " +
                                 (count == 0 ? "no status chunk" : std::to_string(count) + " status chunks")});
    }
  }
}

constexpr std::string_view kKnownId = spec::kBlockStatusChunkKnownId;
void KnownId(const StatusExchange& exchange, std::vector<Breach>& breaches) {
  for (const StatusChunk& chunk : StatusChunksOf(exchange)) {
    const std::uint32_t id = chunk.context_id();
    const bool is_known = std::ranges::any_of(exchange.contexts, [id](const MetaContext& c) { return c.id == id; });
    if (!is_known) {
      breaches.push_back(
          {.requirement = kKnownId, .saw = "a status chunk is for context " + std::to_string(id) + ", never selected"});
    }
  }
}

constexpr std::string_view kNonzeroLength = spec::kBlockStatusExtentNonzeroLength;
void NonzeroLength(const StatusExchange& exchange, std::vector<Breach>& breaches) {
  JudgeDescriptors(
      exchange, kNonzeroLength, [](const Place& place) { return place.descriptor().length == 0; },
      [](const Place&) { return "has length 0"; }, breaches);
}

constexpr std::string_view kReqOneLengthCap = spec::kBlockStatusReqOneLengthCap;
void ReqOneLengthCap(const StatusExchange& exchange, std::vector<Breach>& breaches) {
  JudgeDescriptors(
      exchange, kReqOneLengthCap,
      [&](const Place& place) {
        return exchange.req_one && place.chunk.descriptor_count() == 1 &&
               place.descriptor().length > exchange.asked.length();
      },
      [&](const Place& place) {
        return "has length " + std::to_string(place.descriptor().length) + ", more than " + AskedText(exchange) +
               " with REQ_ONE";
      },
      breaches);
}

constexpr std::string_view kSumBeforeLast = spec::kBlockStatusSumBeforeLast;
void SumBeforeLast(const StatusExchange& exchange, std::vector<Breach>& breaches) {
  if (exchange.req_one) {
    return;
  }
  for (const StatusChunk& chunk : StatusChunksOf(exchange)) {
    std::uint64_t sum = 0;
    std::uint32_t last = 0;
    for (std::size_t i = 0; i < chunk.descriptor_count(); ++i) {
      const std::uint32_t length = chunk.descriptor(i).length;
      if (length > 0) {
        sum = SaturatingAdd(sum, last);
        last = length;
      }
    }
    if (sum >= exchange.asked.length()) {
      breaches.push_back({.requirement = kSumBeforeLast,
                          .saw = "the descriptors of context " + std::to_string(chunk.context_id()) +
                                 " before the last sum to " + std::to_string(sum) + ", not less than " +
                                 AskedText(exchange)});
    }
  }
}

constexpr std::string_view kMaxExtents = spec::kBlockStatusMaxExtents;
void MaxExtents(const StatusExchange& exchange, std::vector<Breach>& breaches) {
  for (const StatusChunk& chunk : StatusChunksOf(exchange)) {
    if (chunk.descriptor_count() > kDescriptorCountMax) {
      breaches.push_back({.requirement = kMaxExtents,
                          .saw = "context " + std::to_string(chunk.context_id()) + " has " +
                                 std::to_string(chunk.descriptor_count()) + " descriptors, more than " +
                                 std::to_string(kDescriptorCountMax)});
    }
  }
}

constexpr std::string_view kAtLeastOne = spec::kBlockStatusAtLeastOne;
void AtLeastOne(const StatusExchange& exchange, std::vector<Breach>& breaches) {
  if (IsFailure(exchange)) {
    return;
  }
  for (const StatusChunk& chunk : StatusChunksOf(exchange)) {
    if (chunk.descriptor_count() == 0) {
      breaches.push_back(
          {.requirement = kAtLeastOne, .saw = "context " + std::to_string(chunk.context_id()) + " has no descriptor"});
    }
  }
}

constexpr std::string_view kWithinExport = spec::kBlockStatusExtentWithinExport;
void WithinExport(const StatusExchange& exchange, std::vector<Breach>& breaches) {
  if (exchange.asked.end > exchange.export_bytes) {
    return;  // Asking for what is outside is out-of-bounds' business.
  }
  JudgeDescriptors(
      exchange, kWithinExport, [&](const Place& place) { return place.range.end > exchange.export_bytes; },
      [&](const Place& place) {
        return "is about " + RangeText(place.range) + ", past the end of the export at " +
               std::to_string(exchange.export_bytes);
      },
      breaches);
}

constexpr std::string_view kDistinctStatus = spec::kBlockStatusDistinctStatus;
void DistinctStatus(const StatusExchange& exchange, std::vector<Breach>& breaches) {
  JudgeDescriptors(
      exchange, kDistinctStatus,
      [](const Place& place) {
        if (place.index == 0) {
          return false;
        }
        const Descriptor before = place.chunk.descriptor(place.index - 1);
        const Descriptor here = place.descriptor();
        // Two that do not fit one length of 32 bits cannot be joined.
        const bool fits = here.length <= std::numeric_limits<std::uint32_t>::max() - before.length;
        return before.length > 0 && here.length > 0 && before.status == here.status && fits;
      },
      [](const Place& place) {
        return "has status " + std::to_string(place.descriptor().status) + " like the one before it";
      },
      breaches);
}

// Both rules about multiples: they exempt the ends of an unaligned request, and the tail of an unaligned export.
void JudgeMultiples(const StatusExchange& exchange, std::string_view requirement, std::uint64_t unit,
                    std::vector<Breach>& breaches) {
  const bool is_aligned = exchange.asked.begin % unit == 0 && exchange.asked.end % unit == 0;
  JudgeDescriptors(
      exchange, requirement,
      [&](const Place& place) {
        const bool is_end = place.index == 0 || place.index + 1 == place.chunk.descriptor_count();
        const bool is_tail = exchange.export_bytes % unit != 0 && place.range.end >= exchange.export_bytes;
        return place.descriptor().length % unit != 0 && (is_aligned || !is_end) && !is_tail;
      },
      [&](const Place& place) {
        return "has length " + std::to_string(place.descriptor().length) + ", no multiple of " + std::to_string(unit);
      },
      breaches);
}

constexpr std::string_view kMultipleOf512 = spec::kBlockStatusLengthMultipleOf512;
void MultipleOf512(const StatusExchange& exchange, std::vector<Breach>& breaches) {
  if (exchange.block_bytes_min < kUnit) {  // From 512 on, multiple-of-min-block asks for all of it.
    JudgeMultiples(exchange, kMultipleOf512, kUnit, breaches);
  }
}

constexpr std::string_view kMultipleOfMinBlock = spec::kBlockStatusLengthMultipleOfMinBlock;
void MultipleOfMinBlock(const StatusExchange& exchange, std::vector<Breach>& breaches) {
  if (std::has_single_bit(exchange.block_bytes_min)) {  // A size that is no power of two is another rule's finding.
    JudgeMultiples(exchange, kMultipleOfMinBlock, exchange.block_bytes_min, breaches);
  }
}

constexpr std::string_view kErrorChunk = spec::kBlockStatusErrorErrorChunk;
void ErrorChunk(const StatusExchange& exchange, std::vector<Breach>& breaches) {
  // A selected context says that structured replies are in force.
  if (IsJudged(exchange) && !exchange.contexts.empty() && exchange.simple_reply &&
      exchange.simple_reply->error != NbdError::kOk) {
    breaches.push_back({.requirement = kErrorChunk,
                        .saw = "error " + std::to_string(exchange.simple_reply->error) +
                               " came in a simple reply, not in an error chunk"});
  }
}

constexpr std::string_view kOutOfBounds = spec::kBlockStatusOutOfBounds;
void OutOfBounds(const StatusExchange& exchange, std::vector<Breach>& breaches) {
  if (IsJudged(exchange) && exchange.asked.end > exchange.export_bytes && !MayBeEinval(exchange)) {
    breaches.push_back({.requirement = kOutOfBounds,
                        .saw = RangeText(exchange.asked) + " reaches past the end of the export at " +
                               std::to_string(exchange.export_bytes) + ", but " + InsteadOfEinval(exchange)});
  }
}

constexpr std::string_view kExtendedGated = spec::kExtBlockStatusExtGated;
void ExtendedGated(const StatusExchange& exchange, std::vector<Breach>& breaches) {
  const bool has_extended =
      std::ranges::any_of(exchange.chunks, [](const Chunk& c) { return c.type == ChunkType::kBlockStatusExt; });
  if (IsJudged(exchange) && has_extended) {
    breaches.push_back({.requirement = kExtendedGated, .saw = "a chunk has type 6, but headers are not extended"});
  }
}

constexpr auto kRules = std::to_array<NamedRule>({
    {kNoContextEinval, NoContextEinval},
    {kReplyStructured, ReplyStructured},
    {kReservedZero, ReservedZero},
    {kReqOneSingle, ReqOneSingle},
    {kMaxPayload, MaxPayload},
    {kLengthForm, LengthForm},
    {kExactlyOnePerId, ExactlyOnePerId},
    {kKnownId, KnownId},
    {kNonzeroLength, NonzeroLength},
    {kReqOneLengthCap, ReqOneLengthCap},
    {kSumBeforeLast, SumBeforeLast},
    {kMaxExtents, MaxExtents},
    {kAtLeastOne, AtLeastOne},
    {kWithinExport, WithinExport},
    {kDistinctStatus, DistinctStatus},
    {kMultipleOf512, MultipleOf512},
    {kMultipleOfMinBlock, MultipleOfMinBlock},
    {kErrorChunk, ErrorChunk},
    {kOutOfBounds, OutOfBounds},
    {kExtendedGated, ExtendedGated},
});

}  // namespace

std::span<const NamedRule> Rules() { return kRules; }

std::vector<Breach> Judge(const StatusExchange& exchange) {
  std::vector<Breach> breaches;
  for (const NamedRule& named : Rules()) {
    named.rule(exchange, breaches);
  }
  return breaches;
}

}  // namespace nbdspec::engine
