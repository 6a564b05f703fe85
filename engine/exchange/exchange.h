// SPDX-License-Identifier: BSD-3-Clause
// Exchange: one request of the transmission phase and everything that answered it, as the rules about answers see it.
//
// An answer is kept as a digest that is filled message by message and used again: whoever receives megabytes of data
// need not copy them. Whether the data is right is judged by those who know what is true of the export.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/base/bytes.h"
#include "engine/exchange/legality.h"
#include "engine/negotiation/negotiated.h"
#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"

namespace nbdspec::engine {

// One chunk, without the data of OFFSET_DATA.
struct ReplyChunk {
  std::uint16_t flags = 0;
  std::uint16_t type = ChunkType::kNone;
  std::uint64_t request_offset = 0;  // That of the request, as an extended header repeats it.
  std::uint64_t payload_bytes = 0;
  // Which bytes a content chunk (OFFSET_DATA, OFFSET_HOLE) describes; nothing when its payload has no such form.
  std::optional<ByteRange::OffsetAndLength> content = {};
  std::optional<ErrorPayload> error = {};  // Of an error chunk that can be taken apart.
  Bytes payload = {};                      // Of error and status chunks; empty for others.

  [[nodiscard]] bool is_error() const { return (type & ChunkType::kErrorBit) != 0; }
  [[nodiscard]] bool is_done() const { return (flags & ChunkFlag::kDone) != 0; }
  [[nodiscard]] bool is_content() const { return type == ChunkType::kOffsetData || type == ChunkType::kOffsetHole; }
};

// What answers one request: a simple reply, or chunks of which the last has DONE.
class Answer {
 public:
  struct Simple {
    std::uint32_t error = NbdError::kOk;
    std::uint64_t data_bytes = 0;
    bool operator==(const Simple&) const = default;
  };
  // How the answer ended.
  enum class End {
    kNotYet,
    kComplete,  // With a simple reply, or a chunk that has DONE.
    kSilent,    // Nothing more came in time, on a connection that was up.
    kCutOff,    // The connection ended, or what came is no message.
  };

  // Ready for another one. Memory that few answers need is given back.
  void Clear();
  // Each takes the next message. `request_offset`: of an extended header; 0 without one.
  void AddSimple(std::uint32_t error, std::uint64_t data_bytes) {
    simple_ = {.error = error, .data_bytes = data_bytes};
    error_ = error;
    end_ = End::kComplete;
  }
  const ReplyChunk& AddChunk(std::uint16_t flags, std::uint16_t type, ByteView payload, std::uint64_t request_offset);
  void Add(const SimpleReply& reply) { AddSimple(reply.error, reply.data.size()); }
  void Add(const Chunk& chunk) { AddChunk(chunk.flags, chunk.type, chunk.payload, chunk.offset); }
  // Says that no more will come. Does nothing to a complete answer.
  void EndWith(End end) { end_ = is_complete() ? end_ : end; }

  [[nodiscard]] const std::optional<Simple>& simple() const { return simple_; }
  [[nodiscard]] std::span<const ReplyChunk> chunks() const { return std::span(chunks_).first(chunk_count_); }
  [[nodiscard]] End end() const { return end_; }
  [[nodiscard]] bool is_complete() const { return end_ == End::kComplete; }
  [[nodiscard]] bool is_empty() const { return !simple_ && chunk_count_ == 0; }
  // The error of the simple reply or of the first error chunk (EIO when that chunk cannot be taken apart); 0 where
  // there is none.
  [[nodiscard]] std::uint32_t error() const { return error_; }
  // Whether the request failed: an error, or an error chunk whatever it carries.
  [[nodiscard]] bool has_failed() const { return has_error_chunk_ || error_ != NbdError::kOk; }

 private:
  std::optional<Simple> simple_;
  std::vector<ReplyChunk> chunks_;  // The first chunk_count_; the others keep their memory for later.
  std::size_t chunk_count_ = 0;
  std::uint32_t error_ = NbdError::kOk;
  bool has_error_chunk_ = false;
  End end_ = End::kNotYet;
};

struct Exchange {
  RequestHead request = {};
  const Negotiated* negotiated = nullptr;  // Outlives the exchange.
  Legality legality = {};
  Answer answer = {};

  // `negotiated` outlives the exchange. Ready for the messages of the answer.
  void Start(const RequestHead& head, const Negotiated& agreed) {
    request = head;
    negotiated = &agreed;
    legality = LegalityOf(head, agreed);
    answer.Clear();
  }

  [[nodiscard]] bool Is(std::uint16_t command) const { return request.type == command; }
  [[nodiscard]] bool HasFlag(std::uint16_t flag) const { return (request.flags & flag) != 0; }
  // Whether `content` lies inside of what was requested.
  [[nodiscard]] bool Asks(const ByteRange::OffsetAndLength& content) const {
    return content.offset >= request.offset && content.length <= request.length &&
           content.offset - request.offset <= request.length - content.length;
  }
};

// The first requested byte that no content chunk describes; nothing when each is described.
std::optional<std::uint64_t> FirstUncovered(const Exchange& exchange);

}  // namespace nbdspec::engine
