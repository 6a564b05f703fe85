// SPDX-License-Identifier: BSD-3-Clause
// Exchange: one request of the transmission phase and what answered it; and what checks need to make the one and to
// read the other.

#pragma once

#include <cstdint>
#include <expected>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "conformance/checks/check.h"
#include "engine/base/byte_range.h"

namespace nbdspec::conformance {

// One request and what answered it.
struct Exchange {
  engine::Request request;
  Answer answer = {};
  bool legal = true;                       // Whether a client may send such a request.
  bool complete = false;                   // A simple reply came, or a chunk with DONE.
  std::optional<ReceiveError> ended = {};  // Why it was not completed.

  [[nodiscard]] bool is_read() const { return request.type == engine::CommandType::kRead; }
  [[nodiscard]] bool has_error_chunk() const;
};

struct Batch {
  std::vector<Exchange> exchanges;
  std::vector<engine::ServerMessage> late;    // Came for a request whose answer was complete.
  std::vector<engine::ServerMessage> strays;  // Came with a cookie never sent.
  std::optional<ReceiveError> ended = {};     // Why not everything was answered.
};

// Sends `requests` together and hears what answers them, at the end of `batch`. Their cookies differ from each other
// and from those in `batch`. Returns whether all was answered.
bool AskAll(Session& session, std::span<const engine::Request> requests, bool legal, Batch& batch);

// A batch of one.
Batch AskOnce(Session& session, const engine::Request& request, bool legal = true);

// With structured replies where the server has them.
EnterOptions WithStructured(const CheckContext& context);

// Judges the error that answers a request which breaks a rule for clients: it must be one of `allowed`. That the
// server ends the connection instead is its right, and leaves nothing to judge.
Judgement JudgeRefusal(const Batch& batch, std::initializer_list<std::uint32_t> allowed);

// Judges whether the error that answers such a request is one of the protocol, leaving open which.
Judgement JudgeErrorIsDefined(const Batch& batch);

// Asks `command` with length 0, then a READ: the connection must last that long.
Judgement JudgeZeroLength(CheckContext& context, std::uint16_t command);

// Whether `error` is one of those that the protocol has, 0 excepted.
bool IsDefinedError(std::uint32_t error);

// --- Places in an export ---------------------------------------------------------------------------------------

// What offsets and lengths must be multiples of, to be legal and usual: 512, or the minimum block size.
std::uint64_t GridOf(const Entered& entered);

// The size of the export without a last part that is off the grid.
std::uint64_t UsableBytes(const Entered& entered);

// Some grid cells where checks may write, away from both ends: never the first or the last cell of the export.
// Nothing when the export is too small.
std::optional<engine::ByteRange> ScratchRange(const Entered& entered, std::uint64_t cell_count);

// `length` bytes of which none is zero, different with each `seed`.
engine::Bytes Pattern(std::uint64_t length, std::uint64_t seed);

// A request for a range; its cookie is 0, for Session::Ask to replace.
engine::Request RequestFor(std::uint16_t command, engine::ByteRange range, std::uint16_t flags = 0);

// A WRITE.
engine::Request WriteOf(std::uint64_t offset, engine::Bytes data, std::uint16_t flags = 0);

// The bytes that an answer to READ gives; nothing when it failed, or gives some bytes twice or not at all.
std::optional<engine::Bytes> BytesRead(const engine::Request& request, const Answer& answer);

// READ, and the bytes it gives. Errors: it ended, failed, or left out some: then the check that needs the bytes
// is inconclusive.
std::expected<engine::Bytes, Judgement> ReadBytes(Session& session, engine::ByteRange range);

// --- Writing ---------------------------------------------------------------------------------------------------

// A session in transmission, a place to write, and data that is not there.
struct Writing {
  Entered entered;
  engine::ByteRange range;
  engine::Bytes data;
};

// With a range of `cell_count` cells (see ScratchRange). Errors: the export is too small, which leaves nothing to
// judge.
std::expected<Writing, Judgement> BeginWriting(CheckContext& context, std::uint64_t cell_count);

// Asks and needs success. Errors: it ended or failed, which leaves nothing to judge.
std::expected<void, Judgement> Succeed(Session& session, const engine::Request& request);

// --- Chunks ----------------------------------------------------------------------------------------------------

// What a content chunk (OFFSET_DATA, OFFSET_HOLE) speaks of; nothing for others, and when it cannot be taken apart.
std::optional<engine::ByteRange::OffsetAndLength> ContentOf(const engine::Chunk& chunk);

// Whether `content` lies inside of what `request` asked for.
bool LiesInside(const engine::ByteRange::OffsetAndLength& content, const engine::Request& request);

// The first byte of `request` that no content chunk of `answer` speaks of.
std::optional<std::uint64_t> FirstUncovered(const engine::Request& request, const Answer& answer);

// "NBD_REPLY_TYPE_OFFSET_DATA [0, 512)".
std::string ContentText(const engine::Chunk& chunk);

}  // namespace nbdspec::conformance
