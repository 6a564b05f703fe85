// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/checks/transmission/asking.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>

namespace nbdspec::conformance {

namespace {

// Takes one reply to its exchange, or to those that have none.
void Take(ServerMessage message, Batch& batch) {
  const auto* simple = std::get_if<engine::SimpleReply>(&message);
  const auto* chunk = std::get_if<Chunk>(&message);
  const std::uint64_t cookie = simple != nullptr ? simple->cookie : chunk != nullptr ? chunk->cookie : 0;
  const auto found = std::ranges::find(batch.exchanges, cookie, [](const Exchange& e) { return e.request.cookie; });
  if (found == batch.exchanges.end() || (simple == nullptr && chunk == nullptr)) {
    batch.strays.push_back(std::move(message));
  } else if (found->answer.is_complete()) {
    batch.late.push_back(std::move(message));
  } else if (simple != nullptr) {
    found->answer.Add(*simple);
  } else {
    found->answer.Add(*chunk);
  }
}

}  // namespace

bool Batch::any_complete() const {
  return std::ranges::any_of(exchanges, [](const Exchange& exchange) { return exchange.answer.is_complete(); });
}

bool AskAll(Entered& entered, std::span<const Request> requests, Batch& batch) {
  const std::size_t first = batch.exchanges.size();
  batch.agreed.push_back(entered.agreed);
  for (const Request& request : requests) {
    batch.exchanges.emplace_back().Start(engine::RequestHead::Of(request), *entered.agreed);
    entered.session.Send(request);
  }
  const auto all_complete = [&] {
    return std::ranges::all_of(std::span(batch.exchanges).subspan(first),
                               [](const Exchange& exchange) { return exchange.answer.is_complete(); });
  };
  ReceiveError ended{.kind = ReceiveError::kFlood, .text = "the server goes on sending"};
  for (std::uint32_t count = 0; count < entered.session.limits().messages_max && !all_complete(); ++count) {
    auto next = entered.session.Next();
    if (!next) {
      ended = next.error();
      break;
    }
    Take(std::move(*next), batch);
  }
  if (all_complete()) {
    return true;
  }
  const bool is_silent = ended.kind == ReceiveError::kTimedOut;
  for (Exchange& exchange : std::span(batch.exchanges).subspan(first)) {
    exchange.answer.EndWith(is_silent ? engine::Answer::End::kSilent : engine::Answer::End::kCutOff);
  }
  batch.endings.push_back(std::move(ended));
  return false;
}

Batch AskOnce(Entered& entered, Request request) {
  request.cookie = request.cookie == 0 ? entered.session.NextCookie() : request.cookie;
  Batch batch;
  AskAll(entered, {&request, 1}, batch);
  return batch;
}

Judgement JudgeFirst(const CheckContext& context, const Batch& batch) {
  if (!batch.first().is_complete()) {
    const ReceiveError& ended = batch.endings.back();
    return ended.is_disconnect() && batch.exchanges.front().legality.is_illegal()
               ? NotApplicable("the server ended the connection, as it may with a client that breaks a rule")
               : AsJudgement(ended);
  }
  return JudgeByRule(context.rule().requirement, batch);
}

Judgement JudgeByRule(std::string_view requirement, const Batch& batch) {
  const Exchange& exchange = batch.exchanges.front();
  Judgement judgement = AsJudgement(Apply(engine::RuleOf(requirement), exchange));
  if (judgement.is_broken()) {
    judgement.saw = fmt::format("in answer to {}: {}", Describe(exchange.request), judgement.saw);
  }
  return judgement;
}

CheckRun SurvivesZeroLength(std::uint16_t command) {
  return [command](CheckContext& context) -> Judgement {
    NBDSPEC_TRY(entered, context.EnterWithChunks());
    NBDSPEC_TRY(read, FirstRead(entered));
    Request empty = RequestFor(command, {});
    empty.cookie = entered.session.NextCookie();
    read.cookie = entered.session.NextCookie();
    Batch batch;
    if (AskAll(entered, {&empty, 1}, batch) && AskAll(entered, {&read, 1}, batch)) {
      return Holds();
    }
    return MayNotDisconnect(batch.endings.back(), fmt::format("after {} ", engine::Describe(empty)),
                            "the connection goes on");
  };
}

std::uint64_t GridOf(const Entered& entered) {
  return std::clamp(entered.block_size().minimum, 512U, 1U << 16);  // No minimum may be above 64 KiB.
}

std::uint64_t UsableBytes(const Entered& entered) {
  // Sizes and block sizes come from the server: keep sums with them far from 2^64.
  const std::uint64_t size = std::min(entered.size(), engine::kExportBytesMax);
  return size / GridOf(entered) * GridOf(entered);
}

ByteRange CellAt(const Entered& entered, std::uint64_t offset) {
  return {.begin = offset, .end = offset + GridOf(entered)};
}

std::expected<ByteRange, Judgement> ScratchRange(const Entered& entered, std::uint64_t cell_count) {
  const std::uint64_t grid = GridOf(entered);
  const std::uint64_t cells = UsableBytes(entered) / grid;
  if (cells < cell_count + 2) {
    return Stop(NotApplicable("the export is too small"));
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

std::expected<Request, Judgement> FirstRead(const Entered& entered) {
  if (UsableBytes(entered) == 0) {
    return Stop(NotApplicable(fmt::format("the export has {} bytes, too few to read", entered.size())));
  }
  return RequestFor(CommandType::kRead, CellAt(entered));
}

std::optional<Bytes> BytesRead(const Request& request, const Answer& answer) {
  if (answer.error() != NbdError::kOk) {
    return {};
  }
  if (answer.simple) {
    return answer.simple->data.size() == request.length ? std::optional(answer.simple->data) : std::nullopt;
  }
  engine::Negotiated agreed;
  Exchange exchange;
  exchange.Start(engine::RequestHead::Of(request), agreed);
  Bytes bytes(request.length);
  std::uint64_t given = 0;
  for (const Chunk& chunk : answer.chunks) {
    const auto content = exchange.answer.AddChunk(chunk.flags, chunk.type, chunk.payload).content;
    if (!content) {
      continue;
    }
    if (!exchange.Asks(*content)) {
      return {};
    }
    given += content->length;
    if (chunk.type == ChunkType::kOffsetData) {
      const auto data = ByteView(chunk.payload).last(content->length);
      std::ranges::copy(data, bytes.begin() + static_cast<std::ptrdiff_t>(content->offset - request.offset));
    }
  }
  // Where some of it came twice, which one counts is not for us to say.
  return given == request.length && !FirstUncovered(exchange) ? std::optional(bytes) : std::nullopt;
}

std::expected<Bytes, Judgement> ReadBytes(Session& session, ByteRange range) {
  const Request request = RequestFor(CommandType::kRead, range);
  NBDSPEC_TRY(answer, session.Ask(request));
  auto bytes = BytesRead(request, answer);
  if (!bytes) {
    return Stop(Inconclusive(
        fmt::format("a READ of [{}, {}) gave no data: {}", range.begin, range.end, ErrorName(answer.error()))));
  }
  return std::move(*bytes);
}

Judgement Compare(const Bytes& found, const Bytes& wanted, std::uint64_t offset, std::string_view allowed) {
  const auto [at, other] = std::ranges::mismatch(found, wanted);
  return at == found.end() ? Holds()
                           : Broken(fmt::format("{:#04x} at offset {}, not {:#04x}", *at,
                                                offset + static_cast<std::uint64_t>(at - found.begin()), *other),
                                    allowed);
}

std::expected<Writing, Judgement> BeginWriting(CheckContext& context, std::uint64_t cell_count) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  NBDSPEC_TRY(range, ScratchRange(entered, cell_count));
  return Writing{.entered = std::move(entered), .range = range, .data = Pattern(range.length(), context.random()())};
}

std::expected<Answer, Judgement> Succeed(Session& session, const Request& request) {
  NBDSPEC_TRY(answer, session.Ask(request));
  if (answer.error() != NbdError::kOk) {
    return Stop(Inconclusive(fmt::format("{}: {}", engine::Describe(request), ErrorName(answer.error()))));
  }
  return std::move(answer);
}

}  // namespace nbdspec::conformance
