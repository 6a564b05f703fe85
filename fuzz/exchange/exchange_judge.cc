// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/exchange/exchange_judge.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "engine/server/server.h"
#include "engine/spec/ids.h"
#include "engine/wire/big_endian.h"
#include "engine/wire/payloads.h"

namespace nbdspec::fuzz {

using engine::ByteRange;
using engine::ByteView;
using engine::Chunk;
using engine::ChunkFlag;
using engine::ChunkType;
using engine::CommandFlag;
using engine::CommandType;
using engine::GetBigEndian;
using engine::NbdError;
using engine::Request;
using engine::ServerMessage;

namespace {

constexpr std::size_t kOffsetBytes = 8;
constexpr std::size_t kHolePayloadBytes = 12;
constexpr std::size_t kIdBytes = 4;
constexpr std::size_t kDescriptorBytes = 8;

// A run that does not fit one length of 32 bits may end anywhere in the last two sectors of what fits.
constexpr std::uint64_t kLongRunBytes = 0xffff'ffff - 1024;

// What an unusual answer may do: each is a SHOULD at most.
constexpr auto kMayBeBroken = std::to_array<std::string_view>(
    {spec::kBlockStatusExtentWithinExport, spec::kBlockStatusDistinctStatus, spec::kBlockStatusLengthMultipleOf512,
     spec::kBlockStatusLengthMultipleOfMinBlock});

bool Changes(std::uint16_t command) {
  return command == CommandType::kWrite || command == CommandType::kTrim || command == CommandType::kWriteZeroes;
}

ByteRange RangeOf(const Request& request) { return {.begin = request.offset, .end = request.offset + request.length}; }

std::string DescribeAll(const ExchangeAnswer& answer) {
  std::string text = answer.simple ? engine::Describe(ServerMessage(*answer.simple)) + "; " : "";
  for (const Chunk& chunk : answer.chunks) {
    text += engine::Describe(ServerMessage(chunk)) + "; ";
  }
  return text + (answer.is_whole ? "that is all" : "DONE is missing");
}

// Range: inside the export, so only for requests that were done.
bool IsContent(const Chunk& chunk) {
  return chunk.type == ChunkType::kOffsetData || chunk.type == ChunkType::kOffsetHole;
}

}  // namespace

std::optional<Objection> ExchangeJudge::Judge(const Request& request, const Negotiated& negotiated, bool is_plain,
                                              ExchangeAnswer& answer, bool& has_changed) {
  has_changed = false;
  std::uint32_t error = NbdError::kOk;
  if (!answer.is_whole) {
    return Objection{.expected = "an answer", .saw = DescribeAll(answer)};
  }
  if (auto found = JudgeForm(request, negotiated, answer, error)) {
    return found;
  }
  const Permitted permitted = PermittedFor(request, negotiated);
  const bool is_whim = !is_plain && permitted.success && error == NbdError::kEio;  // UnusualAnswers fails like that.
  if (error != NbdError::kOk && !is_whim &&
      (error >= std::size(permitted.is_permitted) || !permitted.is_permitted[error])) {
    return Objection{.expected = permitted.success ? "success" : "another error", .saw = DescribeAll(answer)};
  }
  if (error == NbdError::kOk && !permitted.success) {
    return Objection{.expected = "an error", .saw = DescribeAll(answer)};
  }
  if (request.type == CommandType::kBlockStatus) {
    return JudgeStatus(request, negotiated, is_plain, answer);
  }
  if (request.type == CommandType::kRead && permitted.success) {
    return JudgeRead(request, answer, error != NbdError::kOk);
  }
  has_changed = error == NbdError::kOk && Changes(request.type);
  return std::nullopt;
}

// --- Form -----------------------------------------------------------------------------------------------------

ExchangeJudge::Found ExchangeJudge::JudgeForm(const Request& request, const Negotiated& negotiated,
                                              const ExchangeAnswer& answer, std::uint32_t& error) const {
  if (answer.simple) {
    const bool needs_chunks =
        negotiated.structured_replies && (request.type == CommandType::kRead || request.type == CommandType::kBlockStatus);
    if (needs_chunks || !answer.chunks.empty()) {
      return Objection{.expected = "chunks alone", .saw = DescribeAll(answer)};
    }
    error = answer.simple->error;
    return std::nullopt;
  }
  for (std::size_t i = 0; i < answer.chunks.size(); ++i) {
    const bool is_last = i + 1 == answer.chunks.size();
    if (!negotiated.structured_replies) {
      return Objection{.expected = "a simple reply", .saw = DescribeAll(answer)};
    }
    if (auto found = JudgeChunkForm(request, answer.chunks[i], is_last, error)) {
      return found;
    }
  }
  return std::nullopt;
}

ExchangeJudge::Found ExchangeJudge::JudgeChunkForm(const Request& request, const Chunk& chunk, bool is_last,
                                                   std::uint32_t& error) const {
  const auto object = [&](std::string expected) {
    return Objection{.expected = std::move(expected), .saw = engine::Describe(ServerMessage(chunk))};
  };
  if (chunk.flags != (is_last ? ChunkFlag::kDone : 0)) {
    return object("DONE on the last chunk, and no other flag");
  }
  if (chunk.is_error()) {
    const auto payload = engine::DecodeErrorPayload(chunk.type, chunk.payload);
    if (chunk.type > ChunkType::kErrorOffset || !payload || payload->error == NbdError::kOk ||
        (payload->offset && !RangeOf(request).Contains(*payload->offset))) {
      return object("an error chunk with an error, about a byte of the request");
    }
    error = payload->error;
    return std::nullopt;
  }
  if (chunk.type == ChunkType::kNone) {
    return is_last && chunk.payload.empty() ? Found() : object("NONE is last and has no payload");
  }
  const std::uint16_t command = IsContent(chunk)                        ? CommandType::kRead
                                : chunk.type == ChunkType::kBlockStatus ? CommandType::kBlockStatus
                                                                        : CommandType::kDisc;
  return request.type == command ? Found() : object("a chunk that answers " + engine::CommandName(request.type));
}

// --- Errors ---------------------------------------------------------------------------------------------------

// Each reason to refuse brings its error; where several hold, any of theirs will do.
ExchangeJudge::Permitted ExchangeJudge::PermittedFor(const Request& request, const Negotiated& negotiated) const {
  Permitted permitted;
  if ((request.flags & ~FlagsFor(request.type, negotiated)) != 0) {
    permitted.Refuse(NbdError::kEinval);
  }
  if (Changes(request.type) && offered_.read_only) {
    permitted.Refuse(NbdError::kEperm);
  }
  if (request.type == CommandType::kFlush) {
    return permitted;  // Its offset and length are reserved.
  }
  if (request.length == 0) {
    permitted.is_permitted[NbdError::kEinval] = true;  // Unspecified.
  }
  const std::uint64_t size = model_.size();
  const bool is_inside = request.offset <= size && request.length <= size - request.offset;
  if (!is_inside) {
    const bool grows = request.type == CommandType::kWrite || request.type == CommandType::kWriteZeroes;
    permitted.Refuse(grows ? NbdError::kEnospc : NbdError::kEinval);
  }
  const engine::InfoBlockSize& block = offered_.block_size;
  if (request.offset % block.minimum != 0 || request.length % block.minimum != 0) {
    permitted.Refuse(NbdError::kEinval);
  }
  const bool has_payload = request.type == CommandType::kRead || request.type == CommandType::kWrite;
  if (has_payload && request.length > block.maximum) {
    permitted.Refuse(NbdError::kEinval);
  }
  if (request.type == CommandType::kBlockStatus && negotiated.contexts.empty()) {
    permitted.Refuse(NbdError::kEinval);  // block-status.no-context-einval
  }
  if (request.type == CommandType::kWrite && permitted.success && !model_.Takes(request.offset, request.payload)) {
    permitted.Refuse(NbdError::kEnospc);
  }
  return permitted;
}

std::uint16_t ExchangeJudge::FlagsFor(std::uint16_t command, const Negotiated& negotiated) const {
  switch (command) {
    case CommandType::kRead:
      return CommandFlag::kFua | (negotiated.structured_replies ? CommandFlag::kDf : std::uint16_t{0});
    case CommandType::kWriteZeroes:
      return CommandFlag::kFua | CommandFlag::kNoHole | CommandFlag::kFastZero;
    case CommandType::kBlockStatus:
      return CommandFlag::kFua | CommandFlag::kReqOne;
    default:
      return CommandFlag::kFua;  // cmdflag.fua.accept-all
  }
}

// --- Reads ----------------------------------------------------------------------------------------------------

// What is sent is what is held; unless it failed, it covers the request once.
ExchangeJudge::Found ExchangeJudge::JudgeRead(const Request& request, const ExchangeAnswer& answer, bool has_failed) {
  const auto object = [&](std::string expected) {
    return Objection{.expected = std::move(expected), .saw = DescribeAll(answer)};
  };
  if (answer.simple) {
    const bool is_right = has_failed || (answer.simple->data.size() == request.length &&
                                         model_.Holds(request.offset, answer.simple->data));
    return is_right ? Found() : object("the bytes that the export holds");
  }
  const ByteRange asked = RangeOf(request);
  covered_.clear();
  for (const Chunk& chunk : answer.chunks) {
    if (!IsContent(chunk)) {
      continue;
    }
    const bool is_hole = chunk.type == ChunkType::kOffsetHole;
    if (is_hole ? chunk.payload.size() != kHolePayloadBytes : chunk.payload.size() <= kOffsetBytes) {
      return object("chunks with some content");
    }
    const auto offset = GetBigEndian<std::uint64_t>(chunk.payload);
    const std::uint64_t length =
        is_hole ? GetBigEndian<std::uint32_t>(chunk.payload, kOffsetBytes) : chunk.payload.size() - kOffsetBytes;
    const ByteRange range = {.begin = offset, .end = offset + length};
    if (length == 0 || offset < asked.begin || offset > asked.end || length > asked.end - offset) {
      return object("content inside the request");
    }
    if (is_hole ? !model_.HoldsZeroes(range) : !model_.Holds(offset, ByteView(chunk.payload).subspan(kOffsetBytes))) {
      return object("the bytes that the export holds");
    }
    covered_.push_back(range);
  }
  if ((request.flags & CommandFlag::kDf) != 0 && covered_.size() > 1) {
    return object("one piece, with DF");
  }
  if (!std::ranges::is_sorted(covered_, {}, &ByteRange::begin)) {
    std::ranges::sort(covered_, {}, &ByteRange::begin);
  }
  std::uint64_t end = asked.begin;
  for (const ByteRange range : covered_) {
    if (has_failed ? range.begin < end : range.begin != end) {
      return object("each byte once");
    }
    end = range.end;
  }
  return has_failed || end == asked.end ? Found() : object("every byte");
}

// --- Statuses -------------------------------------------------------------------------------------------------

ExchangeJudge::Found ExchangeJudge::JudgeStatus(const Request& request, const Negotiated& negotiated, bool is_plain,
                                                ExchangeAnswer& answer) {
  const auto asked = ByteRange::From({.offset = request.offset, .length = request.length});
  if (!asked) {
    return std::nullopt;  // It was refused, and that is all there is to it.
  }
  exchange_.asked = *asked;
  exchange_.req_one = (request.flags & CommandFlag::kReqOne) != 0;
  exchange_.export_bytes = model_.size();
  exchange_.contexts = negotiated.contexts;
  exchange_.block_bytes_min = offered_.block_size.minimum;
  exchange_.payload_bytes_max = offered_.block_size.maximum;
  exchange_.simple_reply = std::move(answer.simple);
  exchange_.chunks.swap(answer.chunks);
  const bool has_failed = exchange_.simple_reply || std::ranges::any_of(exchange_.chunks, &Chunk::is_error);
  for (const engine::Breach& breach : engine::Judge(exchange_)) {
    if (is_plain || std::ranges::find(kMayBeBroken, breach.requirement) == kMayBeBroken.end()) {
      return Objection{.expected = std::string(breach.requirement), .saw = breach.saw};
    }
  }
  for (const Chunk& chunk : exchange_.chunks) {
    if (chunk.type == ChunkType::kBlockStatus && !has_failed) {
      if (auto found = JudgeClaims(request, negotiated, is_plain, chunk)) {
        return found;
      }
    }
  }
  return std::nullopt;
}

// The rules have said that the chunk can be taken apart, and that its context is known.
ExchangeJudge::Found ExchangeJudge::JudgeClaims(const Request& request, const Negotiated& negotiated, bool is_plain,
                                                const Chunk& chunk) const {
  const auto id = GetBigEndian<std::uint32_t>(chunk.payload);
  const auto context = std::ranges::find(negotiated.contexts, id, &engine::MetaContext::id);
  return context->name == engine::kBaseAllocation ? JudgeAllocation(request, is_plain, chunk)
                                                  : JudgeBlockIndex(request, chunk);
}

// Sound, or exactly what is true: every block its status, all that was asked, one run of equal blocks with REQ_ONE.
ExchangeJudge::Found ExchangeJudge::JudgeAllocation(const Request& request, bool is_plain, const Chunk& chunk) const {
  const ByteRange asked = RangeOf(request);
  const auto object = [&] {
    return Objection{.expected = model_.Describe(asked), .saw = engine::Describe(ServerMessage(chunk))};
  };
  std::uint64_t begin = asked.begin;
  std::uint32_t status = 0;
  for (std::size_t at = kIdBytes; at < chunk.payload.size(); at += kDescriptorBytes) {
    const std::uint64_t end = begin + GetBigEndian<std::uint32_t>(chunk.payload, at);
    status = GetBigEndian<std::uint32_t>(chunk.payload, at + sizeof(std::uint32_t));
    const ByteRange range = {.begin = begin, .end = std::min(end, model_.size())};
    if (range.begin >= range.end || !(is_plain ? model_.AllHave(range, status) : model_.AllAllow(range, status))) {
      return object();
    }
    begin = end;
  }
  const bool is_one_run = (request.flags & CommandFlag::kReqOne) != 0 && begin < asked.end &&
                          (model_.StatusAt(begin) != status || begin - asked.begin >= kLongRunBytes);
  return !is_plain || begin == asked.end || is_one_run ? Found() : object();
}

ExchangeJudge::Found ExchangeJudge::JudgeBlockIndex(const Request& request, const Chunk& chunk) const {
  std::uint64_t begin = request.offset;
  for (std::size_t at = kIdBytes; at < chunk.payload.size(); at += kDescriptorBytes) {
    const std::uint64_t end = begin + GetBigEndian<std::uint32_t>(chunk.payload, at);
    const auto index = GetBigEndian<std::uint32_t>(chunk.payload, at + sizeof(std::uint32_t));
    if (static_cast<std::uint32_t>(begin / engine::kBlockIndexBytes) != index ||
        (end - 1) / engine::kBlockIndexBytes != begin / engine::kBlockIndexBytes) {
      return Objection{.expected = "the index of the block", .saw = engine::Describe(ServerMessage(chunk))};
    }
    begin = end;
  }
  return std::nullopt;
}

}  // namespace nbdspec::fuzz
