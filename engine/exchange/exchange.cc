// SPDX-License-Identifier: BSD-3-Clause
#include "engine/exchange/exchange.h"

#include <algorithm>

#include "engine/wire/fields.h"

namespace nbdspec::engine {
namespace {

constexpr std::size_t kOffsetBytes = 8;
constexpr std::size_t kHoleBytes = 12;

std::optional<ByteRange::OffsetAndLength> ContentOf(std::uint16_t type, ByteView payload) {
  if (type == ChunkType::kOffsetData && payload.size() >= kOffsetBytes) {
    return ByteRange::OffsetAndLength{.offset = GetBigEndian<std::uint64_t>(payload),
                                      .length = payload.size() - kOffsetBytes};
  }
  if (type == ChunkType::kOffsetHole && payload.size() == kHoleBytes) {
    return ByteRange::OffsetAndLength{.offset = GetBigEndian<std::uint64_t>(payload),
                                      .length = GetBigEndian<std::uint32_t>(payload, kOffsetBytes)};
  }
  return {};
}

}  // namespace

void Answer::Clear() {
  constexpr std::size_t kChunksKept = 64;
  constexpr std::size_t kPayloadBytesKept = 4096;
  simple_.reset();
  if (chunk_count_ > kChunksKept) {
    chunks_ = {};
  }
  for (ReplyChunk& chunk : std::span(chunks_).first(std::min(chunk_count_, chunks_.size()))) {
    if (chunk.payload.capacity() > kPayloadBytesKept) {
      chunk.payload = {};
    }
  }
  chunk_count_ = 0;
  error_ = NbdError::kOk;
  has_error_chunk_ = false;
  end_ = End::kNotYet;
}

const ReplyChunk& Answer::AddChunk(std::uint16_t flags, std::uint16_t type, ByteView payload,
                                   std::uint64_t request_offset) {
  if (chunk_count_ == chunks_.size()) {
    chunks_.emplace_back();
  }
  ReplyChunk& chunk = chunks_[chunk_count_++];
  chunk.flags = flags;
  chunk.type = type;
  chunk.request_offset = request_offset;
  chunk.payload_bytes = payload.size();
  chunk.content = ContentOf(type, payload);
  const bool is_status = type == ChunkType::kBlockStatus || type == ChunkType::kBlockStatusExt;
  if (chunk.is_error() || is_status) {
    chunk.payload.assign(payload.begin(), payload.end());
  } else {
    chunk.payload.clear();
  }
  chunk.error = chunk.is_error() ? DecodeErrorPayload(type, payload) : std::nullopt;
  if (chunk.is_error()) {
    has_error_chunk_ = true;
    if (error_ == NbdError::kOk) {
      error_ = chunk.error ? chunk.error->error : NbdError::kEio;
    }
  }
  end_ = chunk.is_done() ? End::kComplete : End::kNotYet;
  return chunk;
}

std::optional<std::uint64_t> FirstUncovered(const Exchange& exchange) {
  const std::uint64_t origin = exchange.request.offset;
  std::vector<ByteRange> ranges;  // Counted from the request's offset: its end may be no 64-bit offset.
  for (const ReplyChunk& chunk : exchange.answer.chunks()) {
    const auto [offset, length] = chunk.content.value_or(ByteRange::OffsetAndLength{});
    const std::uint64_t before = offset < origin ? std::min(origin - offset, length) : 0;
    const std::uint64_t begin = offset < origin ? 0 : offset - origin;
    if (begin < exchange.request.length) {
      ranges.push_back({.begin = begin, .end = begin + std::min(length - before, exchange.request.length - begin)});
    }
  }
  if (!std::ranges::is_sorted(ranges, {}, &ByteRange::begin)) {
    std::ranges::sort(ranges, {}, &ByteRange::begin);
  }
  std::uint64_t covered = 0;
  for (const ByteRange& range : ranges) {
    if (range.begin > covered) {
      break;
    }
    covered = std::max(covered, range.end);
  }
  return covered < exchange.request.length ? std::optional(origin + covered) : std::nullopt;
}

}  // namespace nbdspec::engine
