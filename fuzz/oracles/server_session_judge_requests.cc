// SPDX-License-Identifier: BSD-3-Clause
// Transmission. Spec: proto.md, "Request types", "Structured reply types", "Error values".
#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "engine/base/check.h"
#include "engine/block_status/judge.h"
#include "engine/extents/extent_map.h"
#include "engine/server/server.h"
#include "fuzz/oracles/server_session_judge.h"

namespace nbdspec::fuzz {

using engine::ByteRange;
using engine::Chunk;
using engine::ChunkType;
using engine::CommandFlag;
using engine::CommandType;
using engine::NbdError;
using engine::Request;
using engine::ServerMessage;

namespace {

constexpr std::uint64_t kSectorBytes = 512;

bool Changes(std::uint16_t command) {
  return command == CommandType::kWrite || command == CommandType::kTrim || command == CommandType::kWriteZeroes;
}

// A request that was done, so its range is inside the export.
ByteRange RangeOf(const Request& request) { return {.begin = request.offset, .end = request.offset + request.length}; }

std::string Describe(const std::vector<Chunk>& chunks) {
  std::string text;
  for (const Chunk& chunk : chunks) {
    text += engine::Describe(ServerMessage(chunk)) + "; ";
  }
  return text + std::to_string(chunks.size()) + " in all";
}

// Where `bytes` are not zero, as data in a map of zeroes. Sector by sector: most are zeroes, and memcmp is fast.
engine::ExtentMap TruthOf(engine::ByteView bytes) {
  static constexpr std::uint8_t kZeroes[kSectorBytes] = {};
  engine::ExtentMap truth(bytes.size(), engine::ExtentType::kHoleZero);
  for (std::uint64_t begin = 0; begin < bytes.size(); begin += kSectorBytes) {
    const engine::ByteView sector = bytes.subspan(begin, std::min<std::uint64_t>(kSectorBytes, bytes.size() - begin));
    if (std::memcmp(sector.data(), kZeroes, sector.size()) == 0) {
      continue;
    }
    for (std::uint64_t i = 0; i < sector.size(); ++i) {
      const std::uint64_t data_begin = i;
      while (i < sector.size() && sector[i] != 0) {
        ++i;
      }
      NBDSPEC_CHECK(truth.Add(begin + data_begin, i - data_begin, engine::ExtentType::kData).has_value());
    }
  }
  return truth;
}

}  // namespace

void SessionJudge::JudgeRequest(const Request& request) {
  if (request.type == CommandType::kDisc) {
    is_over_ = true;  // disc.no-reply
    return;
  }
  if (!is_structured_ && request.type == CommandType::kRead) {
    server_.ExpectData(request.cookie, request.length);
  }
  const auto answer = TakeAnswer(request);
  if (!answer) {
    return;
  }
  const Permitted permitted = PermittedFor(request);
  if (answer->error != NbdError::kOk) {
    if (!permitted.errors.contains(answer->error)) {
      std::string names = permitted.success ? "success" : "";
      for (const std::uint32_t error : permitted.errors) {
        names += " " + engine::ErrorName(error);
      }
      Fail(names, engine::ErrorName(answer->error));
    }
    return;
  }
  if (!permitted.success) {
    return Fail("an error", "success");
  }
  if (request.type == CommandType::kRead) {
    JudgeRead(request, *answer);
  } else if (request.type == CommandType::kBlockStatus) {
    JudgeBlockStatus(request, *answer);
  } else {
    Apply(request);
  }
}

std::optional<SessionJudge::Answer> SessionJudge::TakeAnswer(const Request& request) {
  const auto message = TakeMessage("an answer to the request");
  if (!message) {
    return std::nullopt;
  }
  Answer answer;
  if (const auto* simple = std::get_if<engine::SimpleReply>(&*message)) {
    const bool needs_chunks =
        is_structured_ && (request.type == CommandType::kRead || request.type == CommandType::kBlockStatus);
    if (simple->cookie != request.cookie || needs_chunks) {
      Fail(needs_chunks ? "chunks" : "a simple reply with the request's cookie", engine::Describe(*message));
    }
    answer.error = simple->error;
    answer.simple = *simple;
  } else if (const auto* chunk = std::get_if<Chunk>(&*message); chunk != nullptr && is_structured_) {
    TakeChunks(request, *chunk, answer);
  } else {
    Fail(is_structured_ ? "a reply" : "a simple reply", engine::Describe(*message));
  }
  return found_ ? std::nullopt : std::optional(std::move(answer));
}

// Takes chunks until the last one, and judges the form of each.
void SessionJudge::TakeChunks(const Request& request, Chunk first, Answer& answer) {
  answer.chunks.push_back(std::move(first));
  for (;;) {
    const Chunk& chunk = answer.chunks.back();
    JudgeChunk(request, chunk);
    if (found_) {
      return;
    }
    if (chunk.is_error()) {
      answer.error = engine::DecodeErrorPayload(chunk.type, chunk.payload)->error;
    }
    if (chunk.is_done()) {
      return;
    }
    const auto message = TakeMessage("a chunk with DONE");
    const auto* next = message ? std::get_if<Chunk>(&*message) : nullptr;
    if (next == nullptr) {
      return Fail("a chunk", message ? engine::Describe(*message) : "");
    }
    answer.chunks.push_back(*next);
  }
}

void SessionJudge::JudgeChunk(const Request& request, const Chunk& chunk) {
  const auto fail = [&](std::string expected) { Fail(std::move(expected), engine::Describe(ServerMessage(chunk))); };
  if (chunk.cookie != request.cookie) {
    fail("the request's cookie");
  }
  if ((chunk.flags & ~engine::ChunkFlag::kDone) != 0) {
    fail("no flag but DONE");
  }
  if (chunk.is_error()) {
    const auto error = engine::DecodeErrorPayload(chunk.type, chunk.payload);
    if (chunk.type > ChunkType::kErrorOffset || !error || error->error == NbdError::kOk ||
        !engine::IsValidString(error->message) || error->message.size() > engine::kStringBytesMax) {
      fail("an error chunk with an error and a text");
    }
    return;
  }
  const bool is_content = chunk.type == ChunkType::kOffsetData || chunk.type == ChunkType::kOffsetHole;
  if (chunk.type == ChunkType::kNone) {
    if (!chunk.is_done() || !chunk.payload.empty()) {
      fail("NONE has DONE and no payload");
    }
  } else if (is_content ? request.type != CommandType::kRead
                        : chunk.type != ChunkType::kBlockStatus || request.type != CommandType::kBlockStatus) {
    fail("a chunk that answers " + engine::CommandName(request.type));
  }
}

// Each reason to refuse brings its errors; where several hold, any of theirs will do.
SessionJudge::Permitted SessionJudge::PermittedFor(const Request& request) const {
  const engine::ExportOptions& offered = entered_->options;
  Permitted permitted;
  const auto refuse = [&](std::uint32_t error) {
    permitted.success = false;
    permitted.errors.insert(error);
  };
  if (!IsOffered(request.type) || (request.flags & ~FlagsFor(request.type)) != 0) {
    refuse(NbdError::kEinval);
  }
  if (Changes(request.type) && offered.read_only) {
    refuse(NbdError::kEperm);
  }
  if (request.length == 0) {
    permitted.errors.insert(NbdError::kEinval);  // Unspecified.
  }
  if (request.type == CommandType::kFlush) {
    return permitted;  // Its offset and length are reserved.
  }
  const std::uint64_t size = entered_->disk.size();
  if (request.offset > size || request.length > size - request.offset) {
    const bool grows = request.type == CommandType::kWrite || request.type == CommandType::kWriteZeroes;
    refuse(grows ? NbdError::kEnospc : NbdError::kEinval);
  }
  if (request.offset % offered.block_size.minimum != 0 || request.length % offered.block_size.minimum != 0) {
    refuse(NbdError::kEinval);
  }
  const bool has_payload = request.type == CommandType::kRead || request.type == CommandType::kWrite;
  if (has_payload && request.length > offered.block_size.maximum) {
    refuse(NbdError::kEinval);
  }
  if (request.type == CommandType::kBlockStatus && contexts_.empty()) {
    refuse(NbdError::kEinval);  // block-status.no-context-einval
  }
  return permitted;
}

// What the transmission flags promise, by the specification's table of who needs which.
bool SessionJudge::IsOffered(std::uint16_t command) const {
  const std::uint16_t flags = TransmissionFlagsOf(entered_->options);
  const auto has = [&](std::uint16_t flag) { return (flags & flag) != 0; };
  switch (command) {
    case CommandType::kRead:
    case CommandType::kWrite:
    case CommandType::kBlockStatus:
      return true;
    case CommandType::kFlush:
      return has(engine::TransmissionFlag::kSendFlush);
    case CommandType::kTrim:
      return has(engine::TransmissionFlag::kSendTrim);
    case CommandType::kWriteZeroes:
      return has(engine::TransmissionFlag::kSendWriteZeroes);
    case CommandType::kCache:
      return has(engine::TransmissionFlag::kSendCache);
    default:
      return false;
  }
}

std::uint16_t SessionJudge::FlagsFor(std::uint16_t command) const {
  const std::uint16_t offered = TransmissionFlagsOf(entered_->options);
  const auto if_offered = [&](std::uint16_t by, std::uint16_t flag) {
    return (offered & by) != 0 ? flag : std::uint16_t{0};
  };
  std::uint16_t flags = if_offered(engine::TransmissionFlag::kSendFua, CommandFlag::kFua);
  if (command == CommandType::kRead) {
    flags |= if_offered(engine::TransmissionFlag::kSendDf, CommandFlag::kDf);
  }
  if (command == CommandType::kWriteZeroes) {
    flags |= CommandFlag::kNoHole | if_offered(engine::TransmissionFlag::kSendFastZero, CommandFlag::kFastZero);
  }
  if (command == CommandType::kBlockStatus) {
    flags |= CommandFlag::kReqOne;
  }
  return flags;
}

// The content covers the request once, is what was written, and is cut at sectors.
void SessionJudge::JudgeRead(const Request& request, const Answer& answer) {
  const ByteRange asked = RangeOf(request);
  const engine::ByteView expected = engine::ByteView(shadow_.bytes).subspan(asked.begin, asked.length());
  if (answer.simple) {
    if (!std::ranges::equal(expected, answer.simple->data)) {
      Fail("the bytes that were written", "other bytes");
    }
    return;
  }
  std::vector<ByteRange> covered;
  std::size_t content_count = 0;
  for (const Chunk& chunk : answer.chunks) {
    if (chunk.type == ChunkType::kNone) {
      continue;
    }
    ++content_count;
    const auto hole = engine::DecodeOffsetHole(chunk.payload);
    const auto data = engine::DecodeOffsetData(chunk.payload);
    const bool is_hole = chunk.type == ChunkType::kOffsetHole;
    if (is_hole ? !hole : !data) {
      return Fail("chunks that can be taken apart", Describe(answer.chunks));
    }
    const auto range = is_hole ? ByteRange::From({.offset = hole->offset, .length = hole->length})
                               : ByteRange::From({.offset = data->offset, .length = data->data.size()});
    if (!range || range->empty() || !asked.Contains(*range)) {
      return Fail("chunks inside the request", Describe(answer.chunks));
    }
    const engine::ByteView here = expected.subspan(range->begin - asked.begin, range->length());
    const bool is_right =
        is_hole ? std::ranges::count(here, 0) == std::ssize(here) : std::ranges::equal(here, data->data);
    if (!is_right) {
      return Fail("the bytes that were written", "others in " + engine::Describe(ServerMessage(chunk)));
    }
    covered.push_back(*range);
  }
  std::ranges::sort(covered, {}, &ByteRange::begin);
  std::uint64_t end = asked.begin;
  for (const ByteRange range : covered) {
    if (range.begin != end || (end != asked.begin && end % kSectorBytes != 0)) {
      return Fail("content without gap or overlap, cut at sectors", Describe(answer.chunks));
    }
    end = range.end;
  }
  if (end != asked.end || ((request.flags & CommandFlag::kDf) != 0 && content_count > 1)) {
    Fail("content of the whole request, with DF in one chunk", Describe(answer.chunks));
  }
}

void SessionJudge::JudgeBlockStatus(const Request& request, const Answer& answer) {
  const engine::StatusExchange exchange = {
      .asked = RangeOf(request),
      .req_one = (request.flags & CommandFlag::kReqOne) != 0,
      .export_bytes = entered_->disk.size(),
      .contexts = contexts_,
      .block_bytes_min = entered_->options.block_size.minimum,
      .payload_bytes_max = entered_->options.block_size.maximum,
      .chunks = answer.chunks,
      .simple_reply = answer.simple,
  };
  std::vector<engine::Breach> breaches = engine::Judge(exchange);
  std::ranges::copy(engine::JudgeZeroClaims(exchange, TruthOf(shadow_.bytes)), std::back_inserter(breaches));
  if (!breaches.empty()) {
    return Fail("no rule of block status is broken", std::string(breaches[0].requirement) + ", " + breaches[0].saw);
  }
  for (const Chunk& chunk : answer.chunks) {
    if (chunk.type == ChunkType::kBlockStatus) {
      JudgeClaims(request, chunk);
    }
  }
}

// What the server promises beyond the specification: no hole where something was put, and what block-index means.
void SessionJudge::JudgeClaims(const Request& request, const Chunk& chunk) {
  const auto status = engine::DecodeBlockStatus(chunk.payload);
  const auto context = std::ranges::find(contexts_, status->context_id, &engine::MetaContext::id);
  std::uint64_t begin = request.offset;
  for (const engine::Descriptor& descriptor : status->descriptors) {
    const std::uint64_t end = begin + descriptor.length;
    if (end > shadow_.bytes.size()) {
      return Fail("descriptors inside the export", engine::Describe(ServerMessage(chunk)));
    }
    const engine::ByteView provisioned = engine::ByteView(shadow_.provisioned).subspan(begin, descriptor.length);
    if (context->name == engine::kBaseAllocation) {
      if ((descriptor.status & engine::AllocationFlag::kHole) != 0 && std::ranges::count(provisioned, 1) > 0) {
        return Fail("no hole where bytes were provisioned", engine::Describe(ServerMessage(chunk)));
      }
    } else if (begin / engine::kBlockIndexBytes != descriptor.status ||
               (end - 1) / engine::kBlockIndexBytes != descriptor.status) {
      return Fail("the index of the block", engine::Describe(ServerMessage(chunk)));
    }
    begin = end;
  }
}

void SessionJudge::Apply(const Request& request) {
  if (!Changes(request.type)) {
    return;
  }
  const ByteRange range = RangeOf(request);
  const auto at = static_cast<std::ptrdiff_t>(range.begin);
  if (request.type == CommandType::kWrite) {
    std::ranges::copy(request.payload, shadow_.bytes.begin() + at);
  } else {
    std::fill_n(shadow_.bytes.begin() + at, range.length(), std::uint8_t{0});
  }
  const bool is_provisioned = request.type == CommandType::kWrite || (request.flags & CommandFlag::kNoHole) != 0;
  std::fill_n(shadow_.provisioned.begin() + at, range.length(), std::uint8_t{is_provisioned});
}

}  // namespace nbdspec::fuzz
