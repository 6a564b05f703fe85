// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/checks/exchange.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>

namespace nbdspec::conformance {

using engine::ByteRange;
using engine::Bytes;
using engine::ChunkType;
using engine::CommandType;
using engine::NbdError;
using engine::Request;
using engine::ServerMessage;

namespace {

// Takes one reply to its exchange, or to those that have none.
void Take(ServerMessage message, Batch& batch) {
  auto* simple = std::get_if<engine::SimpleReply>(&message);
  auto* chunk = std::get_if<engine::Chunk>(&message);
  const std::uint64_t cookie = simple != nullptr ? simple->cookie : chunk != nullptr ? chunk->cookie : 0;
  const auto found = std::ranges::find(batch.exchanges, cookie, [](const Exchange& e) { return e.request.cookie; });
  if (found == batch.exchanges.end() || (simple == nullptr && chunk == nullptr)) {
    batch.strays.push_back(std::move(message));
  } else if (found->complete) {
    batch.late.push_back(std::move(message));
  } else if (simple != nullptr) {
    found->complete = true;
    found->answer.simple = std::move(*simple);
  } else {
    found->complete = chunk->is_done();
    found->answer.chunks.push_back(std::move(*chunk));
  }
}

}  // namespace

bool Exchange::has_error_chunk() const {
  return std::ranges::any_of(answer.chunks, [](const engine::Chunk& chunk) { return chunk.is_error(); });
}

bool AskAll(Session& session, std::span<const Request> requests, bool legal, Batch& batch) {
  const std::size_t first = batch.exchanges.size();
  for (const Request& request : requests) {
    batch.exchanges.push_back({.request = request, .legal = legal});
    session.Send(request);
  }
  const auto unanswered = [&] {
    return std::any_of(batch.exchanges.begin() + static_cast<std::ptrdiff_t>(first), batch.exchanges.end(),
                       [](const Exchange& exchange) { return !exchange.complete; });
  };
  ReceiveError ended{.kind = ReceiveError::kFlood, .text = "the server goes on talking"};
  for (std::uint32_t heard = 0; heard < session.limits().messages_max && unanswered(); ++heard) {
    auto next = session.Next();
    if (!next) {
      ended = next.error();
      break;
    }
    Take(std::move(*next), batch);
  }
  if (!unanswered()) {
    return true;
  }
  for (std::size_t i = first; i < batch.exchanges.size(); ++i) {
    if (!batch.exchanges[i].complete) {
      batch.exchanges[i].ended = ended;
    }
  }
  batch.ended = ended;
  return false;
}

Batch AskOnce(Session& session, const Request& request, bool legal) {
  Batch batch;
  AskAll(session, {&request, 1}, legal, batch);
  return batch;
}

EnterOptions WithStructured(const CheckContext& context) {
  return {.structured_replies = context.profile().features.Has(Feature::kStructuredReplies)};
}

Judgement JudgeRefusal(const Batch& batch, std::initializer_list<std::uint32_t> allowed) {
  const Exchange& exchange = batch.exchanges.front();
  if (exchange.ended) {
    return exchange.ended->is_disconnect()
               ? NotApplicable("the server ended the connection, as it may with a client that breaks a rule")
               : AsJudgement(*exchange.ended);
  }
  const std::uint32_t error = exchange.answer.error();
  if (std::ranges::count(allowed, error) > 0) {
    return Holds();
  }
  std::string names;
  for (const std::uint32_t each : allowed) {
    names += (names.empty() ? "" : " or ") + engine::ErrorName(each);
  }
  return Broken(fmt::format("in answer to {}: {}", engine::Describe(exchange.request), engine::ErrorName(error)),
                names);
}

bool IsDefinedError(std::uint32_t error) {
  constexpr std::uint32_t kDefined[] = {NbdError::kEperm,   NbdError::kEio,      NbdError::kEnomem,
                                        NbdError::kEinval,  NbdError::kEnospc,   NbdError::kEoverflow,
                                        NbdError::kEnotsup, NbdError::kEshutdown};
  return std::ranges::count(kDefined, error) > 0;
}

Judgement JudgeErrorIsDefined(const Batch& batch) {
  const Exchange& exchange = batch.exchanges.front();
  if (exchange.ended) {
    return exchange.ended->is_disconnect() ? NotApplicable("the server ended the connection instead")
                                           : AsJudgement(*exchange.ended);
  }
  const std::uint32_t error = exchange.answer.error();
  if (error == NbdError::kOk && !exchange.has_error_chunk()) {
    return NotApplicable("a request that ought to fail succeeded");
  }
  return IsDefinedError(error)
             ? Holds()
             : Broken(fmt::format("in answer to {}: {}", engine::Describe(exchange.request), engine::ErrorName(error)),
                      "one of the errors of the protocol");
}

Judgement JudgeZeroLength(CheckContext& context, std::uint16_t command) {
  NBDSPEC_TRY(entered, context.Enter(WithStructured(context)));
  if (UsableBytes(entered) == 0) {
    return NotApplicable("the export is too small to read");
  }
  Request empty = RequestFor(command, {});
  Request read = RequestFor(CommandType::kRead, {.begin = 0, .end = GridOf(entered)});
  empty.cookie = entered.session.NextCookie();
  read.cookie = entered.session.NextCookie();
  Batch batch;
  const bool alive = AskAll(entered.session, {&empty, 1}, /*legal=*/true, batch) &&
                     AskAll(entered.session, {&read, 1}, /*legal=*/true, batch);
  if (alive) {
    return Holds();
  }
  return batch.ended->is_disconnect()
             ? Broken(fmt::format("after {} {}", engine::Describe(empty), batch.ended->text), "the connection goes on")
             : AsJudgement(*batch.ended);
}

std::uint64_t GridOf(const Entered& entered) {
  return std::clamp(entered.block_size.minimum, 512U, 1U << 16);  // No minimum may be above 64 KiB.
}

std::uint64_t UsableBytes(const Entered& entered) {
  // Sizes and block sizes come from the server: keep sums with them far from 2^64.
  const std::uint64_t size = std::min(entered.info.size, engine::kExportBytesMax);
  return size / GridOf(entered) * GridOf(entered);
}

std::optional<ByteRange> ScratchRange(const Entered& entered, std::uint64_t cell_count) {
  const std::uint64_t grid = GridOf(entered);
  const std::uint64_t cells = UsableBytes(entered) / grid;
  if (cells < cell_count + 2) {
    return {};
  }
  const std::uint64_t begin = std::max<std::uint64_t>(1, std::min(cells / 8 * 5, cells - cell_count - 1)) * grid;
  return ByteRange{.begin = begin, .end = begin + cell_count * grid};
}

Bytes Pattern(std::uint64_t length, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(length);
  for (std::uint8_t& byte : bytes) {
    byte = static_cast<std::uint8_t>(random() % 255 + 1);
  }
  return bytes;
}

Request RequestFor(std::uint16_t command, ByteRange range, std::uint16_t flags) {
  return {.flags = flags, .type = command, .offset = range.begin, .length = static_cast<std::uint32_t>(range.length())};
}

Request WriteOf(std::uint64_t offset, Bytes data, std::uint16_t flags) {
  return {.flags = flags,
          .type = CommandType::kWrite,
          .offset = offset,
          .length = static_cast<std::uint32_t>(data.size()),
          .payload = std::move(data)};
}

std::optional<Bytes> BytesRead(const Request& request, const Answer& answer) {
  if (answer.error() != engine::NbdError::kOk) {
    return {};
  }
  if (answer.simple) {
    return answer.simple->data.size() == request.length ? std::optional(answer.simple->data) : std::nullopt;
  }
  if (FirstUncovered(request, answer)) {
    return {};
  }
  Bytes bytes(request.length);
  std::uint64_t given = 0;
  for (const engine::Chunk& chunk : answer.chunks) {
    const auto content = ContentOf(chunk);
    if (!content) {
      continue;
    }
    if (!LiesInside(*content, request)) {
      return {};
    }
    given += content->length;
    if (chunk.type == ChunkType::kOffsetData) {
      const auto data = engine::ByteView(chunk.payload).last(content->length);
      std::ranges::copy(data, bytes.begin() + static_cast<std::ptrdiff_t>(content->offset - request.offset));
    }
  }
  if (given != request.length) {
    return {};  // Some of it came twice: which one counts is not for us to say.
  }
  return bytes;
}

std::expected<Bytes, Judgement> ReadBytes(Session& session, ByteRange range) {
  const Request request = RequestFor(CommandType::kRead, range);
  const auto answer = session.Ask(request);
  if (!answer) {
    return std::unexpected(Inconclusive(answer.error().text));
  }
  auto bytes = BytesRead(request, *answer);
  if (!bytes) {
    return std::unexpected(Inconclusive(fmt::format("a READ of [{}, {}) gave no data: {}", range.begin, range.end,
                                                    engine::ErrorName(answer->error()))));
  }
  return std::move(*bytes);
}

std::expected<Writing, Judgement> BeginWriting(CheckContext& context, std::uint64_t cell_count) {
  auto entered = context.Enter(WithStructured(context));
  if (!entered) {
    return std::unexpected(std::move(entered).error());
  }
  const auto range = ScratchRange(*entered, cell_count);
  if (!range) {
    return std::unexpected(NotApplicable("the export is too small"));
  }
  return Writing{.entered = std::move(*entered), .range = *range, .data = Pattern(range->length(), context.random()())};
}

std::expected<void, Judgement> Succeed(Session& session, const Request& request) {
  const auto answer = session.Ask(request);
  if (!answer) {
    return std::unexpected(AsJudgement(answer.error()));
  }
  if (answer->error() != engine::NbdError::kOk) {
    return std::unexpected(
        Inconclusive(fmt::format("{}: {}", engine::Describe(request), engine::ErrorName(answer->error()))));
  }
  return {};
}

std::optional<ByteRange::OffsetAndLength> ContentOf(const engine::Chunk& chunk) {
  if (chunk.type == ChunkType::kOffsetData) {
    const auto data = engine::DecodeOffsetData(chunk.payload);
    return data ? std::optional(ByteRange::OffsetAndLength{.offset = data->offset, .length = data->data.size()})
                : std::nullopt;
  }
  if (chunk.type == ChunkType::kOffsetHole) {
    const auto hole = engine::DecodeOffsetHole(chunk.payload);
    return hole ? std::optional(ByteRange::OffsetAndLength{.offset = hole->offset, .length = hole->length})
                : std::nullopt;
  }
  return {};
}

bool LiesInside(const ByteRange::OffsetAndLength& content, const Request& request) {
  return content.offset >= request.offset && content.length <= request.length &&
         content.offset - request.offset <= request.length - content.length;
}

std::optional<std::uint64_t> FirstUncovered(const Request& request, const Answer& answer) {
  std::vector<ByteRange> ranges;
  for (const engine::Chunk& chunk : answer.chunks) {
    const auto content = ContentOf(chunk);
    const auto range = content ? ByteRange::From(*content) : std::unexpected(engine::ErrorCode::kOutOfRange);
    if (range) {
      ranges.push_back(*range);
    }
  }
  std::ranges::sort(ranges, {}, &ByteRange::begin);
  std::uint64_t covered = request.offset;
  for (const ByteRange& range : ranges) {
    if (range.begin > covered) {
      break;
    }
    covered = std::max(covered, range.end);
  }
  return covered - request.offset < request.length ? std::optional(covered) : std::nullopt;
}

std::string ContentText(const engine::Chunk& chunk) {
  const auto content = ContentOf(chunk);
  return content ? fmt::format("{} of {} bytes at {}", engine::ChunkName(chunk.type), content->length, content->offset)
                 : fmt::format("{} with {} bytes of payload", engine::ChunkName(chunk.type), chunk.payload.size());
}

}  // namespace nbdspec::conformance
