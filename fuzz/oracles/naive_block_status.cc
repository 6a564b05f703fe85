// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/oracles/naive_block_status.h"

#include <algorithm>

#include "engine/spec/ids.h"

namespace nbdspec::fuzz {
namespace {

__extension__ using Wide = unsigned __int128;

using engine::ByteRange;
using engine::Descriptor;
using engine::Extent;
using engine::StatusExchange;

// A status chunk, taken apart.
struct Taken {
  std::uint32_t id = 0;
  std::vector<Descriptor> descriptors = {};
};

std::uint32_t Read32(const engine::Bytes& bytes, std::size_t at) {
  return std::uint32_t{bytes[at]} << 24 | std::uint32_t{bytes[at + 1]} << 16 | std::uint32_t{bytes[at + 2]} << 8 |
         std::uint32_t{bytes[at + 3]};
}

// "length MUST be 4 + (a positive integer multiple of 8)"
bool HasLengthForm(const engine::Bytes& payload) { return payload.size() >= 12 && (payload.size() - 4) % 8 == 0; }

// The chunks that can be taken apart, those without a descriptor among them.
std::vector<Taken> TakeApart(const StatusExchange& exchange) {
  std::vector<Taken> all;
  for (const engine::Chunk& chunk : exchange.chunks) {
    if (chunk.type != 5 || (chunk.payload.size() != 4 && !HasLengthForm(chunk.payload))) {
      continue;
    }
    Taken taken = {.id = Read32(chunk.payload, 0)};
    for (std::size_t at = 4; at < chunk.payload.size(); at += 8) {
      taken.descriptors.push_back({.length = Read32(chunk.payload, at), .status = Read32(chunk.payload, at + 4)});
    }
    all.push_back(taken);
  }
  return all;
}

bool HasError(const StatusExchange& exchange) {
  bool has_error = exchange.simple_reply && exchange.simple_reply->error != 0;
  for (const engine::Chunk& chunk : exchange.chunks) {
    has_error = has_error || chunk.type >= 0x8000;
  }
  return has_error;
}

void JudgeOne(const StatusExchange& exchange, const Taken& taken, std::set<std::string>& violated) {
  const Wide asked = exchange.asked.end - exchange.asked.begin;
  const std::vector<Descriptor>& descriptors = taken.descriptors;
  // "A server MUST NOT send a chunk where any variable-length portion [...] is larger than any advertised maximum"
  if (Wide{descriptors.size()} * 8 > exchange.agreed.block_size.maximum) {
    violated.emplace(spec::kStructuredChunkMaxPayload);
  }
  // "one status chunk per negotiated metadata context ID": no others.
  if (std::ranges::find(exchange.agreed.contexts, taken.id, &engine::MetaContext::id) ==
      exchange.agreed.contexts.end()) {
    violated.emplace(spec::kBlockStatusChunkKnownId);
  }
  std::vector<Wide> lengths;
  for (const Descriptor& descriptor : descriptors) {
    // "length of the extent to which the status below applies (unsigned, MUST be nonzero)"
    if (descriptor.length == 0) {
      violated.emplace(spec::kBlockStatusExtentNonzeroLength);
    } else {
      lengths.push_back(descriptor.length);
    }
  }
  // "so long as at least one extent is returned"; "a positive integer multiple" also where nothing succeeded.
  if (descriptors.empty()) {
    violated.emplace(HasError(exchange) ? spec::kBlockStatusChunkLengthForm : spec::kBlockStatusAtLeastOne);
  }
  if (exchange.req_one) {
    // "every reply chunk MUST contain exactly one descriptor, and that descriptor MUST NOT exceed the length"
    if (descriptors.size() > 1) {
      violated.emplace(spec::kBlockStatusReqOneSingle);
    } else if (descriptors.size() == 1 && descriptors[0].length > asked) {
      violated.emplace(spec::kBlockStatusReqOneLengthCap);
    }
  } else if (!lengths.empty()) {
    // "the sum of the length fields of the first N-1 extents (if any) MUST be less than the requested length"
    Wide sum = 0;
    for (std::size_t i = 0; i + 1 < lengths.size(); ++i) {
      sum += lengths[i];
    }
    if (sum >= asked) {
      violated.emplace(spec::kBlockStatusSumBeforeLast);
    }
  }
}

// "exactly one status chunk per negotiated metadata context ID"
void JudgeOnePerId(const StatusExchange& exchange, std::set<std::string>& violated) {
  bool may_be_hidden = false;
  for (const engine::Chunk& chunk : exchange.chunks) {
    const bool is_taken = chunk.payload.size() == 4 || HasLengthForm(chunk.payload);
    may_be_hidden = may_be_hidden || chunk.type == 6 || (chunk.type == 5 && !is_taken);
  }
  for (const engine::MetaContext& context : exchange.agreed.contexts) {
    int count = 0;
    for (const Taken& taken : TakeApart(exchange)) {
      count += taken.id == context.id ? 1 : 0;
    }
    if (count > 1 || (count == 0 && !may_be_hidden)) {
      violated.emplace(spec::kBlockStatusChunkExactlyOnePerId);
    }
  }
}

// What is wrong with single chunks, whatever the request asks, and with chunks that no BLOCK_STATUS is answered with.
void JudgeChunks(const StatusExchange& exchange, std::set<std::string>& violated) {
  int data_chunks = 0;
  int error_chunks = 0;
  for (const engine::Chunk& chunk : exchange.chunks) {
    const engine::Bytes& payload = chunk.payload;
    switch (chunk.type) {
      case 0:
        // "MUST always be used with the NBD_REPLY_FLAG_DONE bit set"; "length MUST be 0"
        if ((chunk.flags & 1) == 0) {
          violated.emplace(spec::kStructuredNoneDone);
        }
        if (!payload.empty()) {
          violated.emplace(spec::kStructuredNoneLengthZero);
        }
        break;
      case 1:
        // "valid as a reply to NBD_CMD_READ"; "any data MUST NOT overlap"; all of these begin at 0.
        violated.emplace(spec::kStructuredOffsetDataReadOnlyReply);
        if (payload.size() < 9) {
          violated.emplace(spec::kStructuredOffsetDataLengthMin);
        } else if (++data_chunks > 1) {
          violated.emplace(spec::kStructuredOffsetDataNoOverlap);
        }
        if (payload.size() > 8 + exchange.agreed.block_size.maximum && exchange.asked.begin != exchange.asked.end) {
          violated.emplace(spec::kStructuredChunkMaxPayload);
        }
        break;
      case 2:
        // "valid as a reply to NBD_CMD_READ"; "length (MUST be exactly 12)"; "hole size (MUST be nonzero)"
        violated.emplace(spec::kStructuredOffsetHoleReadOnlyReply);
        if (payload.size() != 12) {
          violated.emplace(spec::kStructuredOffsetHoleLength12);
        } else if (Read32(payload, 8) == 0) {
          violated.emplace(spec::kStructuredOffsetHoleNonzero);
        }
        break;
      case 5:
      case 6:  // Known; where it may not be, ext.block-status-ext.gated says so.
        break;
      case 0x8001:
        // "MUST NOT be sent more than once"
        if (++error_chunks > 1) {
          violated.emplace(spec::kStructuredErrorOnce);
        }
        break;
      case 0x8002:
        // "length MUST be at least 14"
        if (payload.size() < 14) {
          violated.emplace(spec::kStructuredErrorOffsetLengthMin);
          violated.emplace(spec::kStructuredErrorHeaderLength);
        }
        break;
      default:
        // A client can make nothing of any other type; only errors may be unknown to it.
        violated.emplace(spec::kStructuredErrorBit15);
    }
  }
}

// Sorted offsets between which nothing about blocks changes: edges of the extents, moved out to edges of blocks.
std::set<std::uint64_t> BlockEdges(const std::vector<Extent>& truth, ByteRange asked, std::uint64_t alignment) {
  std::set<std::uint64_t> edges = {asked.begin, asked.end};
  for (const Extent& extent : truth) {
    const std::uint64_t below = extent.range.begin / alignment * alignment;
    for (const std::uint64_t edge : {below, below + alignment}) {
      if (asked.Contains(edge)) {
        edges.insert(edge);
      }
    }
  }
  return edges;
}

// What is true of every byte of every block that [begin, end) touches.
std::uint32_t StatusOf(const std::vector<Extent>& truth, ByteRange range, std::uint64_t alignment) {
  const std::uint64_t begin = range.begin / alignment * alignment;
  const Wide end = (Wide{range.end} + alignment - 1) / alignment * alignment;
  std::uint32_t status = 3;
  for (const Extent& extent : truth) {
    if (extent.range.begin < end && extent.range.end > begin) {
      status &= static_cast<std::uint32_t>(extent.type);
    }
  }
  return status;
}

}  // namespace

std::vector<Descriptor> NaiveDescriptors(const std::vector<Extent>& truth, ByteRange asked,
                                         const engine::BuildOptions& options) {
  struct Run {
    std::uint64_t length;
    std::uint32_t status;
  };
  std::vector<Run> runs;
  const std::set<std::uint64_t> edges = BlockEdges(truth, asked, options.alignment);
  for (auto here = edges.begin(); std::next(here) != edges.end(); ++here) {
    const ByteRange range = {.begin = *here, .end = *std::next(here)};
    const std::uint32_t status = StatusOf(truth, range, options.alignment);
    if (runs.empty() || runs.back().status != status) {
      runs.push_back({.length = 0, .status = status});
    }
    runs.back().length += range.length();
  }
  const std::size_t count_max = options.req_one ? 1 : options.descriptor_count_max;
  const std::uint64_t unit = std::max<std::uint64_t>(options.alignment, 512);
  std::vector<Descriptor> descriptors;
  for (Run run : runs) {
    while (run.length > 0 && descriptors.size() < count_max) {
      // Pieces end at a multiple, as the last before 2^32.
      const std::uint64_t length = run.length < std::uint64_t{1} << 32 ? run.length : (std::uint64_t{1} << 32) - unit;
      descriptors.push_back({.length = static_cast<std::uint32_t>(length), .status = run.status});
      run.length -= length;
    }
  }
  return descriptors;
}

std::set<std::string> NaiveViolations(const StatusExchange& exchange) {
  std::set<std::string> violated;
  JudgeChunks(exchange, violated);
  // "the behavior of a server on such a request is unspecified"
  if (exchange.asked.begin == exchange.asked.end) {
    return violated;
  }
  for (const engine::Chunk& chunk : exchange.chunks) {
    if (chunk.type == 5 && chunk.payload.size() != 4 && !HasLengthForm(chunk.payload)) {
      violated.emplace(spec::kBlockStatusChunkLengthForm);
    }
    if (chunk.type == 6) {
      violated.emplace(spec::kExtBlockStatusExtGated);
    }
  }
  for (const Taken& taken : TakeApart(exchange)) {
    JudgeOne(exchange, taken, violated);
  }
  // "For a successful return, the server MUST use a structured reply"
  if (exchange.simple_reply) {
    if (exchange.simple_reply->error == 0) {
      violated.emplace(spec::kBlockStatusReplyStructured);
    }
  } else if (!exchange.chunks.empty() && !HasError(exchange)) {
    JudgeOnePerId(exchange, violated);
  }
  return violated;
}

std::vector<ByteRange> NaiveClaimedZeroes(const StatusExchange& exchange, ByteRange within) {
  std::vector<ByteRange> claims;
  if (exchange.asked.begin == exchange.asked.end || HasError(exchange)) {
    return {};
  }
  for (const Taken& taken : TakeApart(exchange)) {
    Wide begin = exchange.asked.begin;
    bool is_allocation = false;
    for (const engine::MetaContext& context : exchange.agreed.contexts) {
      is_allocation = is_allocation || (context.id == taken.id && context.name == "base:allocation");
    }
    for (const Descriptor& descriptor : taken.descriptors) {
      const Wide end = begin + descriptor.length;
      const Wide low = std::max<Wide>(begin, within.begin);
      const Wide high = std::min<Wide>(end, within.end);
      if (is_allocation && (descriptor.status & 2) != 0 && low < high) {
        claims.push_back({.begin = static_cast<std::uint64_t>(low), .end = static_cast<std::uint64_t>(high)});
      }
      begin = end;
    }
  }
  std::vector<ByteRange> zeroes;
  std::ranges::sort(claims, {}, &ByteRange::begin);
  for (const ByteRange claim : claims) {
    if (zeroes.empty() || claim.begin > zeroes.back().end) {
      zeroes.push_back(claim);
    }
    zeroes.back().end = std::max(zeroes.back().end, claim.end);
  }
  return zeroes;
}

}  // namespace nbdspec::fuzz
